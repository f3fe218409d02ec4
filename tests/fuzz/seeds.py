#!/usr/bin/env python3
"""Write the seeds of the fuzz targets: small inputs that are well formed.

    tests/fuzz/seeds.py DIRECTORY

makes DIRECTORY/TARGET/HASH, from the goldens and from what is written here.
Those of packs are made by the target itself.
"""
import hashlib
import json
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PICTURES = ROOT / "tests/golden/pictures"
FORMATS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "bmp": ".bmp"}
LARGEST = 6000  # bytes of a picture

HUGGING_FACE = {
    "image_processor_type": "CLIPImageProcessor", "do_convert_rgb": True, "do_resize": True,
    "do_center_crop": True, "do_rescale": True, "do_normalize": True, "resample": 3,
    "rescale_factor": 1 / 255, "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711]}

TRANSFORMS = [
    {"transform": "letterbox", "mean": [127, 127, 127], "std": [128, 128, 128],
     "resize_order": "pillow-12"},
    {**HUGGING_FACE, "size": 16, "crop_size": 16},
    {**HUGGING_FACE, "size": {"shortest_edge": 40}, "crop_size": {"height": 16, "width": 16}},
    {"preprocess_cfg": {"mode": "RGB", "interpolation": "bicubic", "resize_mode": "shortest",
                        "size": [16, 16], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}},
]

TEXTS = [
    "a photo of a cat", "ab abc abcab 'S it's we'll", "&lt;p&gt; &amp;amp;amp; &#x41;&#66;;&eacute",
    "\ufb01\ufb03 \u01c4 \uff21\uff71\uff9e \u2018x\u2019 \u201cy\u201d \u3000 \u2028",
    "\x1b[31mred\x1b[0m \x01\x7f\ufeff", "<|startoftext|> <|endoftext|> [CLS] [MASK] [SEP]",
    "e\u0301\u0327\u0323\u0345 \u0391\u03a3 \u0391\u03a3\u0301b \u0130 \u212a\u037e\u1fef",
    "\u4e00\u4e8c \uac00\u1100\u1161\u11a8\u11a7 \U0001f600\u200d\U0001f469 \u0e33", "0123 \u0660\u00bd\u2167",
    "\u017f '\u017f <|\u017ftartoftext|>", "&amp;#38;#38;lt; &#128; &#0; &#x110000; &NotEqualTilde;",
    "x" * 120, "\U0001d41a" * 110, "\u0300" * 40 + "a" + "\u0301\u0316" * 20]

MERGES = ["a b", "a b</w>", "ab c", "ab c</w>", "b c", "abc ab", "c a", "ab ab", "a a", "aa aa"]


class Seeds:
    def __init__(self, out):
        self.out = pathlib.Path(out)

    def add(self, target, data):
        folder = self.out / target
        folder.mkdir(parents=True, exist_ok=True)
        data = data.encode() if isinstance(data, str) else data
        (folder / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)


def exif(order, value):
    """A TIFF block with an orientation."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, value, 0, 0)


def pictures(seeds):
    for target, suffix in FORMATS.items():
        for path in sorted([*PICTURES.glob("*" + suffix), *(ROOT / "tests/data").glob("*" + suffix)]):
            if path.stat().st_size <= LARGEST:
                seeds.add(target, path.read_bytes())
    for order in "<>":
        seeds.add("jpeg", exif(order, 6))


def safetensors(header, body):
    text = header if isinstance(header, str) else json.dumps(header)
    return struct.pack("<Q", len(text)) + text.encode() + body


def tensor_files(seeds):
    def tensor(dtype, shape, begin, end):
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    seeds.add("safetensors", safetensors({}, b""))
    seeds.add("safetensors", safetensors({"__metadata__": {"format": "pt"}, "a": tensor("F32", [2, 3], 0, 24),
                                          "b": tensor("F16", [3], 24, 30), "s": tensor("I64", [], 30, 38),
                                          "e": tensor("BF16", [0, 7], 38, 38)}, bytes(38)))
    kinds = ["F32", "F16", "BF16", "F64", "I64", "U64", "I32", "U32", "I16", "U16", "I8", "U8", "BOOL"]
    sizes = [4, 2, 2, 8, 8, 8, 4, 4, 2, 2, 1, 1, 1]
    header, at = {}, 0
    for kind, size in zip(kinds, sizes):
        header[kind] = tensor(kind, [1] * (size % 8), at, at + size)
        at += size
    seeds.add("safetensors", safetensors(header, bytes(at)))
    for index in ({"x": "a", "y": "a", "z": "b"}, {"z": "b"}, {}):
        seeds.add("index", json.dumps({"metadata": {"total_size": 48}, "weight_map": index}))


def c_strings(path, name):
    """The value of a string constant of a C file, which may be in parts."""
    text = path.read_text().split(f"const char {name}[] =", 1)[1].split(";\n", 1)[0]
    return "".join(json.loads(f'"{part}"') for part in split_quoted(text))


def split_quoted(text):
    parts, at = [], 0
    while '"' in text[at:]:
        begin = text.index('"', at) + 1
        end = begin
        while text[end] != '"':
            end += 2 if text[end] == "\\" else 1
        parts.append(text[begin:end])
        at = end + 1
    return parts


def configurations(seeds):
    source = ROOT / "tests/fuzz/model_files.c"
    for name, target in (("clip_config", "clip_config"), ("open_clip_config", "clip_config"),
                         ("conse_config", "conse_config")):
        seeds.add(target, c_strings(source, name))
    conse = json.loads(c_strings(source, "conse_config"))
    del conse["image_tower"]
    seeds.add("conse_config", json.dumps(conse))
    clip = json.loads(c_strings(source, "clip_config"))
    clip["text_config_dict"] = clip.pop("text_config")
    seeds.add("clip_config", json.dumps(clip))
    for transform in TRANSFORMS:
        seeds.add("transform_config", json.dumps(transform))


def texts(seeds):
    for text in TEXTS:
        seeds.add("wordpiece", text)
        seeds.add("clip_text", text)
    for golden in ("wordpiece", "bpe"):
        for group in json.loads((ROOT / f"tests/golden/{golden}.json").read_text())["groups"].values():
            for text in [case[0] for case in group if len(case[0]) < 200][:12]:
                seeds.add("wordpiece", text)
                seeds.add("clip_text", text)
    for word in (b"", b"abcabab", b"aaaaaaa", b"abcab" * 20):
        text = "#version: 0.2\n" + "\n".join(MERGES) + "\n"
        seeds.add("merges", bytes([len(MERGES), len(word)]) + word + text.encode())
    seeds.add("merges", b"\x02\x02ab#version: 0.2\r\na b\r\n\xc4\xa0 \xc4\x80</w>\r\n")
    seeds.add("vocabulary", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\nab\na\n\n##]\n")
    seeds.add("vocabulary", "[UNK]\r\n[CLS]\r\n[SEP]\r\nx\r\n##x")


def embeddings(seeds):
    for typmod in (0, 0x42, 0xc2):
        for text in ("[1,2,3]", " [ 1e-3 , -2.5E+2,+.5 ] ", "[0x1p-3,1e-45,3.4e38]", "[nan,inf,-infinity]",
                     "[]", "[65504,65520,6e-8]"):
            seeds.add("embedding_text", bytes([typmod]) + text.encode())
        for form, space in ((0, b""), (2, b"\0\0\0\x07")):
            seeds.add("embedding_binary", bytes([typmod]) + struct.pack(">HH", 3, form) + space
                      + struct.pack(">3f", 1, -2.5, 1e-40))
            seeds.add("embedding_binary", bytes([typmod]) + struct.pack(">HH", 3, form | 1) + space
                      + bytes.fromhex("3c00bc000001"))


def loads(seeds):
    for kind, version in (("<f4", 1), ("<f2", 2), ("<f4", 3)):
        header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': (2, 3), }}\n".encode()
        seeds.add("npy", b"\x93NUMPY" + bytes([version, 0])
                  + struct.pack("<H" if version == 1 else "<I", len(header)) + header + bytes(24))
    rows = 'path,caption,sha256,n\na.jpg,"b ""c""\r\nd",' + "0f" * 32 + ",4\r\ne.jpg,,,\n"
    lines = '{"path": "a", "caption": "b", "n": 1}\n{"image_path": "c", "sha256": "' + "0f" * 32 + '"}\n'
    for number, text in enumerate((rows, rows.replace(",", "\t"), lines, "[" + lines.strip().replace("\n", ",") + "]")):
        seeds.add("manifest", bytes([number]) + text.encode())


def main():
    seeds = Seeds(sys.argv[1])
    for part in (pictures, tensor_files, configurations, texts, embeddings, loads):
        part(seeds)


if __name__ == "__main__":
    main()
