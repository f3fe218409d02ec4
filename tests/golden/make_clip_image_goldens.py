#!/usr/bin/env python3
"""Write down the tensors that CLIP's transform makes of pictures.

    make_clip_image_goldens.py [FILE]        default: clip_images.txt, beside this script

Needs Pillow >= 13 and numpy, and nothing of this repository but the pictures
that make_image_goldens.py drew.  The result is in the repository: run this only
to change it.  Hashes are FNV-1a, 64 bits, over the float32 tensor, little-endian,
plane by plane (R, G, B).

The transform is that of torchvision and OpenAI: Resize(short side) with Pillow's
bicubic, CenterCrop, ToTensor (v / 255 in float32), Normalize (minus mean, by std).

Lines (# begins a comment); ORDER is the Pillow whose order of passes is meant:
    pattern W H SHORTEST CROP ORDER HASH     of pattern(W, H)
    file    NAME SHORTEST CROP ORDER HASH    of pictures/NAME, in its canonical RGB
    values  W H SHORTEST CROP ORDER V ...    the whole tensor, for a readable difference
"""
import hashlib
import os
import sys

import numpy as np
import PIL
from PIL import Image, ImageOps

HERE = os.path.dirname(os.path.abspath(__file__))
PICTURES = os.path.join(HERE, "pictures")
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "clip_images.txt")
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
Image.MAX_IMAGE_PIXELS = None


def fnv(data):
    h = 14695981039346656037
    for b in bytes(data):
        h = ((h ^ b) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return "%016x" % h


def canonical(img):
    img = ImageOps.exif_transpose(img)
    if "transparency" in img.info or img.mode in ("RGBA", "LA", "PA"):
        rgba = img.convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return img.convert("RGB")


def pattern(w, h):
    """What test_transform.c makes too: noise, a gradient, hard black-white edges."""
    i = np.arange(w * h * 3, dtype=np.uint64).reshape(h, w, 3)
    x = (i * 2654435761 + 12345) & 0xFFFFFFFF
    x ^= x >> np.uint64(15)
    x = (x * 2246822519) & 0xFFFFFFFF
    x ^= x >> np.uint64(13)
    noise = x >> np.uint64(24)
    px = np.arange(w, dtype=np.uint64)[None, :, None]
    py = np.arange(h, dtype=np.uint64)[:, None, None]
    edges = ((px // 5 + py // 3) % 2) * 255
    smooth = (px * 7 + py * 3) % 256
    out = np.where((py // 16) % 3 == 0, noise, np.where((py // 16) % 3 == 1, edges, smooth))
    return Image.fromarray(np.broadcast_to(out, (h, w, 3)).astype(np.uint8))


def resize(img, shortest, order):
    w, h = img.size
    if w <= h:
        w2, h2 = shortest, int(shortest * h / w)
    else:
        w2, h2 = int(shortest * w / h), shortest
    if order == 12:  # horizontal first: two resizes of one pass each
        img = img.resize((w2, h), Image.BICUBIC)
    return img.resize((w2, h2), Image.BICUBIC)


def center_crop(img, n):
    w, h = img.size
    if n > w or n > h:
        left, top = max(0, (n - w) // 2), max(0, (n - h) // 2)
        padded = Image.new("RGB", (max(w, n), max(h, n)))
        padded.paste(img, (left, top))
        img, (w, h) = padded, padded.size
    top, left = int(round((h - n) / 2.0)), int(round((w - n) / 2.0))
    return img.crop((left, top, left + n, top + n))


def tensor(img, shortest, crop, order):
    a = np.asarray(center_crop(resize(img, shortest, order), crop))
    a = a.astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(((a - MEAN) / STD).astype("<f4").transpose(2, 0, 1))


lines = []
moved = 0  # pictures on which the two orders differ


def put_pattern(w, h, shortest=224, crop=None):
    global moved
    crop = crop or shortest
    a = [fnv(tensor(pattern(w, h), shortest, crop, order).tobytes()) for order in (12, 13)]
    moved += a[0] != a[1]
    for order in (12, 13) if a[0] != a[1] else (13,):
        lines.append("pattern %d %d %d %d %d %s" % (w, h, shortest, crop, order, a[order - 12]))


def patterns():
    # nothing to do; a side off by one; one pixel; enlargements
    for w, h in ((224, 224), (225, 224), (224, 225), (223, 224), (224, 223), (1, 1), (2, 1), (1, 3),
                 (7, 5), (5, 7), (30, 41), (100, 160), (160, 100), (223, 223), (225, 225), (448, 448)):
        put_pattern(w, h)
    # one pixel wide or high: the whole result would be a million pixels long
    for w, h in ((1, 900), (900, 1), (2, 700), (3, 1000)):
        put_pattern(w, h)
    # length - 224 takes every remainder by 4, in both directions
    for i in range(12):
        put_pattern(448, 448 + 2 * i)
        put_pattern(448 + 2 * i, 448)
    # 224 * long / short is not whole
    for w, h in ((301, 203), (203, 301), (333, 500), (500, 333), (640, 427), (427, 640), (1023, 768), (767, 1024)):
        put_pattern(w, h)
    # reductions by much, portraits so tall that Pillow 13 begins with the columns
    for w, h in ((1024, 768), (768, 1024), (600, 1300), (300, 1500), (250, 900), (240, 2000), (900, 250),
                 (230, 700), (1200, 2600), (2000, 1500)):
        put_pattern(w, h)
    # other sizes of crop and short side, padding included
    for shortest, crop in ((256, 224), (249, 224), (225, 224), (336, 336), (32, 32), (8, 7), (20, 31), (21, 30)):
        for w, h in ((320, 240), (240, 321), (33, 100)):
            put_pattern(w, h, shortest, crop)
    for w, h in ((9, 7), (5, 12)):
        values = tensor(pattern(w, h), 6, 4, 13).ravel()
        lines.append("values %d %d 6 4 13 %s" % (w, h, " ".join(float(v).hex() for v in values)))


def files():
    for name in sorted(os.listdir(PICTURES)):
        if not name.startswith(("jpeg_", "exif_6", "png_rgba.", "png_palette.", "webp_", "shape_60x700", "tall")):
            continue
        if name.endswith(".rgb16"):
            continue
        with Image.open(os.path.join(PICTURES, name)) as img:
            rgb = canonical(img)
        for order in (12, 13) if name.startswith(("shape", "tall")) else (13,):
            lines.append("file %s 224 224 %d %s" % (name, order, fnv(tensor(rgb, 224, 224, order).tobytes())))


patterns()
files()
body = "\n".join(lines) + "\n"
with open(OUT, "w") as f:
    f.write("# made by make_clip_image_goldens.py with Python %s, Pillow %s, numpy %s\n"
            % (sys.version.split()[0], PIL.__version__, np.__version__))
    f.write("# SHA-256 of the lines below: %s\n" % hashlib.sha256(body.encode()).hexdigest())
    f.write(body)
print("%d lines; the order of passes matters to %d patterns" % (len(lines), moved))
