#!/usr/bin/env python3
"""The plot of bench/encoders: bench/encoders_plot.py FIGURES.json PLOT.svg

Bars of the time of one input, by row; a panel a number of threads.  The lines
on the bars go from the fastest round to the slowest.
"""

import json
import os
import re
import sys


def inputs(row):
    return int(re.search(r"batch (\d+)$", row).group(1))


def main():
    figures, path = sys.argv[1:]
    try:
        import matplotlib
        matplotlib.use("svg")
        from matplotlib import pyplot
    except ImportError:
        print("\nNo plot: matplotlib (python3-matplotlib) is not there.")
        return
    with open(figures, encoding="utf-8") as f:
        found = json.load(f)["clip"]
    threads = sorted({a["threads"] for a in found})
    rows = list(dict.fromkeys(a["row"] for a in found))
    subjects = list(dict.fromkeys(a["peer"] for a in found))
    answers = {(a["peer"], a["threads"], a["row"]): a for a in found}
    figure, axes = pyplot.subplots(len(threads), 1, figsize=(13, 5 * len(threads)), squeeze=False)
    for axis, n in zip(axes[:, 0], threads):
        for number, subject in enumerate(subjects):
            got = [answers[subject, n, row] for row in rows]
            ms = [a["median_ms"] / inputs(a["row"]) for a in got]
            ends = [[m - min(a["rounds_ms"]) / inputs(a["row"]) for m, a in zip(ms, got)],
                    [max(a["rounds_ms"]) / inputs(a["row"]) - m for m, a in zip(ms, got)]]
            places = [place + (number - (len(subjects) - 1) / 2) * .8 / len(subjects)
                      for place in range(len(rows))]
            axis.bar(places, ms, .8 / len(subjects), yerr=ends, label=subject, color=f"C{number}",
                     hatch=None if subject.startswith("mmodal") else "//", ecolor="gray")
        axis.set(title=f"{n} thread" + "s" * (n > 1), ylabel="ms an input", yscale="log")
        axis.set_xticks(range(len(rows)), rows)
        axis.grid(True, axis="y", which="both", alpha=0.3)
    axes[0, 0].legend(fontsize=8, ncols=2)
    figure.suptitle("CLIP ViT-B/32, forward passes")
    figure.tight_layout()
    figure.savefig(path)
    print(f"\nPlot: {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
