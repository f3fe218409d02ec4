#!/usr/bin/env python3
"""Draw the pictures that the decoder and resize tests read, and write down what
Pillow makes of them.

    make_image_goldens.py [DIRECTORY]        default: pictures/, beside this script

Needs Pillow >= 13 and numpy, and nothing of this repository.  The result is in
the repository: run this only to change it.  Hashes are FNV-1a, 64 bits, over
8-bit RGB, row by row.

Lines of manifest.txt (# begins a comment):
    picture FILE STATUS WIDTH HEIGHT HASH HASH224    the canonical RGB; letterboxed to 224
    small   FILE RGBFILE                             letterboxed to 16, whole (16 x 16 x 3 bytes)
    prefix  FILE LENGTH                              shortest beginning of it that Pillow loads
    resize  W H W2 H2 HASH                           pattern(W, H), bicubic
"""
import hashlib
import io
import os
import struct
import sys
import zlib

import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageOps, features

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "pictures")
Image.MAX_IMAGE_PIXELS = None
lines = []


# ---- the reference: canonical RGB, letterbox, hash -------------------------

def fnv(data):
    h = 14695981039346656037
    for b in bytes(data):
        h = ((h ^ b) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return "%016x" % h


def over_white(rgba):
    white = Image.new("RGB", rgba.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def canonical(img):
    img = ImageOps.exif_transpose(img)
    if img.mode.startswith("I;16"):  # our rule: the high byte; Pillow's convert clips
        img = Image.fromarray((np.asarray(img) >> 8).astype(np.uint8))
    if "transparency" in img.info or img.mode in ("RGBA", "LA", "PA"):
        return over_white(img.convert("RGBA"))
    return img.convert("RGB")


def letterbox(img, size):
    w, h = img.size
    scale = size / max(w, h)
    w, h = max(1, round(w * scale)), max(1, round(h * scale))
    square = Image.new("RGB", (size, size), "white")
    square.paste(img.resize((w, h), Image.BICUBIC), ((size - w) // 2, (size - h) // 2))
    return square


# ---- content ----------------------------------------------------------------

def pattern(w, h):
    """What test_resize.c makes too: noise, a gradient, hard black-white edges."""
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


def scene(w, h, seed, noise=6):
    """Gradients, shapes and a little noise."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    a = np.stack([255 * x / max(w - 1, 1), 255 * y / max(h - 1, 1),
                  127 + 120 * np.sin(x * 9.0 / w + y * 5.0 / h + seed)], axis=-1)
    img = Image.fromarray(np.clip(a, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(img)
    for _ in range(12):
        cx, cy = rng.randint(0, w), rng.randint(0, h)
        r = int(rng.randint(1, max(2, min(w, h) // 3 + 1)))
        shape = draw.ellipse if rng.rand() < 0.5 else draw.rectangle
        shape([cx - r, cy - r, cx + r, cy + r], fill=tuple(int(v) for v in rng.randint(0, 256, 3)))
    a = np.asarray(img).astype(np.int64) + rng.randint(-noise, noise + 1, (h, w, 3))
    return Image.fromarray(np.clip(a, 0, 255).astype(np.uint8))


def with_alpha(img):
    w, h = img.size
    y, x = np.mgrid[0:h, 0:w]
    alpha = np.clip((x * 3 + y * 2) * 255 // max(1, 3 * w + 2 * h - 5), 0, 255).astype(np.uint8)
    alpha[: h // 4, : w // 4] = 0
    img = img.convert("RGBA")
    img.putalpha(Image.fromarray(alpha))
    return img


# ---- PNG kinds that Pillow does not write ------------------------------------

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_rows(samples, depth, filters):
    """samples: h x w x channels, integers below 2^depth; every row filtered in turn."""
    h, w, n = samples.shape
    bpp = max(1, n * depth // 8)
    out, prior = b"", None
    for y in range(h):
        if depth == 16:
            row = samples[y].astype(">u2").tobytes()
        elif depth == 8:
            row = samples[y].astype(np.uint8).tobytes()
        else:
            bits = "".join(format(v, "0%db" % depth) for v in samples[y].ravel())
            bits += "0" * (-len(bits) % 8)
            row = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
        cur = np.frombuffer(row, np.uint8).astype(np.int64)
        up = np.zeros_like(cur) if prior is None else prior
        left = np.concatenate([np.zeros(bpp, np.int64), cur])[: len(cur)]
        corner = np.concatenate([np.zeros(bpp, np.int64), up])[: len(cur)]
        p = left + up - corner
        pa, pb, pc = abs(p - left), abs(p - up), abs(p - corner)
        paeth = np.where((pa <= pb) & (pa <= pc), left, np.where(pb <= pc, up, corner))
        f = y % 5 if filters else 0
        guess = [0, left, up, (left + up) // 2, paeth][f]
        out += bytes([f]) + ((cur - guess) & 255).astype(np.uint8).tobytes()
        prior = cur
    return out


def png(samples, depth, color, before=b"", after=b"", interlace=False, filters=True):
    h, w, _ = samples.shape
    if interlace:
        raw = b"".join(png_rows(samples[y0::dy, x0::dx], depth, filters) for x0, y0, dx, dy in ADAM7
                       if samples[y0::dy, x0::dx].size)
    else:
        raw = png_rows(samples, depth, filters)
    z = zlib.compress(raw, 9)
    cut = len(z) // 2  # two IDATs
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, int(interlace)))
            + before + chunk(b"IDAT", z[:cut]) + chunk(b"IDAT", z[cut:]) + after + chunk(b"IEND", b""))


# ---- JPEG kinds that Pillow does not write -----------------------------------

ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, (i // 8 if (i // 8 + i % 8) % 2 else i % 8)))


def bits_of(value):
    """Category and bits of a coefficient (ITU T.81, F.1.2.1)."""
    n = int(abs(value)).bit_length()
    return n, format(value if value > 0 else value + (1 << n) - 1, "0%db" % n) if n else ""


def jpeg(planes, sampling, adobe=None, step=6):
    """Baseline JPEG of planes (h x w each, of one size), one interleaved scan.

    sampling: (horizontal, vertical) for each; a plane with less than the most is
    averaged down.  Codes of one length each: 4 bits for the categories of DC, 8 for AC.
    """
    h, w = planes[0].shape
    hmax, vmax = max(s[0] for s in sampling), max(s[1] for s in sampling)
    mx, my = -(-w // (8 * hmax)), -(-h // (8 * vmax))
    k = np.arange(8)
    dct = np.cos((2 * k[None, :] + 1) * k[:, None] * np.pi / 16) * np.where(k == 0, np.sqrt(0.125), 0.5)[:, None]
    blocks = []
    for plane, (sh, sv) in zip(planes, sampling):
        full = np.pad(plane.astype(np.float64), ((0, my * 8 * vmax - h), (0, mx * 8 * hmax - w)), "edge")
        small = full.reshape(my * 8 * sv, vmax // sv, mx * 8 * sh, hmax // sh).mean(axis=(1, 3)) - 128
        tiles = small.reshape(my * sv, 8, mx * sh, 8).swapaxes(1, 2)
        blocks.append(np.rint(dct @ tiles @ dct.T / step).astype(int).reshape(my * sv, mx * sh, 64)[:, :, ZIGZAG])
    ac = [16 * run + size for run in range(16) for size in range(1, 11)] + [0, 0xF0]
    out, last = [], [0] * len(planes)
    for y, x in np.ndindex(my, mx):
        for c, (sh, sv) in enumerate(sampling):
            for v, u in np.ndindex(sv, sh):
                b = [int(i) for i in blocks[c][y * sv + v, x * sh + u]]
                n, bits = bits_of(b[0] - last[c])
                last[c] = b[0]
                out.append(format(n, "04b") + bits)
                run = 0
                end = max([i for i in range(1, 64) if b[i]], default=0)
                for i in range(1, end + 1):
                    if b[i] == 0 and run < 15:
                        run += 1
                        continue
                    n, bits = bits_of(b[i])
                    out.append(format(ac.index(16 * run + n), "08b") + bits)
                    run = 0
                if end < 63:
                    out.append(format(ac.index(0), "08b"))
    out = "".join(out)
    out += "1" * (-len(out) % 8)
    data = bytes(int(out[i:i + 8], 2) for i in range(0, len(out), 8)).replace(b"\xff", b"\xff\0")

    def segment(marker, body):
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    n = len(planes)
    return (b"\xff\xd8"
            + (segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, adobe)) if adobe is not None else b"")
            + segment(0xDB, bytes([0]) + bytes([step]) * 64)
            + segment(0xC0, struct.pack(">BHHB", 8, h, w, n)
                      + b"".join(bytes([c + 1, 16 * s[0] + s[1], 0]) for c, s in enumerate(sampling)))
            + segment(0xC4, bytes([0, 0, 0, 0, 12] + [0] * 12) + bytes(range(12)))
            + segment(0xC4, bytes([0x10] + [0] * 7 + [len(ac)] + [0] * 8) + bytes(ac))
            + segment(0xDA, bytes([n]) + b"".join(bytes([c + 1, 0]) for c in range(n)) + bytes([0, 63, 0]))
            + data + b"\xff\xd9")


def inverted_cmyk(img, seed):
    """Four planes as Adobe writes them, with a black plane of its own."""
    rgb = np.asarray(img)
    black = np.asarray(scene(*img.size, seed).convert("L"))
    return [rgb[:, :, 0], rgb[:, :, 1], rgb[:, :, 2], 255 - black // 3]


# ---- WebP's container ----------------------------------------------------------

def riff(*chunks):
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
                              for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_chunks(data):
    at, found = 12, []
    while at < len(data):
        size = struct.unpack("<I", data[at + 4:at + 8])[0]
        found.append((data[at:at + 4], data[at + 8:at + 8 + size]))
        at += 8 + size + size % 2
    return found


def vp8x(w, h, flags):
    return b"VP8X", struct.pack("<I", flags) + struct.pack("<I", w - 1)[:3] + struct.pack("<I", h - 1)[:3]


# ---- BMP kinds that Pillow does not write ------------------------------------

def bmp_rows(px, bits, top_down):
    h, w = px.shape[:2]
    rows = []
    for y in range(h):
        if bits < 8:
            s = "".join(format(v, "0%db" % bits) for v in px[y])
            s += "0" * (-len(s) % 8)
            row = bytes(int(s[i:i + 8], 2) for i in range(0, len(s), 8))
        else:
            row = px[y].tobytes()
        rows.append(row + b"\0" * (-len(row) % 4))
    return b"".join(rows if top_down else rows[::-1])


def bmp(px, bits, palette=b"", header=40, compression=0, masks=(), top_down=False, colors=0):
    h, w = px.shape[:2]
    rows = bmp_rows(px, bits, top_down)
    if header == 12:
        info = struct.pack("<IHHHH", 12, w, h, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, w, -h if top_down else h, 1, bits, compression,
                           len(rows), 2835, 2835, colors, 0)
        if header > 40:
            info += b"".join(struct.pack("<I", m) for m in masks)
            info = info.ljust(header, b"\0")
        elif compression == 3:
            info += b"".join(struct.pack("<I", m) for m in masks)
    offset = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + info + palette + rows


# ---- writing -----------------------------------------------------------------

def put(name, data, expected=None, status="ok", small=False):
    """expected: the canonical RGB where Pillow's own reading is not the rule."""
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data)
    if status != "ok":
        lines.append("picture %s %s 0 0 0 0" % (name, status))
        return
    rgb = expected if expected is not None else canonical(Image.open(io.BytesIO(data)))
    lines.append("picture %s ok %d %d %s %s" % (name, *rgb.size, fnv(rgb.tobytes()),
                                                fnv(letterbox(rgb, 224).tobytes())))
    if small:
        rgbfile = os.path.splitext(name)[0] + ".rgb16"
        with open(os.path.join(OUT, rgbfile), "wb") as f:
            f.write(letterbox(rgb, 16).tobytes())
        lines.append("small %s %s" % (name, rgbfile))


def encode(img, fmt, **options):
    f = io.BytesIO()
    img.save(f, fmt, **options)
    return f.getvalue()


def rgb_of(array):
    """An h x w or h x w x 3 array of 0..255 as RGB."""
    return Image.fromarray(array.astype(np.uint8)).convert("RGB")


def shapes():
    sizes = [(1, 1), (1, 5000), (5000, 1), (223, 223), (224, 224), (225, 225), (223, 150), (224, 100),
             (100, 224), (225, 97), (97, 225), (7, 5), (30, 41), (2, 3), (60, 700), (301, 203), (448, 448),
             (449, 3), (3, 449), (33, 32)]
    for i, (w, h) in enumerate(sizes):
        put("shape_%dx%d.png" % (w, h), encode(scene(w, h, i, noise=2), "PNG", optimize=True),
            small=i in (0, 3, 10))
    put("tall_600x2000.jpg", encode(scene(600, 2000, 40, noise=1), "JPEG", quality=60), small=True)
    put("photo_4000x3000.jpg", encode(scene(4000, 3000, 41, noise=0), "JPEG", quality=50))


def jpegs():
    odd, n = scene(203, 149, 50), 0
    for name, sub in (("444", 0), ("422", 1), ("420", 2), ("411", "4:1:1")):
        for progressive in (False, True):
            data = encode(odd, "JPEG", quality=88 - n, subsampling=sub, progressive=progressive)
            put("jpeg_%s%s.jpg" % (name, "_progressive" if progressive else ""), data, small=n == 4)
            n += 1
    gray = odd.convert("L")
    put("jpeg_gray.jpg", encode(gray, "JPEG", quality=80))
    put("jpeg_gray_progressive.jpg", encode(gray, "JPEG", quality=80, progressive=True))
    put("jpeg_rgb.jpg", encode(odd, "JPEG", quality=80, keep_rgb=True))
    put("jpeg_cmyk.jpg", encode(odd.convert("CMYK"), "JPEG", quality=80))
    put("jpeg_cmyk_noise.jpg", encode(Image.merge("CMYK", [scene(75, 58, 90 + i).convert("L") for i in range(4)]),
                                      "JPEG", quality=80), small=True)
    put("jpeg_cmyk_420_progressive.jpg", encode(odd.convert("CMYK"), "JPEG", quality=70, subsampling=2, progressive=True))
    put("jpeg_cmyk_1x1.jpg", encode(Image.new("CMYK", (1, 1), (10, 200, 90, 40)), "JPEG"))
    four = inverted_cmyk(scene(75, 58, 53), 54)
    ycc = np.asarray(ImageOps.invert(scene(75, 58, 53)).convert("YCbCr"))  # of the inks: T.872
    ycck = [ycc[:, :, 0], ycc[:, :, 1], ycc[:, :, 2], four[3]]
    put("jpeg_cmyk_adobe.jpg", jpeg(four, [(1, 1)] * 4, adobe=0))
    put("jpeg_cmyk_unmarked.jpg", jpeg(four, [(1, 1)] * 4))
    put("jpeg_ycck.jpg", jpeg(ycck, [(1, 1)] * 4, adobe=2), small=True)
    put("jpeg_ycck_420.jpg", jpeg(ycck, [(2, 2), (1, 1), (1, 1), (2, 2)], adobe=2))
    put("jpeg_ycck_422.jpg", jpeg(ycck, [(2, 1), (1, 1), (1, 1), (2, 1)], adobe=2))
    put("jpeg_ycck_coarse.jpg", jpeg(ycck, [(2, 2), (1, 1), (1, 1), (1, 1)], adobe=2, step=120))
    put("jpeg_restart.jpg", encode(odd, "JPEG", quality=70, restart_marker_rows=1))
    put("jpeg_optimized.jpg", encode(odd, "JPEG", quality=30, optimize=True))
    put("jpeg_quality_5.jpg", encode(odd, "JPEG", quality=5))
    for w, h in ((1, 1), (2, 2), (8, 8), (9, 17), (16, 16), (17, 15), (1, 300), (300, 1)):
        put("jpeg_%dx%d.jpg" % (w, h), encode(scene(w, h, 51), "JPEG", quality=75))
    for o in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = o
        put("exif_%d.jpg" % o, encode(scene(61, 38, 52), "JPEG", quality=75, exif=exif), small=o == 6)
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + b"\0" * 4
    put("exif_big_endian.jpg", encode(scene(61, 38, 52), "JPEG", quality=75, exif=b"Exif\0\0" + tiff))
    for o in (0, 9, 65535):
        tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHH", 1, 0x0112, 3, 1, o, 0) + b"\0" * 4
        put("exif_none_%d.jpg" % o, encode(scene(61, 38, 52), "JPEG", quality=75, exif=b"Exif\0\0" + tiff))


def pngs():
    img = scene(90, 67, 60)
    put("png_rgba.png", encode(with_alpha(img), "PNG"), small=True)
    put("png_gray.png", encode(img.convert("L"), "PNG"))
    put("png_gray_alpha.png", encode(with_alpha(img).convert("LA"), "PNG"))
    pal = img.quantize(200)
    put("png_palette.png", encode(pal, "PNG"))
    put("png_palette_16.png", encode(img.quantize(16), "PNG", bits=4))
    put("png_palette_4.png", encode(img.quantize(4), "PNG", bits=2))
    put("png_palette_2.png", encode(img.quantize(2), "PNG", bits=1))
    put("png_palette_trns.png", encode(pal, "PNG", transparency=bytes(range(0, 200, 2))), small=True)
    put("png_palette_trns_one.png", encode(pal, "PNG", transparency=7))
    put("png_1bit.png", encode(img.convert("1"), "PNG"))
    a = np.asarray(img).astype(np.int64)
    flat = (a // 64) * 64
    key = tuple(int(v) for v in flat[30, 40])
    put("png_rgb_trns.png", png(flat, 8, 2, before=chunk(b"tRNS", struct.pack(">HHH", *key))))
    gray = (a[:, :, 1:2] // 32) * 32
    put("png_gray_trns.png", png(gray, 8, 0, before=chunk(b"tRNS", struct.pack(">H", int(gray[10, 10, 0])))))
    for depth in (1, 2, 4):
        s = a[:, :, :1] >> (8 - depth)
        full = s[:, :, 0] * 255 // ((1 << depth) - 1)
        put("png_gray_%dbit.png" % depth, png(s, depth, 0))
        k = int(s[20, 30, 0])  # the colour key is in samples of the depth (PNG 11.3.2.1)
        put("png_gray_%dbit_trns.png" % depth, png(s, depth, 0, before=chunk(b"tRNS", struct.pack(">H", k))),
            expected=rgb_of(np.where(s[:, :, 0] == k, 255, full)))
    low = np.random.RandomState(1).randint(0, 256, a.shape)
    a16 = (a << 8) | low
    put("png_rgb_16.png", png(a16, 16, 2))
    put("png_gray_16.png", png(a16[:, :, :1], 16, 0), expected=rgb_of(a[:, :, 0]), small=True)
    rgba16 = (np.asarray(with_alpha(img)).astype(np.int64) << 8) | low[:, :, :1]
    put("png_rgba_16.png", png(rgba16, 16, 6))
    put("png_gray_alpha_16.png", png(rgba16[:, :, [0, 3]], 16, 4))
    k16 = a16[30, 40]
    hit = (a16 == k16).all(axis=2)[:, :, None]
    put("png_rgb_16_trns.png", png(a16, 16, 2, before=chunk(b"tRNS", struct.pack(">HHH", *map(int, k16)))),
        expected=rgb_of(np.where(hit, 255, a)))
    for name, s, depth, color in (("rgb", a, 8, 2), ("rgba_16", rgba16, 16, 6), ("gray_2", a[:, :, :1] >> 6, 2, 0)):
        put("png_interlaced_%s.png" % name, png(s, depth, color, interlace=True))
    put("png_interlaced_3x2.png", png(a[:2, :3], 8, 2, interlace=True))
    for o, big in ((6, False), (3, True), (7, True)):
        e = ">" if big else "<"
        tiff = (b"MM\0*" if big else b"II*\0") + struct.pack(e + "IHHHIHH", 8, 1, 0x0112, 3, 1, o, 0) + b"\0" * 4
        ex = chunk(b"eXIf", tiff)
        put("png_exif_%d.png" % o, png(a, 8, 2, before=b"" if o == 3 else ex, after=ex if o == 3 else b""))
    put("png_empty_idat.png", png(a, 8, 2, before=chunk(b"IDAT", b"")))
    # entries beyond the palette are black, and opaque
    few = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0])) + chunk(b"tRNS", bytes([0]))
    put("png_palette_short.png", png(a[:, :, :1] % 4, 8, 3, before=few),
        expected=rgb_of(np.array([[255] * 3, [0, 255, 0], [0] * 3, [0] * 3])[a[:, :, 0] % 4]))


def webps():
    img = scene(90, 67, 62)
    clear = with_alpha(img)
    put("webp_lossy.webp", encode(img, "WEBP", quality=80), small=True)
    put("webp_lossy_coarse.webp", encode(img, "WEBP", quality=3, method=0))
    put("webp_lossy_fine.webp", encode(scene(203, 149, 63), "WEBP", quality=97, method=6))
    put("webp_lossless.webp", encode(img, "WEBP", lossless=True))
    put("webp_lossless_palette.webp", encode(img.quantize(12).convert("RGB"), "WEBP", lossless=True, method=6))
    put("webp_lossy_alpha.webp", encode(clear, "WEBP", quality=70), small=True)
    put("webp_lossy_alpha_coarse.webp", encode(clear, "WEBP", quality=20, alpha_quality=20))
    put("webp_lossless_alpha.webp", encode(clear, "WEBP", lossless=True))
    put("webp_lossless_alpha_exact.webp", encode(clear, "WEBP", lossless=True, exact=True))
    put("webp_gray.webp", encode(img.convert("L"), "WEBP", quality=60))
    for w, h in ((1, 1), (2, 3), (16, 16), (17, 15), (1, 200), (200, 1)):
        put("webp_lossy_%dx%d.webp" % (w, h), encode(scene(w, h, 64), "WEBP", quality=75))
        put("webp_lossless_%dx%d.webp" % (w, h), encode(with_alpha(scene(w, h, 65)), "WEBP", lossless=True))
    for o in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = o
        put("webp_exif_%d.webp" % o, encode(scene(31, 18, 66), "WEBP", lossless=o % 2 == 0, exif=exif), small=o == 6)
    # the container by hand: EXIF before and behind the picture, with JPEG's prefix, unannounced, twice
    small = scene(31, 18, 67)
    picture = webp_chunks(encode(small, "WEBP", quality=80))[0]
    turn = {o: (b"EXIF", b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHH", 1, 0x0112, 3, 1, o, 0) + b"\0" * 4) for o in (3, 6)}
    turned = (b"EXIF", b"Exif\0\0" + turn[6][1])
    put("webp_exif_prefix.webp", riff(vp8x(31, 18, 8), picture, turned))
    put("webp_exif_first.webp", riff(vp8x(31, 18, 8), turn[6], picture))
    put("webp_exif_unannounced.webp", riff(vp8x(31, 18, 0), picture, turn[6]))
    put("webp_exif_twice.webp", riff(vp8x(31, 18, 8), picture, turn[6], turn[3]))
    put("webp_exif_alpha.webp", riff(vp8x(90, 67, 0x18), *webp_chunks(encode(clear, "WEBP", quality=70))[1:], turn[6]))
    put("webp_profile.webp", encode(small, "WEBP", quality=80, icc_profile=b"no profile at all" * 9))
    put("webp_unknown_chunk.webp", riff(vp8x(31, 18, 0), (b"ABCD", b"odd"), picture, (b"EFGH", b"")))
    put("webp_extended.webp", riff(vp8x(31, 18, 0x10), picture))  # alpha announced, none there
    put("webp_trailing.webp", riff(picture) + b"what follows is no part of the file")
    put("bad_webp_canvas.webp", riff(vp8x(32, 18, 0), picture), status="bad")
    put("bad_webp_no_picture.webp", riff(vp8x(31, 18, 0)), status="bad")
    put("bad_webp_length.webp", riff(picture)[:4] + b"\xff\xff\xff\xff" + riff(picture)[8:], status="bad")
    put("bad_webp_last_chunk.webp", riff(vp8x(31, 18, 0), picture, (b"XMP ", b"1234"))[:-2], status="bad")
    lossless = bytearray(encode(small, "WEBP", lossless=True))
    lossless[21:25] = struct.pack("<I", 16383 | 16383 << 14)
    put("limit_webp.webp", bytes(lossless), status="limit")
    put("unsupported_animation.webp", encode(small, "WEBP", save_all=True, append_images=[scene(31, 18, 68)]),
        status="unsupported")


def bmps():
    img = scene(45, 31, 70)
    a = np.asarray(img)
    bgr = np.ascontiguousarray(a[:, :, ::-1])
    put("bmp_24.bmp", bmp(bgr, 24), small=True)
    put("bmp_24_top_down.bmp", bmp(bgr, 24, top_down=True))
    put("bmp_24_core.bmp", bmp(bgr, 24, header=12))
    put("bmp_pillow.bmp", encode(img, "BMP"))
    for bits in (1, 4, 8):
        n = 1 << bits
        p = img.quantize(n)
        pal = np.array(p.getpalette()).reshape(-1, 3)
        pal = np.vstack([pal, np.zeros((max(0, n - len(pal)), 3), int)])[:n]
        four = b"".join(bytes([b, g, r, 0]) for r, g, b in pal)
        three = b"".join(bytes([b, g, r]) for r, g, b in pal)
        px = np.asarray(p)
        put("bmp_%d.bmp" % bits, bmp(px, bits, four))
        put("bmp_%d_core.bmp" % bits, bmp(px, bits, three, header=12))
        put("bmp_%d_top_down.bmp" % bits, bmp(px, bits, four, top_down=True))
    put("bmp_8_few_colors.bmp", bmp(np.asarray(img.quantize(9)), 8,
                                    b"".join(bytes([b, g, r, 0]) for r, g, b in
                                             np.array(img.quantize(9).getpalette()).reshape(-1, 3)[:9]), colors=9))
    a5 = a.astype(np.uint16)
    w555 = ((a5[:, :, 0] >> 3) << 10 | (a5[:, :, 1] >> 3) << 5 | a5[:, :, 2] >> 3).astype("<u2")
    w565 = ((a5[:, :, 0] >> 3) << 11 | (a5[:, :, 1] >> 2) << 5 | a5[:, :, 2] >> 3).astype("<u2")
    put("bmp_16.bmp", bmp(w555, 16))
    put("bmp_16_555.bmp", bmp(w555, 16, compression=3, masks=(0x7C00, 0x3E0, 0x1F)))
    put("bmp_16_565.bmp", bmp(w565, 16, compression=3, masks=(0xF800, 0x7E0, 0x1F)))
    bgra = np.dstack([bgr, np.asarray(with_alpha(img))[:, :, 3]])
    bgr0 = np.dstack([bgr, np.zeros(bgr.shape[:2], np.uint8)])
    put("bmp_32.bmp", bmp(bgra, 32))  # without masks the fourth byte is filler
    put("bmp_32_zero.bmp", bmp(bgr0, 32))
    rgb_masks = (0xFF0000, 0xFF00, 0xFF)
    put("bmp_32_masks.bmp", bmp(bgra, 32, compression=3, masks=rgb_masks))
    put("bmp_32_v3_alpha.bmp", bmp(bgra, 32, header=56, compression=3, masks=rgb_masks + (0xFF000000,)))
    put("bmp_32_v4_alpha.bmp", bmp(bgra, 32, header=108, compression=3, masks=rgb_masks + (0xFF000000,)))
    put("bmp_32_v5_alpha.bmp", bmp(bgra, 32, header=124, compression=3, masks=rgb_masks + (0xFF000000,)))
    put("bmp_32_v5_clear.bmp", bmp(bgr0, 32, header=124, compression=3, masks=rgb_masks + (0xFF000000,)))
    rgba = np.ascontiguousarray(bgra[:, :, [2, 1, 0, 3]])
    put("bmp_32_v4_rgba.bmp", bmp(rgba, 32, header=108, compression=3, masks=(0xFF, 0xFF00, 0xFF0000, 0xFF000000)))
    put("bmp_rle8.bmp", bmp(np.zeros((4, 4), np.uint8), 8, b"\0" * 1024, compression=1), status="unsupported")


def refused():
    good = encode(scene(20, 20, 80), "PNG")
    put("bad_empty.png", b"", status="bad")
    put("bad_text.jpg", b"this is no picture", status="bad")
    ihdr = struct.pack(">IIBBBBB", 65535, 65535, 8, 6, 0, 0, 0)
    put("limit_65535.png", good[:8] + chunk(b"IHDR", ihdr) + good[33:], status="limit")
    put("bad_zero_width.png", good[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 9, 8, 2, 0, 0, 0)) + good[33:],
        status="bad")
    big = bytearray(bmp(np.zeros((4, 4, 3), np.uint8), 24))
    big[18:26] = struct.pack("<ii", 65535, 65535)
    put("limit_65535.bmp", bytes(big), status="limit")
    jpeg = bytearray(encode(scene(20, 20, 80), "JPEG"))
    sof = bytes(jpeg).index(b"\xff\xc0")
    jpeg[sof + 5:sof + 9] = struct.pack(">HH", 65000, 65000)
    put("limit_65000.jpg", bytes(jpeg), status="limit")
    # 8 x 8 pixels are declared, 16 MB of zeros follow in 16 kB
    bomb = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0" * (16 << 20), 9)) + chunk(b"IEND", b""))
    put("limit_bomb.png", bomb, status="limit")
    put("unsupported.gif", encode(scene(20, 20, 80), "GIF"), status="unsupported")
    put("unsupported.tif", encode(scene(20, 20, 80), "TIFF"), status="unsupported")
    # a progressive file with two hundred more scans of AC coefficients
    data = encode(scene(64, 64, 81), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    put("limit_scans.jpg", data[:-2] + scan * 200 + b"\xff\xd9", status="limit")


def loads(data):
    try:
        Image.open(io.BytesIO(data)).load()
        return True
    except Exception:
        return False


def prefixes():
    for name in ("jpeg_420.jpg", "jpeg_420_progressive.jpg", "jpeg_gray.jpg", "jpeg_17x15.jpg", "exif_3.jpg",
                 "jpeg_cmyk_noise.jpg", "jpeg_ycck_420.jpg", "webp_lossy.webp", "webp_lossless_alpha.webp",
                 "webp_lossy_alpha.webp", "webp_exif_6.webp", "webp_exif_first.webp", "webp_exif_5.webp"):
        with open(os.path.join(OUT, name), "rb") as f:
            data = f.read()
        n = len(data)
        while loads(data[:n - 1]):
            n -= 1
        lines.append("prefix %s %d" % (name, n))


def resizes():
    for w, h, w2, h2 in ((1, 1, 224, 224), (1, 5000, 1, 224), (5000, 1, 224, 1), (223, 224, 224, 224),
                         (224, 223, 224, 224), (225, 225, 224, 224), (100, 37, 224, 83), (37, 100, 83, 224),
                         (500, 500, 224, 224), (640, 480, 224, 168), (301, 997, 67, 224), (997, 301, 224, 67),
                         (13, 17, 5, 400), (17, 13, 400, 5), (3000, 40, 10, 40), (40, 3000, 40, 10),
                         (4000, 3000, 224, 168), (1500, 4000, 84, 224), (333, 777, 1, 1), (2, 2, 7, 3),
                         (449, 448, 224, 224), (448, 449, 224, 224), (260, 470, 250, 440), (700, 900, 600, 640)):
        out = pattern(w, h).resize((w2, h2), Image.BICUBIC)
        lines.append("resize %d %d %d %d %s" % (w, h, w2, h2, fnv(out.tobytes())))


os.makedirs(OUT, exist_ok=True)
for old in os.listdir(OUT):
    os.unlink(os.path.join(OUT, old))
for step in (shapes, jpegs, pngs, webps, bmps, refused, prefixes, resizes):
    step()
digest = hashlib.sha256()
for name in sorted(os.listdir(OUT)):
    with open(os.path.join(OUT, name), "rb") as f:
        digest.update(name.encode() + b"\0" + hashlib.sha256(f.read()).digest())
with open(os.path.join(OUT, "manifest.txt"), "w") as f:
    f.write("# made by make_image_goldens.py with Python %s, Pillow %s, numpy %s, libjpeg-turbo %s, libwebp %s, zlib %s\n"
            % (sys.version.split()[0], PIL.__version__, np.__version__, features.version("libjpeg_turbo"),
               features.version("webp"),
               features.version("zlib")))
    f.write("# SHA-256 over names and SHA-256 of the other files: %s\n" % digest.hexdigest())
    f.write("\n".join(lines) + "\n")
print("%d lines, %d bytes" % (len(lines), sum(os.path.getsize(os.path.join(OUT, n)) for n in os.listdir(OUT))))
