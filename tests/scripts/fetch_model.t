#!/usr/bin/env python3
"""make model MODEL=, against a small hub on 127.0.0.1 and made-up weights.

    prove -v -e '' tests/scripts/fetch_model.t

Run by a Python that has torch, it tests converting too:

    /path/to/venv/bin/python tests/scripts/fetch_model.t
"""

import gzip
import hashlib
import http.server
import importlib.util
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "scripts", "fetch-model")
TOP = tempfile.mkdtemp(prefix="fetch-model-test.")
TOKEN = "hf_secretsecret"

# ---- TAP

count = 0
failures = 0


def ok(good, name, notes=""):
    global count, failures
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name), flush=True)
    if not good:
        failures += 1
        for line in str(notes).splitlines():
            print("# " + line, flush=True)
    return good


def skip(name, why):
    global count
    count += 1
    print("ok %d - %s # SKIP %s" % (count, name, why), flush=True)


# ---- made-up checkpoints

WIDTH, FEED, LAYERS, PATCH, SIZE, WORDS, CONTEXT, JOINT = 64, 128, 2, 4, 8, 600, 7, 32
TOWER = {"hidden_size": WIDTH, "intermediate_size": FEED, "num_hidden_layers": LAYERS,
         "num_attention_heads": 1, "hidden_act": "quick_gelu"}
CONFIG = {
    "model_type": "clip", "projection_dim": JOINT,
    "vision_config": dict(TOWER, image_size=SIZE, patch_size=PATCH),
    "text_config": dict(TOWER, vocab_size=WORDS, max_position_embeddings=CONTEXT),
}
OPEN_CLIP = {
    "model_cfg": {
        "embed_dim": JOINT,
        "vision_cfg": {"image_size": SIZE, "layers": LAYERS, "width": WIDTH, "patch_size": PATCH,
                       "mlp_ratio": 2.0, "head_width": 32},
        "text_cfg": {"context_length": CONTEXT, "vocab_size": WORDS, "width": WIDTH, "heads": 1,
                     "layers": LAYERS, "mlp_ratio": 2.0}},
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}
MERGES = "#version: 0.2\na b\nc d\n"


def hf_shapes():
    shapes = {
        "logit_scale": (),
        "text_projection.weight": (JOINT, WIDTH),
        "visual_projection.weight": (JOINT, WIDTH),
        "text_model.embeddings.token_embedding.weight": (WORDS, WIDTH),
        "text_model.embeddings.position_embedding.weight": (CONTEXT, WIDTH),
        "vision_model.embeddings.patch_embedding.weight": (WIDTH, 3, PATCH, PATCH),
        "vision_model.embeddings.position_embedding.weight": (1 + (SIZE // PATCH) ** 2, WIDTH),
    }
    for tower in ("text_model", "vision_model"):
        for i in range(LAYERS):
            layer = "%s.encoder.layers.%d." % (tower, i)
            shapes[layer + "mlp.fc1.weight"] = (FEED, WIDTH)
            shapes[layer + "mlp.fc2.weight"] = (WIDTH, FEED)
    return shapes


def openai_shapes():
    shapes = {
        "logit_scale": (),
        "text_projection": (WIDTH, JOINT),
        "visual.proj": (WIDTH, JOINT),
        "token_embedding.weight": (WORDS, WIDTH),
        "positional_embedding": (CONTEXT, WIDTH),
        "visual.conv1.weight": (WIDTH, 3, PATCH, PATCH),
        "visual.positional_embedding": (1 + (SIZE // PATCH) ** 2, WIDTH),
    }
    for tower in ("", "visual."):
        for i in range(LAYERS):
            layer = "%stransformer.resblocks.%d." % (tower, i)
            shapes[layer + "mlp.c_fc.weight"] = (FEED, WIDTH)
            shapes[layer + "mlp.c_proj.weight"] = (WIDTH, FEED)
    return shapes


def product(shape):
    n = 1
    for m in shape:
        n *= m
    return n


def safetensors(shapes):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        size = 4 * product(shape)
        header[name] = {"dtype": "F32", "shape": list(shape),
                        "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    data = (hashlib.sha256(text).digest() * (offset // 32 + 1))[:offset]
    return struct.pack("<Q", len(text)) + text + data


def as_json(value):
    return json.dumps(value).encode()


HF_WEIGHTS = safetensors(hf_shapes())
OPENAI_WEIGHTS = safetensors(openai_shapes())
WHOLE = {"config.json": as_json(CONFIG), "merges.txt": MERGES.encode(), "vocab.json": b"{}",
         "preprocessor_config.json": as_json({"crop_size": SIZE}), "model.safetensors": HF_WEIGHTS,
         "README.md": b"not wanted", "LICENSE": b"as you like"}


def with_files(files, **changes):
    """A copy with files added, replaced or (None) taken away."""
    new = dict(files)
    for name, data in changes.items():
        name = {"config": "config.json", "merges": "merges.txt", "index":
                "model.safetensors.index.json", "weights": "model.safetensors",
                "tokenizer": "tokenizer.json", "open_clip": "open_clip_config.json",
                "open_clip_weights": "open_clip_model.safetensors",
                "preprocessor": "preprocessor_config.json",
                "bin": "pytorch_model.bin", "golden": "golden.json"}.get(name, name)
        new.pop(name, None)
        if data is not None:
            new[name] = data
    return new


def write_directory(path, files):
    os.makedirs(path)
    for name, data in files.items():
        with open(os.path.join(path, name), "wb") as f:
            f.write(data)
    return path


# ---- a hub

class Hub:
    """Serves one model; mode says what goes wrong with large files."""

    def __init__(self, files, mode="good", licence="mit"):
        self.files, self.mode, self.licence = files, mode, licence
        self.commit = hashlib.sha1(repr(sorted(files)).encode()).hexdigest()
        self.requests = []  # (path, headers)
        self.elsewhere = None
        self.bad_once = 0  # answers that are cut off before one is good
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hub.requests.append((self.path, dict(self.headers)))
                try:
                    hub.answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def listing(self):
        siblings = []
        for name, data in self.files.items():
            entry = {"rfilename": name, "size": len(data),
                     "blobId": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
            if len(data) > 5000:
                sha = hashlib.sha256(data).hexdigest()
                if self.mode == "wrong hash":
                    sha = hashlib.sha256(b"another").hexdigest()
                entry["lfs"] = {"sha256": sha, "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        return {"id": "own/net", "sha": self.commit, "siblings": siblings,
                "cardData": {"license": self.licence}}

    def send(self, handler, status, body=b"", headers=(), cut=None):
        handler.send_response(status)
        for key, value in headers:
            handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            handler.wfile.flush()
            if self.mode == "stall":
                time.sleep(20)
            handler.close_connection = True

    def answer(self, handler):
        path = urllib.parse.unquote(handler.path.split("?")[0])
        if self.mode == "401":
            return self.send(handler, 401, b"{}")
        if self.mode == "html":
            return self.send(handler, 200, b"<html>")
        m = re.fullmatch(r"/api/models/own/net/revision/(.+)", path)
        if m:
            if m.group(1) not in ("main", "refs/pr/1", self.commit):
                return self.send(handler, 404, b"{}")
            return self.send(handler, 200, as_json(self.listing()))
        m = re.fullmatch(r"/(moved/)?own/net/resolve/%s/(.+)" % self.commit, path)
        if not m or m.group(2) not in self.files:
            return self.send(handler, 404)
        data = self.files[m.group(2)]
        if self.mode == "redirect" and self.elsewhere and len(data) > 5000:
            return self.send(handler, 302, headers=[("Location", self.elsewhere + handler.path)])
        if self.mode == "moved" and not m.group(1):
            return self.send(handler, 307, headers=[("Location", "/moved" + handler.path)])
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
        if asked and self.mode != "no range":
            start = int(asked.group(1))
        status = 206 if start else 200
        headers = [("Content-Range", "bytes %d-%d/%d" % (start, len(data) - 1, len(data)))] \
            if start else []
        cut = None
        if len(data) > 5000 and (self.mode in ("truncated", "stall") or self.bad_once > 0):
            self.bad_once -= 1
            cut = (len(data) - start) // 2
        self.send(handler, status, data[start:], headers, cut)

    def fetched(self, name):
        return [h for p, h in self.requests if p.endswith("/" + name)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


# ---- running the tool

STUBS = write_directory(os.path.join(TOP, "stubs"), {
    name + ".py": b"raise ImportError('a stub')\n"
    for name in ("torch", "huggingface_hub", "open_clip", "clip")})


class Place:
    """Folders of models and of downloads of one test."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(dir=TOP)
        self.models = os.path.join(self.dir, "models")
        self.cache = os.path.join(self.dir, "cache")

    def command(self, *arguments):
        return [sys.executable, TOOL, "--models", self.models, "--cache", self.cache,
                "--timeout", "5"] + list(arguments)

    def environment(self, hub=None, token=None, stubs=True, python=None, **more):
        env = {k: v for k, v in os.environ.items()
               if not k.upper().startswith(("HF_", "HTTP", "PYTHON", "MAKE", "MFLAGS")) and
               not k.upper().endswith("_PROXY")}
        env["HOME"] = self.dir
        env["NO_PROXY"] = "127.0.0.1"
        if stubs:
            env["PYTHONPATH"] = ":".join([python, STUBS] if python else [STUBS])
        if hub is not None:
            env["HF_ENDPOINT"] = hub if isinstance(hub, str) else hub.url
        if token:
            env["HF_TOKEN"] = token
        env.update(more)
        return env

    def run(self, *arguments, retries=0, hub=None, token=None, stubs=True, limit=None, python=None):
        def preexec():
            if limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        result = subprocess.run(
            self.command("--retries", str(retries), *arguments), cwd=ROOT, preexec_fn=preexec,
            env=self.environment(hub, token, stubs, python), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, universal_newlines=True,
            timeout=120)
        self.log = result.stdout + result.stderr
        self.status = result.returncode
        return result.returncode == 0

    def left(self):
        """Everything in the folder of models."""
        return sorted(os.listdir(self.models)) if os.path.isdir(self.models) else []

    def read(self, name, file):
        with open(os.path.join(self.models, name, file), "rb") as f:
            return f.read()

    def json(self, name, file):
        return json.loads(self.read(name, file))

    def files(self, name):
        return sorted(os.listdir(os.path.join(self.models, name)))

    def parts(self):
        hub = os.path.join(self.cache, "hub")
        return sorted(n for n in os.listdir(hub) if n != ".lock") if os.path.isdir(hub) else []


def fails(place, pattern, name, *arguments, left=(), **how):
    """It fails with one line that says why, and leaves nothing half-made."""
    went_through = place.run(*arguments, **how)
    lines = place.log.strip().splitlines()
    ok(not went_through and place.status == 1 and lines and
       re.search("^fetch-model: .*" + pattern, lines[-1]) and
       "Traceback" not in place.log and place.left() == sorted(left), name,
       "status %d, left %s\n%s" % (place.status, place.left(), place.log))


# ---- from a hub

def test_hub():
    hub, place = Hub(WHOLE), Place()
    ok(place.run("own/net", hub=hub), "fetch by id", place.log)
    ok(place.files("net") == ["LICENSE", "config.json", "merges.txt", "model.safetensors",
                              "preprocessor_config.json", "source.json", "vocab.json"],
       "what a server needs is there, and no more", place.files("net"))
    ok(place.read("net", "model.safetensors") == HF_WEIGHTS, "weights are as they were")
    source = place.json("net", "source.json")
    sha = hashlib.sha256(HF_WEIGHTS).hexdigest()
    ok(source["source"] == "own/net" and source["commit"] == hub.commit and
       source["licence"] == "mit" and
       source["files"]["model.safetensors"] == {"size": len(HF_WEIGHTS), "sha256": sha},
       "source.json tells id, commit, licence, sizes and hashes", source)
    ok(place.parts() == [], "nothing is left of the download", place.parts())
    ok(place.log.count("\n") <= 5 and "\r" not in place.log, "few lines where no terminal is",
       place.log)

    requests = len(hub.requests)
    inode = os.stat(os.path.join(place.models, "net")).st_ino
    ok(place.run("own/net", hub=hub) and "is complete" in place.log and
       len(hub.requests) == requests + 1 and
       os.stat(os.path.join(place.models, "net")).st_ino == inode,
       "run again it asks the hub and does nothing", place.log)
    ok(place.run("own/net@" + hub.commit, hub=hub) and len(hub.requests) == requests + 1,
       "of a commit that is here it does not even ask", place.log)

    os.truncate(os.path.join(place.models, "net", "model.safetensors"), 1000)
    ok(place.run("own/net", hub=hub) and place.read("net", "model.safetensors") == HF_WEIGHTS,
       "a damaged directory is made again", place.log)

    before = os.stat(os.path.join(place.models, "net", "model.safetensors")).st_ino
    with open(os.path.join(place.models, "net", "model.safetensors"), "rb") as old:
        hub.files = with_files(WHOLE, weights=safetensors(dict(hf_shapes(), more=(3,))))
        hub.commit = "c" * 40
        ok(place.run("own/net", hub=hub) and place.json("net", "source.json")["commit"] == hub.commit
           and os.stat(os.path.join(place.models, "net", "model.safetensors")).st_ino != before
           and old.read() == HF_WEIGHTS,
           "a new commit replaces it, and who has the old files open keeps them", place.log)
    ok(place.run("own/net@refs/pr/1", "--name", "other.One", hub=hub)
       and place.left() == ["net", "other.One"], "a revision with slashes, a name", place.log)
    fails(place, "other.One holds own/net: choose another NAME=", "a name that is taken",
          "own/another", "--name", "other.One", hub=hub, left=["net", "other.One"])
    hub.close()


def test_refusals():
    hub, place = Hub(WHOLE), Place()
    fails(place, "127.0.0.1:\\d+ has no own/nothing", "404", "own/nothing", hub=hub)
    fails(place, "has no own/net at v9", "a revision that is not there", "own/net@v9", hub=hub)
    hub.mode = "401"
    fails(place, r"refuses own/net \(401\).*HF_TOKEN", "401", "own/net", hub=hub)
    hub.mode = "html"
    fails(place, "does not answer as a hub does", "no hub", "own/net", hub=hub)
    hub.mode = "wrong hash"
    fails(place, "came with a wrong SHA-256, and is thrown away", "wrong hash", "own/net", hub=hub)
    ok(not any(n.endswith(".part") for n in place.parts()), "and nothing of it is kept",
       place.parts())
    hub.mode = "good"
    ok(place.run("own/net", hub=hub), "then a good one is fetched", place.log)
    hub.close()

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        closed = "http://127.0.0.1:%d" % s.getsockname()[1]
    place = Place()
    fails(place, r"cannot reach 127.0.0.1:\d+: Connection refused", "no network", "own/net",
          hub=closed, retries=3)
    fails(place, "set HF_ENDPOINT .*or install huggingface_hub", "no hub is known", "own/net")
    fails(place, "HF_ENDPOINT is not an address", "a strange address", "own/net", hub="hub")
    for bad in ("noslash", "a/b/c", "/no/such/place", "own/..", "own/net@", "own/n t", ""):
        fails(place, "is neither a file nor a directory here, nor a hub's id", "bad id '%s'" % bad,
              bad, hub=closed)
    for bad in (".hidden", "a/b", "n" * 64, "a:b"):
        fails(place, "cannot be a model's name", "bad name '%s'" % bad[:10], "own/net",
              "--name", bad, hub=closed)


def test_resume():
    hub, place = Hub(WHOLE, "truncated"), Place()
    fails(place, r"model.safetensors of own/net broke off after \d+ of \d+ bytes",
          "a body that is cut off", "own/net", hub=hub)
    half = os.path.join(place.cache, "hub", hashlib.sha256(HF_WEIGHTS).hexdigest() + ".part")
    got = os.path.getsize(half) if os.path.exists(half) else 0
    ok(got == len(HF_WEIGHTS) // 2, "what came is kept", "%s" % place.parts())
    hub.mode = "good"
    ok(place.run("own/net", hub=hub) and place.read("net", "model.safetensors") == HF_WEIGHTS,
       "and gone on with", place.log)
    ok(hub.fetched("model.safetensors")[-1].get("Range") == "bytes=%d-" % got,
       "from where it stopped", hub.fetched("model.safetensors"))
    ok(len(hub.fetched("config.json")) == 1, "what was complete is not fetched again")
    hub.close()

    hub, place = Hub(WHOLE), Place()
    hub.bad_once = 2
    ok(place.run("own/net", hub=hub, retries=1) and len(hub.fetched("model.safetensors")) == 3,
       "within one run too", place.log)
    hub.close()

    hub, place = Hub(WHOLE, "no range"), Place()
    hub.bad_once = 1
    ok(place.run("own/net", hub=hub, retries=1) and
       place.read("net", "model.safetensors") == HF_WEIGHTS,
       "a hub that knows no ranges sends it whole", place.log)
    hub.close()

    hub, place = Hub(WHOLE), Place()
    os.makedirs(os.path.join(place.cache, "hub"))
    part = os.path.join(place.cache, "hub", hashlib.sha256(HF_WEIGHTS).hexdigest() + ".part")
    for n in (1000, len(HF_WEIGHTS), len(HF_WEIGHTS) + 7):
        with open(part, "wb") as f:
            f.write(b"x" * n)
        fails(place, "wrong SHA-256", "a part of %d wrong bytes" % n, "own/net", hub=hub) \
            if n <= len(HF_WEIGHTS) else \
            ok(place.run("own/net", hub=hub), "a part that is too long", place.log)
    hub.close()

    hub, place = Hub(WHOLE, "stall"), Place()
    process = subprocess.Popen(place.command("own/net"), env=place.environment(hub), cwd=ROOT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               universal_newlines=True)
    deadline = time.monotonic() + 20
    while not hub.fetched("model.safetensors") and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    log = process.communicate(timeout=20)[1]
    ok(process.returncode == 1 and log.endswith("fetch-model: interrupted\n") and
       place.left() == [], "a signal leaves nothing half-made", log)
    process = subprocess.Popen(place.command("own/net"), env=place.environment(hub), cwd=ROOT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen = len(hub.fetched("model.safetensors"))
    while len(hub.fetched("model.safetensors")) == seen and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    hub.mode = "good"
    ok(place.run("own/net", hub=hub) and place.left() == ["net"],
       "what a killed one has left is taken away by the next", place.left())
    hub.close()

    hub, place = Hub(WHOLE), Place()
    fails(place, "(File too large|No space left)", "a disk that is full", "own/net", hub=hub,
          limit=len(HF_WEIGHTS) // 2)
    hub.close()


def test_token():
    other, hub, place = Hub(WHOLE), Hub(WHOLE, "redirect"), Place()
    hub.elsewhere = other.url
    ok(place.run("own/net", hub=hub, token=TOKEN), "fetch by redirect to another host", place.log)
    ok(all(h.get("Authorization") == "Bearer " + TOKEN for _, h in hub.requests),
       "the hub gets the token")
    ok(len(other.requests) == 1 and "Authorization" not in other.requests[0][1],
       "the other host does not", other.requests)
    ok(TOKEN not in place.log and TOKEN not in str(place.json("net", "source.json")),
       "it is not printed and not kept")
    hub.mode = "401"
    fails(place, "refuses", "nor printed with an error", "own/net@" + "0" * 40, "--name", "x",
          hub=hub, token=TOKEN, left=["net"])
    ok(TOKEN not in place.log, "no token in the message")
    fails(place, "HF_TOKEN holds characters", "a strange token", "own/net", "--name", "x",
          hub=hub, token="a\nb", left=["net"])
    hub.close()
    other.close()
    hub, place = Hub(WHOLE, "moved"), Place()
    ok(place.run("own/net", hub=hub, token=TOKEN) and
       all(h.get("Authorization") for _, h in hub.requests),
       "a redirect on the same host keeps it", place.log)
    hub.close()

    hub, place = Hub(WHOLE), Place()
    write_directory(os.path.join(place.dir, "python", "huggingface_hub"), {
        "__init__.py": b"def get_token():\n    return '%s'\n" % TOKEN.encode(),
        "constants.py": b"ENDPOINT = '%s'\n" % hub.url.encode()})
    ok(place.run("own/net", python=os.path.join(place.dir, "python")) and
       all(h.get("Authorization") == "Bearer " + TOKEN for _, h in hub.requests),
       "huggingface_hub knows a hub and a token", place.log)
    hub.close()


# ---- layouts

def shards():
    names = list(hf_shapes())
    split = {"model-00001-of-00002.safetensors": names[:5],
             "model-00002-of-00002.safetensors": names[5:]}
    files = {file: safetensors({n: hf_shapes()[n] for n in part}) for file, part in split.items()}
    files["model.safetensors.index.json"] = as_json(
        {"weight_map": {n: file for file, part in split.items() for n in part}})
    return dict(with_files(WHOLE, weights=None), **files)


def only_open_clip():
    return {"open_clip_config.json": as_json(OPEN_CLIP), "merges.txt": MERGES.encode(),
            "open_clip_model.safetensors": OPENAI_WEIGHTS}


def test_layouts():
    hub, place = Hub(shards()), Place()
    ok(place.run("own/net", hub=hub) and
       [n for n in place.files("net") if n.startswith("model")] == [
           "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
           "model.safetensors.index.json"], "sharded", place.log)
    ok(place.run("own/net", hub=hub) and "is complete" in place.log, "and complete", place.log)
    hub.close()
    hub, place = Hub({k: v for k, v in shards().items() if "00002-of" not in k}), Place()
    fails(place, "names model-00002-of-00002.safetensors, which is not there", "a shard is missing",
          "own/net", hub=hub)
    hub.close()
    hub, place = Hub(with_files(shards(), index=as_json({"weight_map": {"a": "../evil"}}))), Place()
    fails(place, "names a shard that is not called", "an index that leads elsewhere", "own/net",
          hub=hub)
    hub.close()

    only = only_open_clip()
    hub, place = Hub(only), Place()
    ok(place.run("own/net", hub=hub) and
       place.files("net") == sorted(list(only) + ["source.json"]) and
       place.read("net", "open_clip_model.safetensors") == OPENAI_WEIGHTS and
       place.json("net", "open_clip_config.json") == OPEN_CLIP, "open_clip's layout",
       "%s\n%s" % (place.files("net") if place.left() else "", place.log))
    hub.close()

    renamed = {"model.safetensors" if k.startswith("open_clip_model") else k: v
               for k, v in only.items()}
    place = Place()
    source = write_directory(os.path.join(place.dir, "net"), renamed)
    ok(place.run(source) and "open_clip_model.safetensors" in place.files("net") and
       "model.safetensors" not in place.files("net"), "its weights under another name", place.log)
    place = Place()
    source = write_directory(os.path.join(place.dir, "net"), with_files(
        WHOLE, weights=None, open_clip_weights=OPENAI_WEIGHTS))
    ok(place.run(source) and "config.json" not in place.files("net"),
       "with transformers' configuration alone", place.log)
    made = place.json("net", "open_clip_config.json")["model_cfg"]
    ok(made == {
        "embed_dim": JOINT, "quick_gelu": True,
        "vision_cfg": {"image_size": SIZE, "layers": LAYERS, "width": WIDTH, "head_width": 64,
                       "mlp_ratio": 2.0, "patch_size": PATCH},
        "text_cfg": {"context_length": CONTEXT, "vocab_size": WORDS, "width": WIDTH, "heads": 1,
                     "layers": LAYERS, "mlp_ratio": 2.0}}, "open_clip's is made of it", made)
    place = Place()
    source = write_directory(os.path.join(place.dir, "net"), with_files(
        only, open_clip_weights=HF_WEIGHTS))
    ok(place.run(source) and "open_clip_config.json" not in place.files("net") and
       "model.safetensors" in place.files("net"), "and the other way round", place.log)
    config = place.json("net", "config.json")
    ok(config["model_type"] == "clip" and config["projection_dim"] == JOINT and
       config["vision_config"]["num_attention_heads"] == 2 and
       config["vision_config"]["intermediate_size"] == FEED and
       config["text_config"]["hidden_act"] == "gelu" and
       config["text_config"]["eos_token_id"] == WORDS - 1, "transformers' is made of open_clip's",
       config)
    ok(place.json("net", "preprocessor_config.json")["image_mean"] == [0.5] * 3,
       "its preprocessing too")

    both = with_files(dict(WHOLE, **only), bin=b"a pickle")
    hub, place = Hub(both), Place()
    ok(place.run("own/net", hub=hub) and place.read("net", "model.safetensors") == HF_WEIGHTS and
       not hub.fetched("pytorch_model.bin") and not hub.fetched("open_clip_model.safetensors"),
       "model.safetensors is preferred", place.log)
    ok("open_clip_config.json" not in place.files("net"), "and comes with its own configuration")
    hub.close()

    merges = [["a", "b"], ["c", "d"]]
    for kind, value in (("pairs", merges), ("strings", [" ".join(m) for m in merges])):
        hub, place = Hub(with_files(WHOLE, merges=None, tokenizer=as_json(
            {"model": {"type": "BPE", "merges": value}}))), Place()
        ok(place.run("own/net", hub=hub) and place.read("net", "merges.txt") == MERGES.encode() and
           "tokenizer.json" not in place.files("net"), "merges of tokenizer.json: %s" % kind,
           place.log)
        hub.close()

    for name, changes, pattern in (
            ("another architecture", {"config": as_json({"model_type": "siglip"})},
             "unsupported architecture: model_type siglip"),
            ("config.json is no JSON", {"config": b"{"}, "config.json is not a JSON object"),
            ("no weights", {"weights": None}, "no weights of CLIP there")):
        hub, place = Hub(with_files(WHOLE, **changes)), Place()
        fails(place, pattern, name, "own/net", hub=hub)
        ok(not hub.fetched("model.safetensors"), "and its weights were not fetched")
        hub.close()

    resnet = json.loads(json.dumps(OPEN_CLIP))
    resnet["model_cfg"]["vision_cfg"]["layers"] = [3, 4, 6, 3]
    hub, place = Hub(with_files(only, open_clip=as_json(resnet))), Place()
    fails(place, "unsupported architecture: ResNet image tower", "RN50 by its configuration",
          "own/net", hub=hub)
    hub.close()
    timm = json.loads(json.dumps(OPEN_CLIP))
    timm["model_cfg"]["vision_cfg"]["timm_model_name"] = "vit"
    hub, place = Hub(with_files(only, open_clip=as_json(timm))), Place()
    fails(place, "unsupported architecture: vision_cfg.timm_model_name", "a tower of another library",
          "own/net", hub=hub)
    hub.close()


def test_damaged():
    """Weights that are not what they should be, out of directories."""
    shapes = hf_shapes()
    del shapes["text_projection.weight"]
    header = struct.pack("<Q", 10) + b"not json!!"
    gap = safetensors({"a": (4,)}).replace(b"[0, 16]", b"[8, 24]")
    for name, weights, pattern in (
            ("RN50 by its weights", safetensors(dict(openai_shapes(),
             **{"visual.layer1.0.conv1.weight": (4, 4, 1, 1)})),
             "unsupported architecture: ResNet image tower"),
            ("weights cut off", HF_WEIGHTS[:-1], "bytes where its header asks for"),
            ("weights too long", HF_WEIGHTS + b"x", "bytes where its header asks for"),
            ("a header longer than the file", struct.pack("<Q", 1 << 40) + b"{}", "is cut off"),
            ("an empty file", b"", "is cut off"),
            ("a header that is no JSON", header, "a header that is not valid"),
            ("a gap", gap, "overlap or leave gaps"),
            ("no CLIP", safetensors({"a": (2,)}), "no CLIP image tower"),
            ("half a CLIP", safetensors(shapes), "the weights lack text_projection.weight")):
        place = Place()
        fails(place, pattern, name,
              write_directory(os.path.join(place.dir, "net"), with_files(WHOLE, weights=weights)))
    config = json.loads(json.dumps(CONFIG))
    config["vision_config"]["num_hidden_layers"] = 3
    place = Place()
    fails(place, "does not fit the weights: vision_config.num_hidden_layers is 3, and should be 2",
          "the configuration of another model",
          write_directory(os.path.join(place.dir, "net"), with_files(WHOLE, config=as_json(config))))


# ---- directories and files

def test_directory():
    place = Place()
    source = write_directory(os.path.join(place.dir, "My Net"),
                             with_files(WHOLE, weights=None, golden=b"{}"))
    with open(os.path.join(place.dir, "blob"), "wb") as f:
        f.write(HF_WEIGHTS)
    os.symlink("../blob", os.path.join(source, "model.safetensors"))
    ok(place.run(source + "/") and place.left() == ["mynet"], "a directory", place.log)
    weights = os.path.join(place.models, "mynet", "model.safetensors")
    status = os.lstat(weights)
    ok(not os.path.islink(weights) and status.st_nlink == 1 and
       place.read("mynet", "model.safetensors") == HF_WEIGHTS, "its files are copied, not linked")
    ok(status.st_mode & 0o777 == 0o644 and
       os.stat(os.path.join(place.models, "mynet")).st_mode & 0o777 == 0o755,
       "everyone may read them")
    ok("golden.json" in place.files("mynet"), "golden.json comes along")
    ok(place.run(source) and "is complete" in place.log, "run again it does nothing", place.log)
    with open(os.path.join(source, "golden.json"), "w") as f:
        f.write("{ }")
    ok(place.run(source) and place.read("mynet", "golden.json") == b"{ }",
       "run after a change it copies again", place.log)
    os.mkdir(os.path.join(place.models, "mini"))
    fails(place, "mini is there and was not made by fetch-model", "another's directory is kept",
          source, "--name", "mini", left=["mini", "mynet"])

    place = Place()
    source = write_directory(os.path.join(place.dir, "net"), with_files(WHOLE, preprocessor=None))
    ok(place.run(source), "without preprocessor_config.json", place.log)
    made = place.json("net", "preprocessor_config.json")
    ok(made["crop_size"] == {"height": SIZE, "width": SIZE} and
       made["image_mean"][0] == 0.48145466, "CLIP's own is written", made)

    place = Place()
    source = write_directory(os.path.join(place.dir, "net"), {
        "config.json": as_json({"model_type": "conse"}), "vocab.txt": b"a\n", "labels.txt": b"b\n",
        "preprocessor_config.json": b"{}", "model.safetensors": safetensors({"a": (2,)})})
    write_directory(os.path.join(source, "licenses"), {"one.txt": b"free"})
    ok(place.run(source) and place.read("net", "licenses/one.txt") == b"free" and
       "merges.txt" not in place.files("net"), "a model of the kind of mini", place.log)


def bpe_file(path):
    lines = ['"bpe_simple_vocab_16e6.txt#version: 0.2'] + ["a%d b" % i for i in range(60000)]
    with gzip.open(path, "wb") as f:
        f.write("\n".join(lines).encode())
    return path


def test_single():
    place = Place()
    bpe = bpe_file(os.path.join(place.dir, "bpe.txt.gz"))
    both = write_directory(os.path.join(place.dir, "both"), with_files(
        dict(WHOLE, **only_open_clip()), preprocessor=as_json(
            {"image_mean": [0.4] * 3, "image_std": [0.5] * 3})))
    ok(place.run(both, "--name", "both") and "differ in mean or std" in place.log,
       "two configurations that differ are told", place.log)
    shutil.rmtree(os.path.join(place.models, "both"))
    alone = write_directory(os.path.join(place.dir, "alone"), {"ViT-x.safetensors": OPENAI_WEIGHTS})
    alone = os.path.join(alone, "ViT-x.safetensors")
    fails(place, "does not tell its activation", "weights alone", alone, "--merges", bpe)
    resnet = write_directory(os.path.join(place.dir, "rn50"), {"model.safetensors": safetensors({
        "visual.layer1.0.conv1.weight": (4, 4, 1, 1)})})
    fails(place, "unsupported architecture: ResNet image tower", "RN50 alone", resnet)
    ok(place.run(alone, "--merges", bpe, "--activation", "gelu") and place.left() == ["vit-x"],
       "a single .safetensors file", place.log)
    config = place.json("vit-x", "open_clip_config.json")["model_cfg"]
    ok(config["quick_gelu"] is False and config["vision_cfg"]["image_size"] == SIZE and
       config["text_cfg"]["layers"] == LAYERS, "its configuration is its shapes'", config)
    merges = place.read("vit-x", "merges.txt").decode().split("\n")
    ok(merges[0] == "#version: 0.2" and len(merges) == 48896 and merges[1] == "a0 b" and
       merges[48894] == "a48893 b" and merges[48895] == "", "merges as the hub has them")
    again = os.path.join(place.models, "vit-x", "merges.txt")
    ok(place.run(alone, "--merges", again, "--activation", "gelu", "--name", "b") and
       place.read("b", "merges.txt") == place.read("vit-x", "merges.txt"),
       "from which they are taken too", place.log)
    with open(os.path.join(place.dir, "short"), "w") as f:
        f.write(MERGES)
    fails(place, "does not hold CLIP's 48894 merges", "merges of something else", alone,
          "--merges", os.path.join(place.dir, "short"), "--activation", "gelu", "--name", "c",
          left=["b", "vit-x"])
    fails(place, "neither safetensors nor", "a file of another kind",
          bpe, "--name", "c", left=["b", "vit-x"])

    place = Place()
    source = write_directory(os.path.join(place.dir, "net"), WHOLE)
    ok(place.run(os.path.join(source, "model.safetensors"), "--name", "beside") and
       "with config.json" in place.log and place.read("beside", "merges.txt") == MERGES.encode(),
       "with what lies beside it", place.log)


def test_without_torch():
    hub, place = Hub(with_files(WHOLE, weights=None, bin=b"x" * 9000)), Place()
    fails(place, "pytorch_model.bin has to be converted, and PyTorch is not installed",
          "a .bin without torch", "own/net", hub=hub)
    ok(not hub.fetched("pytorch_model.bin"), "is not even fetched")
    hub.close()


def test_make():
    """What make passes on, and what it leaves alone."""
    place = Place()
    source = write_directory(os.path.join(place.dir, "it's a net"), WHOLE)

    def make(*arguments, **env):
        return subprocess.run(
            ["make", "-s", "model", "MODELS_DIR=" + place.models, "PRECISIONS="] +
            list(arguments), cwd=ROOT,
            env=place.environment(MMODAL_CACHE=place.cache, **env), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, universal_newlines=True)
    result = make("MODEL=" + source, "NAME=own-name")
    ok(result.returncode == 0 and place.left() == ["own-name"], "make model MODEL= NAME=",
       result.stdout)
    result = make("MODEL=" + source, NAME="of-the-machine")
    ok(result.returncode == 0 and place.left() == ["itsanet", "own-name"],
       "a NAME of the environment is not meant", result.stdout)

    server = os.path.join(place.dir, "server")
    installer = [os.path.join(ROOT, "scripts", "install-models"), place.models, server]
    subprocess.run(installer, check=True)
    shutil.rmtree(source)
    write_directory(source, shards())
    make("MODEL=" + source, "NAME=own-name")
    subprocess.run(installer, check=True)
    here = sorted(os.listdir(os.path.join(server, "own-name")))
    ok("model.safetensors" not in here and "model.safetensors.index.json" in here and
       "model.safetensors" in os.listdir(os.path.join(server, "itsanet")),
       "installed weights of a layout that is gone go too", here)

    tiny = os.path.join(ROOT, "build", "clip", "checkpoints", "tiny-quick-hf-f32")
    if os.path.isdir(tiny):
        result = make("MODEL=" + tiny, "PRECISIONS=float32 int8")
        packs = [f for f in place.files("tiny-quick-hf-f32") if f.endswith(".pack")]
        ok(sorted(p.split(".")[1] for p in packs) == ["float32", "int8"], "packs are made",
           result.stdout)
    else:
        skip("packs are made", "make checkpoints makes what is needed")


# ---- with torch

def has_torch():
    return importlib.util.find_spec("torch") is not None


def read_tensors(data):
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return {name: (e["dtype"], tuple(e["shape"]), data[8 + length:][slice(*e["data_offsets"])])
            for name, e in header.items()}


def test_torch():
    name = "conversion of PyTorch's files"
    if not has_torch():
        skip(name, "torch is not installed for %s" % sys.executable)
        return
    import torch

    def bits(tensor):
        return bytes(tensor.contiguous().view(-1).view(torch.uint8).tolist())

    kinds = [torch.float32, torch.float16, torch.bfloat16]
    codes = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    state = {n: torch.randn(shape).to(kinds[i % 3]) for i, (n, shape) in
             enumerate(hf_shapes().items())}
    state["text_projection.weight"] = torch.randn(WIDTH, JOINT).t()  # not contiguous
    state["visual_projection.weight"] = state["text_projection.weight"]  # shared
    state["text_model.embeddings.position_ids"] = torch.arange(CONTEXT)
    place = Place()
    source = write_directory(os.path.join(place.dir, "net"), with_files(WHOLE, weights=None))
    torch.save(state, os.path.join(source, "pytorch_model.bin"))
    ok(place.run(source, stubs=False), "pytorch_model.bin", place.log)
    made = read_tensors(place.read("net", "model.safetensors"))
    wanted = {n: (codes[t.dtype], tuple(t.shape), bits(t)) for n, t in state.items()
              if t.is_floating_point()}
    ok(made == wanted, "every tensor to the bit, in its own type")
    safe = importlib.util.find_spec("safetensors")
    if safe is None:
        skip("as safetensors reads them", "safetensors is not installed")
    else:
        from safetensors.torch import load_file
        loaded = load_file(os.path.join(place.models, "net", "model.safetensors"))
        ok(all(torch.equal(loaded[n], state[n]) for n in wanted), "as safetensors reads them")

    training = {"epoch": 3, "state_dict": {
        "module." + n: torch.randn(s) for n, s in openai_shapes().items()}}
    place = Place()
    source = write_directory(os.path.join(place.dir, "net"), {
        "open_clip_config.json": as_json(OPEN_CLIP), "merges.txt": MERGES.encode()})
    torch.save(training, os.path.join(source, "open_clip_pytorch_model.bin"))
    ok(place.run(source, stubs=False) and
       set(read_tensors(place.read("net", "open_clip_model.safetensors"))) ==
       set(openai_shapes()),
       "open_clip's .bin, a checkpoint of a training", place.log)

    def archive(path, shapes):
        """A TorchScript archive with these names, as OpenAI's are."""
        root = torch.nn.Module()
        for full, shape in shapes.items():
            at = root
            *inner, last = full.split(".")
            for part in inner:
                if not hasattr(at, part):
                    setattr(at, part, torch.nn.Module())
                at = getattr(at, part)
            at.register_parameter(last, torch.nn.Parameter(torch.randn(shape).half()))
        root.register_buffer("input_resolution", torch.tensor(SIZE))
        root.register_buffer("attn_mask", torch.zeros(CONTEXT, CONTEXT))
        torch.jit.script(root).save(path)
        return path

    place = Place()
    bpe = bpe_file(os.path.join(place.dir, "bpe.txt.gz"))
    # what lies beside an archive is not its own
    beside = write_directory(os.path.join(place.dir, "net"), {"config.json": b"{}"})
    path = archive(os.path.join(beside, "ViT-Y.pt"), openai_shapes())
    ok(place.run(path, "--merges", bpe, "--name", "clip-vit-y", stubs=False),
       "OpenAI's archive", place.log)
    made = read_tensors(place.read("clip-vit-y", "open_clip_model.safetensors"))
    ok(set(made) == set(openai_shapes()) and made["visual.proj"][0] == "F16",
       "its tensors, in half precision", sorted(made))
    config = place.json("clip-vit-y", "open_clip_config.json")["model_cfg"]
    ok(config["quick_gelu"] is True and config["vision_cfg"]["image_size"] == SIZE,
       "OpenAI's activation", config)
    resnet = archive(os.path.join(place.dir, "RN50.pt"), dict(
        openai_shapes(), **{"visual.layer1.0.conv1.weight": (4, 4, 1, 1)}))
    fails(place, "unsupported architecture: ResNet image tower", "RN50.pt is refused", resnet,
          "--merges", bpe, stubs=False, left=["clip-vit-y"])

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (os.path.join(place.dir, "evil"),))

    source = write_directory(os.path.join(place.dir, "bad"), with_files(WHOLE, weights=None))
    torch.save({"a": Evil()}, os.path.join(source, "pytorch_model.bin"))
    fails(place, "PyTorch cannot read pytorch_model.bin", "a pickle that wants to run something",
          source, stubs=False, left=["clip-vit-y"])
    ok(not os.path.exists(os.path.join(place.dir, "evil")), "does not")
    with open(os.path.join(source, "pytorch_model.bin"), "wb") as f:
        f.write(b"junk" * 100)
    fails(place, "PyTorch cannot read pytorch_model.bin", "a .bin that is none", source,
          stubs=False, left=["clip-vit-y"])


try:
    for test in (test_hub, test_refusals, test_resume, test_token, test_layouts, test_damaged,
                 test_directory, test_single, test_without_torch, test_make, test_torch):
        try:
            test()
        except Exception as e:  # the others are worth running
            import traceback
            ok(False, "%s ran to its end" % test.__name__, traceback.format_exc())
finally:
    shutil.rmtree(TOP, ignore_errors=True)
print("1..%d" % count)
sys.exit(min(failures, 1))
