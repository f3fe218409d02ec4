"""Tables and the plot of bench/ivf."""

import json
import os
import statistics

from ivf_measures import KINDS, TARGETS, TOLERANCE


def table(title, heads, rows):
    print(f"\n### {title}\n")
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def grouped(contests):
    """(subject, its contests in the order of the columns)."""
    rows = {}
    for contest in contests:
        rows.setdefault(contest.sweep.subject, []).append(contest)
    return rows.items()


def contest_heads():
    return [f"{kind} {target:.2f}" for kind in KINDS for target in TARGETS]


def best_recall(sweep):
    return max(point.recall for points in sweep.points.values() for point in points)


def report_rates(contests):
    def cell(contest):
        if not contest.point:
            word = "too slow" if contest.sweep.gave_up else "never"
            return f"{word} (best {best_recall(contest.sweep):.4f})"
        return f"{contest.median():,.0f} ({min(contest.rates):,.0f} - {max(contest.rates):,.0f})"
    table("Queries a CPU second at recall@10, one client: median (least - most)",
          ["index"] + contest_heads(),
          [[subject.label] + [cell(contest) for contest in row] for subject, row in grouped(contests)])

    def detail(contest):
        return f"{contest.point.recall:.4f} at {contest.point.setting}" if contest.point else "-"
    table("The settings of these figures: recall reached, and at what",
          ["index"] + contest_heads(),
          [[subject.label] + [detail(contest) for contest in row] for subject, row in grouped(contests)])


def report_ratios(contests):
    """How many times the queries of each peer our first index answers."""
    rows = list(grouped(contests))
    ours = next((row for subject, row in rows if subject.key == "mmodal"), None)
    if not ours:
        return

    def cell(our, their):
        if not our.point or not their.point:
            return "-"
        return f"{our.median() / their.median():.2f} x"
    table("mmodal faiss_ivf against each", ["index"] + contest_heads(),
          [[subject.label] + [cell(our, their) for our, their in zip(ours, row)]
           for subject, row in rows if row is not ours])


def report_as_asked(figures):
    def cell(found, rate, work):
        return f"{found:.4f}, {rate:,.0f}, " + (f"{work:.2f} x" if work else "-")
    if figures:
        table(f"What mmodal.recall gives, without expert settings: recall, queries a CPU second, work against "
              f"the cheapest setting within {TOLERANCE}", ["index", "asked"] + list(KINDS),
              [[f"{figure.subject.label}, {figure.state}", f"{figure.asked:.2f}"]
               + [cell(*figure.results[kind]) for kind in KINDS] for figure in figures])


def report_builds(builds):
    table("Building", ["index", "wall s", "CPU s", "index MB", "WAL MB"],
          [[build.subject.label, f"{build.wall:.1f}", f"{build.cpu:.1f}", f"{build.megabytes:.0f}",
            "-" if build.wal is None else f"{build.wal / 1e6:.0f}"] for build in builds])


def report_filtered(cases):
    heads = [f"{kind}, {column}" for kind in KINDS for column in ("category", "grp")]
    table("A filter that 1 % of the rows pass, LIMIT 10: rows, recall, CPU ms", ["index"] + heads,
          [[case.name] + [f"{rows:.1f}, {found:.3f}, {ms:.2f}" for rows, found, ms in case.results.values()]
           for case in cases])


def report_insertions(insertions, copied):
    table("New rows, synchronous_commit off: rows a second",
          ["index", f"COPY of {copied:,}", "single INSERTs"],
          [[case.name, f"{case.copy_rate:,.0f}", f"{case.insert_rate:,.0f}"] for case in insertions])


def report_cold(times):
    table("The first query after a restart, elapsed ms: median (least - most)", ["index", "ms"],
          [[label, f"{statistics.median(values):.1f} ({min(values):.1f} - {max(values):.1f})"]
           for label, values in times])


def plot(sweeps, path, title):
    """Recall against queries a CPU second, as an SVG."""
    try:
        import matplotlib
        matplotlib.use("svg")
        from matplotlib import pyplot
    except ImportError:
        print("\nNo plot: matplotlib (python3-matplotlib) is not there.")
        return
    figure, axes = pyplot.subplots(1, len(KINDS), figsize=(13, 5.5), sharey=True)
    for axis, kind in zip(axes, KINDS):
        for number, sweep in enumerate(sweep for sweep in sweeps if sweep.kind == kind):
            points = frontier(sweep)
            axis.plot([point.recall for point in points], [1 / point.seconds for point in points],
                      marker=".", linestyle="--" if "FAISS" in sweep.subject.label else "-",
                      color=f"C{number}", label=sweep.subject.label)
        axis.set(title=f"{kind} queries", xlabel="recall@10", yscale="log", xlim=(0.7, 1.0))
        axis.grid(True, which="both", alpha=0.3)
    axes[0].set_ylabel("queries a CPU second")
    axes[0].legend(loc="lower left", fontsize=8)
    figure.suptitle(title)
    figure.tight_layout()
    make_folder(os.path.dirname(path))
    figure.savefig(path)
    print(f"\nPlot: {os.path.relpath(path)}")


def save(sweeps, path, about):
    """The curves as JSON: [recall, queries a CPU second] points of each index and kind of query."""
    curves = [{"index": sweep.subject.key, "kind": sweep.kind,
               "points": [[round(float(point.recall), 4), round(1 / float(point.seconds), 1)] for point in frontier(sweep)]}
              for sweep in sweeps]
    make_folder(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as file:
        # a curve a line
        file.write("{\n" + "".join(f'"{name}": {json.dumps(value)},\n' for name, value in about.items()) + '"curves": [\n')
        file.write(",\n".join(map(json.dumps, curves)) + "\n]\n}\n")


def frontier(sweep):
    """The points that no other point beats in both recall and cost."""
    best, kept = 0, []
    points = [point for points in sweep.points.values() for point in points]
    for point in sorted(points, key=lambda point: point.seconds):
        if point.recall > best:
            kept.append(point)
            best = point.recall
    return kept


def make_folder(folder):
    """A folder whose content git ignores."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, ".gitignore"), "w") as file:
        file.write("*\n")
