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

Each peer is a process of its own that waits for orders, so that all can be
given turns, row by row and round by round (bench/encoders does, with ours among
them).  A line has the medians' median, the least and the most of all rounds, in
ms for the batch:

    {"peer": P, "threads": N, "row": R, "median_ms": M, "min_ms": M, "max_ms": M, "runs": N}

Besides, for bench/encoders: the peer pillow, a picture from its file's bytes to
the input tensor.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(ROOT, "build", "bench", "onnx")

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
PICTURE = "JPEG of 1024 x 768 to pixels"
SIDE = 224
TOO_SLOW = 1e4  # ms: what takes longer is measured in one round alone
START, END = 49406, 49407


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


def pillow(work):
    """What CLIP's transform is in Python: shortest side, centre, normalised planes."""
    import io
    import numpy as np
    from PIL import Image
    mean = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
    std = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
    with open(os.path.join(work, "picture.jpg"), "rb") as f:
        data = f.read()

    def run():
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        width, height = picture.size
        short = min(width, height)
        width, height = width * SIDE // short, height * SIDE // short
        picture = picture.resize((width, height), Image.BICUBIC)
        left, top = (width - SIDE) // 2, (height - SIDE) // 2
        pixels = np.asarray(picture.crop((left, top, left + SIDE, top + SIDE)), np.float32)
        return np.ascontiguousarray(((pixels / 255 - mean) / std).transpose(2, 0, 1))
    return lambda _row: run


MAKERS = {
    "pytorch-f32": lambda threads, work: pytorch("float32", threads, work),
    "pytorch-bf16": lambda threads, work: pytorch("bfloat16", threads, work),
    "onnxruntime-f32": lambda threads, work: onnxruntime("f32", threads, work),
    "onnxruntime-int8": lambda threads, work: onnxruntime("int8", threads, work),
    "pillow": lambda threads, work: pillow(work),
}


# ---- export


def onnx_path(work, tower, kind):
    return os.path.join(work, "%s-%s.onnx" % (tower, kind))


def export(work):
    """The towers as ONNX files, in a process of its own: it fills memory."""
    import torch
    stamp = os.path.join(work, "versions")
    made_by = versions("onnxruntime-int8", everything=True)
    if os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as f:
            if f.read() == made_by:
                return
    os.makedirs(work, exist_ok=True)
    batch = torch.export.Dim("batch", min=1, max=256)
    tokens = torch.export.Dim("tokens", min=2, max=77)
    examples = {"image": "image, batch 8", "text": "text of 12 tokens, batch 64"}
    shapes = {"image": {0: batch}, "text": {0: batch, 1: tokens}}
    for name, tower in towers().items():
        f32 = onnx_path(work, name, "f32")
        torch.onnx.export(tower, (torch.from_numpy(inputs(examples[name])),), f32, dynamo=True,
                          dynamic_shapes=(shapes[name],), external_data=False, verbose=False)
        check_export(tower, f32, name)
        from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic
        shaped = os.path.join(work, name + "-shaped.onnx")
        quant_pre_process(f32, shaped, skip_symbolic_shape=True)
        quantize_dynamic(shaped, onnx_path(work, name, "int8"), per_channel=True,
                         weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
        os.remove(shaped)
    with open(stamp, "w", encoding="utf-8") as f:
        f.write(made_by)


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


def answer(peer, threads, row, times):
    return {"peer": peer, "threads": threads, "row": row,
            "median_ms": round(statistics.median(times), 3),
            "min_ms": round(min(times), 3), "max_ms": round(max(times), 3), "runs": len(times)}


def serve(peer, threads, work):
    """Take orders on standard input, "RUNS ROW" a line, and answer each with one."""
    # libraries talk on standard output too
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    prepare, prepared = MAKERS[peer](threads, work), {}
    print(json.dumps({"ready": versions(peer)}), file=out, flush=True)
    for line in sys.stdin:
        runs, row = line.rstrip("\n").split(" ", 1)
        if row not in prepared:
            prepared[row] = prepare(row)
            prepared[row]()
        run, times = prepared[row], []
        run()
        for _ in range(int(runs)):
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) * 1e3)
        print(json.dumps(answer(peer, threads, row, times)), file=out, flush=True)


class Server:
    """A process that waits for orders: one of serve(), or mm-bench-clip."""

    def __init__(self, peer, command, threads):
        self.peer = peer
        # our BLAS has one thread whatever ours are, as in the extension
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS="1")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        universal_newlines=True, env=environment)
        self.ready = self.read()["ready"]

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("bench: %s came to an end" % self.peer)
        return json.loads(line)

    def measure(self, row, runs):
        self.process.stdin.write("%d %s\n" % (runs, row))
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def start(peer, threads, work=WORK, python=sys.executable):
    return Server(peer, [python, os.path.abspath(__file__), "--serve", peer, "--work", work,
                         "--threads", str(threads)], threads)


def take_turns(servers, rows, rounds, runs):
    """Every server's answers, row by row; runs: by row."""
    answers = {}
    for _ in range(rounds):
        for row in rows:
            for server in servers:
                got = answers.setdefault((server.peer, row), [])
                if not got or got[-1]["median_ms"] < TOO_SLOW:
                    got.append(server.measure(row, runs[row]))
    return answers


def over_rounds(answers):
    """One line of the answers of all rounds."""
    return dict(answers[0], median_ms=statistics.median(a["median_ms"] for a in answers),
                min_ms=min(a["min_ms"] for a in answers),
                max_ms=max(a["max_ms"] for a in answers),
                runs=sum(a["runs"] for a in answers))


def needed(peer):
    if peer == "pillow":
        return ["numpy", "PIL"]
    if peer.startswith("onnxruntime"):
        return ["numpy", "torch", "transformers", "onnx", "onnxscript", "onnxruntime"]
    return ["numpy", "torch", "transformers"]


def missing(peer):
    """What a peer needs and this Python lacks."""
    return [name for name in needed(peer) if importlib.util.find_spec(name) is None]


def versions(peer, everything=False):
    """Of what a peer runs on, or of everything that goes into it."""
    from importlib.metadata import version
    names = {"pillow": ["Pillow"], "onnxruntime-f32": ["onnxruntime"],
             "onnxruntime-int8": ["onnxruntime"]}.get(peer, ["torch", "transformers"])
    if everything:
        names = needed(peer)
    return ", ".join("%s %s" % (name, version(name)) for name in names)


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
    parser.add_argument("--work", default=WORK, help="folder for the ONNX files")
    parser.add_argument("--serve", choices=list(MAKERS), help=argparse.SUPPRESS)
    parser.add_argument("--export", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--missing", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    peers = args.peers.split(",")
    threads = [int(n) for n in args.threads.split(",")]
    rows = chosen_rows(args.rows)
    for peer in peers:
        if peer not in PEERS:
            parser.error("no peer %s; there are %s" % (peer, ", ".join(PEERS)))
    if args.missing:
        print(json.dumps({peer: missing(peer) for peer in MAKERS}))
        return
    if args.export:
        # the exporter talks on standard output
        os.dup2(2, 1)
        export(args.work)
        return
    if args.serve:
        serve(args.serve, threads[0], args.work)
        return
    for peer in [p for p in peers if missing(p)]:
        print("skipped %s: no %s" % (peer, ", ".join(missing(peer))), file=sys.stderr)
        peers.remove(peer)
    if any(p.startswith("onnxruntime") for p in peers):
        subprocess.run([sys.executable, os.path.abspath(__file__), "--export", "--work", args.work],
                       check=True)
    for n in threads:
        servers = [start(peer, n, args.work) for peer in peers]
        answers = take_turns(servers, rows, args.rounds, dict.fromkeys(rows, args.runs))
        for server in servers:
            server.close()
        for got in answers.values():
            print(json.dumps(over_rounds(got)), flush=True)


if __name__ == "__main__":
    main()
