#!/usr/bin/env python3
"""Reference outputs of CLIP's towers, by transformers and open_clip in float32.

    make_clip_goldens.py [OUTPUT-DIRECTORY]
    make_clip_goldens.py --real ARCH DIRECTORY [--layout hf] [--dtype f32] [--outliers]

The first makes the checkpoints that clip_checkpoint.py calls TESTS in a
temporary directory, loads each with the library whose layout it has, strictly,
and writes beside itself:

    clip_towers.txt     for each checkpoint a line
                            model NAME DIMS SIDE CONTEXT VOCABULARY TEXTS IMAGES AT
                        (all numbers but NAME), then TEXTS lines
                            ids N ID ... ID
    clip_towers.f32     little-endian float32; from float number AT on, for
                        that checkpoint:
                            TEXTS x DIMS    embeddings of the ids, normalised
                            IMAGES x DIMS   embeddings of the pictures
                            TEXTS           lengths before they were normalised
                            IMAGES          the same
                            IMAGES x TEXTS  logits: exp(logit_scale) times cosine
    clip_towers.json    versions; the weights files' hashes, which
                        clip_checkpoint.py --tests compares with what it made;
                        how far float32 is from float64; how far the layouts
                        are apart

The pixels of picture k are not stored.  With noise() as in tests/unit/pictures.h
(a hash of uint32 numbers, 0 to 255), channel c at (x, y) has the value

    v = (noise(x >> 2, y >> 2, 3 k + c) + noise(0, 1000, 3 k + c)) >> 1

and the tower sees (v / 255 - mean[c]) / std[c], each step in float32.

The second writes a checkpoint of a full size into DIRECTORY, and golden.json
as scripts/make-golden does.

Imports clip_checkpoint, which makes the data, and nothing else of this project
but what it shares with scripts/make-golden.
"""

import argparse
import json
import os
import sys
import tempfile

import numpy as np
import torch
import transformers

import clip_checkpoint
import clip_reference

IMAGES = 4
AGREEMENT = 1e-5  # of the layouts of one model, each by its own library


def noise(x, y, seed):
    h = (x * 374761393 + y * 668265263 + seed * 2246822519) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return h >> 24


def pixels(k, side):
    y, x = np.mgrid[0:side, 0:side].astype(np.uint64)
    rgb = np.empty((side, side, 3), np.uint8)
    for c in range(3):
        seed = 3 * k + c
        rgb[:, :, c] = (noise(x >> 2, y >> 2, seed) + noise(0, 1000, seed)) >> 1
    return clip_reference.normalise_pixels(rgb)


def sequences(context, vocabulary):
    """Lists of ids: start, any, end.  In one the end comes twice: the first is
    where the text is read off."""
    start, end = vocabulary - 2, vocabulary - 1
    lengths = [2, 3, 3, 4, 7, 7, 12, 20, 20, context - 1, context, context]
    out = []
    for i, length in enumerate(lengths):
        key = clip_checkpoint.key_of(i, "ids")
        words = [clip_checkpoint.splitmix(key + j) % (vocabulary - 2) for j in range(length - 2)]
        out.append([start] + words + [end])
    out[8][9] = end
    return out


class Golden:
    """What the reference says of one checkpoint."""

    def __init__(self, directory):
        self.reference = clip_reference.Reference(directory)
        r = self.reference
        self.ids = sequences(r.context, r.vocabulary)
        self.pixels = np.stack([pixels(k, r.image_size) for k in range(IMAGES)])
        self.texts, self.text_norms = clip_reference.normalised(r.texts(self.ids))
        self.images, self.image_norms = clip_reference.normalised(r.images(self.pixels))
        self.logits = np.float32(r.logit_scale() * (self.images.astype(np.float64)
                                                    @ self.texts.astype(np.float64).T))

    def float64_difference(self):
        """Spoils the reference for other use."""
        self.reference.to_double()
        texts, _ = clip_reference.normalised(self.reference.texts(self.ids))
        images, _ = clip_reference.normalised(self.reference.images(self.pixels))
        return float(max(abs(texts - self.texts).max(), abs(images - self.images).max()))

    def difference(self, other):
        return float(max(abs(self.texts - other.texts).max(),
                         abs(self.images - other.images).max()))

    def values(self):
        return np.concatenate([a.reshape(-1) for a in (
            self.texts, self.images, self.text_norms, self.image_norms, self.logits)])

    def lines(self, name, at):
        r = self.reference
        yield "model %s %d %d %d %d %d %d %d\n" % (name, r.dims, r.image_size, r.context,
                                                 r.vocabulary, len(self.ids), IMAGES, at)
        for ids in self.ids:
            yield "ids %d %s\n" % (len(ids), " ".join(map(str, ids)))


def check_senses(name, golden, calm):
    """A tower that hardly looks at its input would prove nothing."""
    for rows, least in ((golden.texts, 0.99 if calm else 0.7),
                        (golden.images, 0.998 if calm else 0.9)):
        cosines = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
        assert np.median(cosines) < least, "%s: embeddings are all alike: %s" % (name, cosines)
    # what comes after the first end changes nothing
    reference, twice = golden.reference, golden.ids[8]
    cut, _ = clip_reference.normalised(reference.texts([twice[:10]]))
    assert twice[9] == reference.end and abs(cut - golden.texts[8:9]).max() < AGREEMENT, name


def model_of(test):
    """Checkpoints that hold the same numbers.  OpenAI's own archives round only
    part of the tensors to float16."""
    return (test.arch, test.dtype, test.outliers, test.calm,
            test.layout == "openai" and test.dtype == "f16")


def make(out):
    same, places, lines, values, report = {}, 0, [], [], {}
    with tempfile.TemporaryDirectory() as work:
        for test in clip_checkpoint.TESTS:
            directory = os.path.join(work, test.name)
            clip_checkpoint.write_test(work, test)
            golden = Golden(directory)
            check_senses(test.name, golden, test.calm)
            apart = max((golden.difference(g) for g in same.get(model_of(test), [])), default=0.0)
            assert apart < AGREEMENT, "%s: layouts differ by %g" % (test.name, apart)
            same.setdefault(model_of(test), []).append(golden)
            lines.extend(golden.lines(test.name, places))
            values.append(golden.values())
            places += len(values[-1])
            report[test.name] = {
                "reference": golden.reference.description,
                "layouts_apart": float("%.2g" % apart),
                "float32_from_float64": float("%.2g" % golden.float64_difference()),
                "weights": clip_checkpoint.weights_hashes(directory)}
            print("%-36s float64 %.1e, other layouts %.1e" % (
                test.name, report[test.name]["float32_from_float64"], apart))
    with open(os.path.join(out, "clip_towers.txt"), "w", newline="\n") as f:
        f.writelines(lines)
    np.concatenate(values).astype("<f4").tofile(os.path.join(out, "clip_towers.f32"))
    with open(os.path.join(out, "clip_towers.json"), "w", newline="\n") as f:
        json.dump({"made_by": dict(clip_reference.versions(transformers), precision="float32"),
                   "files": {n: clip_checkpoint.sha256(os.path.join(out, n))
                             for n in ("clip_towers.txt", "clip_towers.f32")},
                   "checkpoints": report}, f, indent=1)
        f.write("\n")


def make_real(args):
    clip_checkpoint.write(args.directory, args.real, args.layout, args.dtype,
                          merges=clip_reference.default_bpe(), outliers=args.outliers,
                          calm=True)
    path = clip_reference.write_golden(args.directory)
    print("%s: %d bytes" % (path, os.path.getsize(path)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", nargs="?",
                        default=os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--real", metavar="ARCH", choices=list(clip_checkpoint.ARCHITECTURES))
    parser.add_argument("--layout", default="hf", choices=clip_checkpoint.LAYOUTS)
    parser.add_argument("--dtype", default="f32", choices=clip_checkpoint.DTYPES)
    parser.add_argument("--outliers", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(0)  # of weights that loading replaces
    try:
        if args.real:
            make_real(args)
        else:
            make(args.directory)
    except clip_reference.Failure as e:
        sys.exit("make_clip_goldens: %s" % e)


if __name__ == "__main__":
    main()
