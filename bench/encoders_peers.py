#!/usr/bin/env python3
"""Time of CLIP's towers in PyTorch and in ONNX Runtime, a JSON line a row.

    bench/encoders_peers.py [--peers pytorch-f32,...] [--threads 1,2] [--rows "PART;..."]
        [--rounds N] [--runs N]

Needs torch, transformers, onnx, onnxscript, onnxruntime and numpy, those of the
peers asked for.  ViT-B/32 with random weights: time does not depend on them.
The forward pass and the projection alone, from pixels or ids in memory:

    pytorch-f32, pytorch-bf16   transformers' CLIPModel, SDPA attention,
                                inference mode
    onnxruntime-f32             the two towers, each exported by torch.onnx
    onnxruntime-int8            the same after onnxruntime's quantize_dynamic,
                                per channel, of its matrix products

Each peer runs in a process of its own for each number of threads, so that no
pool of one spins beside another; all are run in turn, round by round.  A line
has the median, least and most of the runs of all rounds, in ms for the batch:

    {"peer": P, "threads": N, "row": R, "median_ms": M, "min_ms": M, "max_ms": M, "runs": N}
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

PEERS = ["pytorch-f32", "pytorch-bf16", "onnxruntime-f32", "onnxruntime-int8"]

# name: tower, batch, tokens
ROWS = {
    "image, batch 1": ("image", 1, None),
    "image, batch 8": ("image", 8, None),
    "image, batch 32": ("image", 32, None),
    "text of 77 tokens, batch 1": ("text", 1, 77),
    "text of 12 tokens, batch 1": ("text", 1, 12),
    "text of 12 tokens, batch 64": ("text", 64, 12),
}
SIDE = 224
START, END = 49406, 49407
WARM_UP = 2


# ---- towers in PyTorch


def towers():
    """Modules of pixels or ids, each to the projected embedding."""
    import torch
    import transformers

    # the configuration's defaults are ViT-B/32, but for the end of a text
    model = transformers.CLIPModel(transformers.CLIPConfig(
        text_config={"bos_token_id": START, "eos_token_id": END})).eval()

    class Tower(torch.nn.Module):
        def __init__(self, body, projection):
            super().__init__()
            self.body = body
            self.projection = projection

        def forward(self, x):
            return self.projection(self.body(x).pooler_output)

    return {"image": Tower(model.vision_model, model.visual_projection).eval(),
            "text": Tower(model.text_model, model.text_projection).eval()}


def inputs(row):
    """numpy's, as both peers take them."""
    import numpy as np
    tower, batch, tokens = ROWS[row]
    random = np.random.default_rng(1)
    if tower == "image":
        return random.standard_normal((batch, 3, SIDE, SIDE), dtype=np.float32)
    ids = random.integers(1, START, (batch, tokens))
    ids[:, 0], ids[:, -1] = START, END
    return ids


# ---- peers: each gives, for a row, a function to be timed


def pytorch(dtype, threads, _work):
    import torch
    torch.set_num_threads(threads)
    modules = {name: tower.to(dtype=getattr(torch, dtype)) for name, tower in towers().items()}

    def prepare(row):
        tower = modules[ROWS[row][0]]
        x = torch.from_numpy(inputs(row))
        if x.is_floating_point():
            x = x.to(getattr(torch, dtype))

        def run():
            with torch.inference_mode():
                tower(x)
        return run
    return prepare


def onnxruntime(kind, threads, work):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    sessions = {}

    def prepare(row):
        tower = ROWS[row][0]
        if tower not in sessions:
            sessions[tower] = ort.InferenceSession(onnx_path(work, tower, kind), options,
                                                   providers=["CPUExecutionProvider"])
        session, x = sessions[tower], inputs(row)
        name = session.get_inputs()[0].name
        return lambda: session.run(None, {name: x})
    return prepare


MAKERS = {
    "pytorch-f32": lambda threads, work: pytorch("float32", threads, work),
    "pytorch-bf16": lambda threads, work: pytorch("bfloat16", threads, work),
    "onnxruntime-f32": lambda threads, work: onnxruntime("f32", threads, work),
    "onnxruntime-int8": lambda threads, work: onnxruntime("int8", threads, work),
}


# ---- export


def onnx_path(work, tower, kind):
    return os.path.join(work, "%s-%s.onnx" % (tower, kind))


def export(work, peers):
    """The towers as ONNX files, in a process of its own: it fills memory."""
    import torch
    batch = torch.export.Dim("batch", min=1, max=256)
    tokens = torch.export.Dim("tokens", min=2, max=77)
    examples = {"image": "image, batch 8", "text": "text of 12 tokens, batch 64"}
    shapes = {"image": {0: batch}, "text": {0: batch, 1: tokens}}
    for name, tower in towers().items():
        f32 = onnx_path(work, name, "f32")
        torch.onnx.export(tower, (torch.from_numpy(inputs(examples[name])),), f32, dynamo=True,
                          dynamic_shapes=(shapes[name],), external_data=False, verbose=False)
        check_export(tower, f32, name)
        if "onnxruntime-int8" in peers:
            from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic
            shaped = os.path.join(work, name + "-shaped.onnx")
            quant_pre_process(f32, shaped, skip_symbolic_shape=True)
            quantize_dynamic(shaped, onnx_path(work, name, "int8"), per_channel=True,
                             weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
            os.remove(shaped)


def check_export(tower, path, name):
    """For every shape that is timed the same numbers come out."""
    import numpy as np
    import onnxruntime as ort
    import torch
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    for row in ROWS:
        if ROWS[row][0] != name or ROWS[row][1] > 8:
            continue
        x = inputs(row)
        with torch.inference_mode():
            want = tower(torch.from_numpy(x)).numpy()
        got = session.run(None, {session.get_inputs()[0].name: x})[0]
        if not np.allclose(got, want, atol=1e-4):
            sys.exit("encoders_peers: the ONNX export of the %s tower is wrong" % name)


# ---- measuring


def work_off(peer, threads, rows, runs, work):
    """In a process of its own: the times of each row, on standard output."""
    prepare = MAKERS[peer](threads, work)
    for row in rows:
        run = prepare(row)
        for _ in range(WARM_UP):
            run()
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) * 1e3)
        print(json.dumps([row, times]), flush=True)


def child(*arguments, threads=None):
    environment = dict(os.environ)
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    return subprocess.run([sys.executable, os.path.abspath(__file__), *arguments], check=True,
                          stdout=subprocess.PIPE, universal_newlines=True, env=environment).stdout


def measure(peers=PEERS, threads=(1, 2), rows=tuple(ROWS), rounds=3, runs=7):
    """A dictionary for each peer, number of threads and row, as printed."""
    times = {(p, n, row): [] for p in peers for n in threads for row in rows}
    with tempfile.TemporaryDirectory() as work:
        if any(p.startswith("onnxruntime") for p in peers):
            child("--export", work, "--peers", ",".join(peers))
        for _ in range(rounds):
            for peer in peers:
                for n in threads:
                    out = child("--work", work, "--peers", peer, "--threads", str(n),
                                "--rows", ";".join(rows), "--runs", str(runs), threads=n)
                    for line in out.splitlines():
                        row, values = json.loads(line)
                        times[peer, n, row] += values
    for (peer, n, row), values in times.items():
        yield {"peer": peer, "threads": n, "row": row,
               "median_ms": round(statistics.median(values), 3),
               "min_ms": round(min(values), 3), "max_ms": round(max(values), 3),
               "runs": len(values)}


def missing(peer):
    """What a peer needs and this Python lacks."""
    needed = ["numpy", "torch", "transformers"]
    if peer.startswith("onnxruntime"):
        needed += ["onnx", "onnxscript", "onnxruntime"]
    return [name for name in needed if importlib.util.find_spec(name) is None]


def chosen_rows(words):
    """Rows by their names or by parts of them, separated by semicolons."""
    return [row for row in ROWS if any(word.strip() in row for word in words.split(";"))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rows", default="batch", metavar="PART;...",
                        help="rows whose names have one of these parts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=7, help="a round")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--export", help=argparse.SUPPRESS)
    args = parser.parse_args()
    peers = args.peers.split(",")
    threads = [int(n) for n in args.threads.split(",")]
    rows = chosen_rows(args.rows)
    for peer in peers:
        if peer not in PEERS:
            parser.error("no peer %s; there are %s" % (peer, ", ".join(PEERS)))
    if args.export:
        # the exporter talks on standard output
        os.dup2(2, 1)
        export(args.export, peers)
    elif args.work:
        work_off(peers[0], threads[0], rows, args.runs, args.work)
    else:
        for peer in [p for p in peers if missing(p)]:
            print("skipped %s: no %s" % (peer, ", ".join(missing(peer))), file=sys.stderr)
            peers.remove(peer)
        for line in measure(peers, threads, rows, args.rounds, args.runs):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
