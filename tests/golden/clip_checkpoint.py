#!/usr/bin/env python3
"""Write a CLIP checkpoint with random weights, in any layout that one comes in.

    clip_checkpoint.py OUT --arch NAME --layout hf|hf-sharded|openai|open_clip
        --dtype f32|f16|bf16 [--seed N] [--outliers] [--old-config]
        [--merges FILE]
    clip_checkpoint.py OUT --tests [--merges FILE]
    clip_checkpoint.py --list

With --tests, OUT gets one directory for each member of TESTS: the checkpoints
that the goldens of make_clip_goldens.py belong to, compared with the hashes
that it recorded; and rn50-like, which has none.

The standard library is all it needs.  numpy makes it faster and changes no
bit: MMODAL_NO_NUMPY=1 in the environment leaves it out.

The weights are a function of seed, tensor name and index alone, in OpenAI's
names and shapes; the layouts are views of them.  So the same model can be had
in every layout, and a loader is right when all of them give one embedding.
"""

import argparse
import array
import collections
import functools
import gzip
import hashlib
import json
import math
import os
import shutil
import struct
import sys

try:
    if os.environ.get("MMODAL_NO_NUMPY"):
        raise ImportError
    import numpy
except ImportError:
    numpy = None

LAYOUTS = ("hf", "hf-sharded", "openai", "open_clip")
DTYPES = ("f32", "f16", "bf16")
SHARDS = 3
CHUNK = 1 << 20  # values made at a time: large models do not fit in memory twice
KEPT = 1 << 17  # values of a tensor that is worth keeping; a full model has few such

MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]
LOGIT_SCALE = 4.605170185988092  # ln 100, where CLIP's training ends

# ---- architectures

Arch = collections.namedtuple(
    "Arch", "embed image patch v_width v_layers v_heads v_mlp "
    "t_width t_layers t_heads context vocab quick_gelu")


def arch(embed, vision, text, quick_gelu):
    """vision: image, patch, width, layers, head width, mlp ratio;
    text: width, layers, heads, context, vocabulary."""
    image, patch, width, layers, head_width, ratio = vision
    t_width, t_layers, t_heads, context, vocab = text
    return Arch(embed, image, patch, width, layers, width // head_width, ratio,
                t_width, t_layers, t_heads, context, vocab, quick_gelu)


def full(embed, vision, text_width, text_layers, quick_gelu):
    return arch(embed, vision, (text_width, text_layers, text_width // 64, 77, 49408), quick_gelu)


# A small vocabulary is 512 bytes, 486 merges and the two special ids, as
# OpenAI's is 512, 48894 and two.
SMALL = 1000

ARCHITECTURES = {
    # one head a tower; the smallest
    "tiny-quick": arch(48, (32, 8, 64, 2, 64, 4), (64, 2, 1, 77, SMALL), True),
    # two heads, erf gelu, towers of different width
    "tiny-gelu": arch(64, (64, 16, 128, 3, 64, 4), (64, 2, 1, 32, SMALL), False),
    # as ViT-H and ViT-g: heads not 64 wide, a hidden width that is no multiple of anything
    "tiny-h": arch(56, (42, 14, 96, 2, 48, 4.3637), (64, 1, 4, 40, SMALL), False),
    # as ViT-L/14 at 336: a text tower with two heads, tokens just over a block of 64
    "tiny-336": arch(40, (112, 14, 64, 2, 64, 4), (128, 1, 2, 77, SMALL), True),
    # wide enough that roundings average out as they do in the real ones
    "wide": arch(128, (64, 16, 320, 2, 64, 4), (256, 2, 4, 32, SMALL), True),
    "vit-b-32": full(512, (224, 32, 768, 12, 64, 4), 512, 12, True),
    "vit-b-16": full(512, (224, 16, 768, 12, 64, 4), 512, 12, True),
    "vit-l-14": full(768, (224, 14, 1024, 24, 64, 4), 768, 12, True),
    "vit-l-14-336": full(768, (336, 14, 1024, 24, 64, 4), 768, 12, True),
    "vit-h-14": full(1024, (224, 14, 1280, 32, 80, 4), 1024, 24, False),
    "vit-g-14": full(1024, (224, 14, 1408, 40, 88, 4.3637), 1024, 24, False),
}
RESNET = "rn50-like"  # OpenAI's layout alone; to be refused

HERE = os.path.dirname(os.path.abspath(__file__))

Test = collections.namedtuple("Test", "name arch layout dtype outliers old_config calm")


def tests():
    """The checkpoints with goldens, by the name of their directory."""
    listed = [
        ("tiny-quick", "hf hf-sharded openai open_clip", "f32"),
        ("tiny-quick", "hf openai open_clip", "f16"),
        ("tiny-quick", "hf openai open_clip", "bf16"),
        ("tiny-gelu", "hf open_clip", "f32"),
        ("tiny-gelu", "hf-sharded open_clip", "f16"),
        ("tiny-h", "hf open_clip", "f32"),
        ("tiny-h", "hf open_clip", "bf16"),
        ("tiny-336", "hf openai open_clip", "f32"),
        ("tiny-336", "hf-sharded", "bf16"),
    ]
    out = [Test("%s-%s-%s" % (name, layout, dtype), name, layout, dtype, False, False, False)
           for name, layouts, dtype in listed for layout in layouts.split()]
    out.append(Test("tiny-quick-hf-f32-old-config", "tiny-quick", "hf", "f32", False, True,
                    False))
    for arch, layout in (("tiny-quick", "openai"), ("tiny-gelu", "open_clip"),
                         ("tiny-h", "open_clip"), ("tiny-336", "hf"), ("wide", "hf")):
        name = "%s-%s-f32" % (arch, layout)
        out.append(Test(name + "-calm", arch, layout, "f32", False, False, True))
        out.append(Test(name + "-outliers", arch, layout, "f32", True, False, True))
    return out


TESTS = tests()

# ---- the generator

M64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
MIX1 = 0xBF58476D1CE4E5B9
MIX2 = 0x94D049BB133111EB
FIELDS_MEAN = 131070  # of the sum of four numbers from 0 to 65535
FIELDS_STD = 65536 / math.sqrt(3)


def name_hash(name):
    """FNV-1a, 64 bits."""
    h = 14695981039346656037
    for byte in name.encode():
        h = ((h ^ byte) * 1099511628211) & M64
    return h


def splitmix(z):
    z = ((z ^ (z >> 30)) * MIX1) & M64
    z = ((z ^ (z >> 27)) * MIX2) & M64
    return z ^ (z >> 31)


def key_of(seed, name):
    return splitmix((seed * GOLDEN + name_hash(name)) & M64)


def gaussians(key, begin, count, mean, std):
    """Values begin .. begin + count - 1 of a tensor, float32.

    Word i is splitmix64's; the sum of its four 16-bit fields is nearly
    Gaussian and an integer, so that all machines agree on it.  What follows
    is one product, one sum and one rounding, each exact in IEEE 754.
    """
    scale = std / FIELDS_STD
    if numpy is None:
        out = array.array("f")
        z0 = key + begin * GOLDEN
        values = []
        for i in range(1, count + 1):
            z = (z0 + i * GOLDEN) & M64
            z = ((z ^ (z >> 30)) * MIX1) & M64
            z = ((z ^ (z >> 27)) * MIX2) & M64
            z ^= z >> 31
            total = (z & 65535) + (z >> 16 & 65535) + (z >> 32 & 65535) + (z >> 48)
            values.append(mean + (total - FIELDS_MEAN) * scale)
        out.extend(values)
        return out
    u = numpy.uint64
    z = numpy.arange(begin + 1, begin + count + 1, dtype=u)
    z *= u(GOLDEN)
    z += u(key)
    z ^= z >> u(30)
    z *= u(MIX1)
    z ^= z >> u(27)
    z *= u(MIX2)
    z ^= z >> u(31)
    total = z & u(65535)
    for shift in (16, 32, 48):
        total += (z >> u(shift)) & u(65535)
    values = total.astype(numpy.int64) - FIELDS_MEAN
    return (values * scale + mean).astype(numpy.float32)


@functools.lru_cache(maxsize=None)
def kept_gaussians(key, count, mean, std):
    """A small tensor whole: the tests want the same model in many layouts."""
    return gaussians(key, 0, count, mean, std)


# ---- tensors by OpenAI's names


class Tensor:
    """Shape and the law of its values; nothing is computed until it is written."""

    def __init__(self, shape, std, mean=0.0):
        self.shape = tuple(shape)
        self.std = std
        self.mean = mean
        self.boosted = ()  # places of outlier channels

    def count(self):
        return math.prod(self.shape)


OUTLIERS = 5
OUTLIER_GAIN = 50.0


def outlier_channels(seed, width, tower):
    """The same channels in all layers of a tower, as in trained networks."""
    key, found, i = key_of(seed, "outliers of " + tower), [], 0
    while len(found) < OUTLIERS:
        channel = splitmix((key + i * GOLDEN) & M64) % width
        if channel not in found:
            found.append(channel)
        i += 1
    return sorted(found)


def layer_norm(out, name, width):
    out[name + ".weight"] = Tensor([width], 0.1, 1.0)
    out[name + ".bias"] = Tensor([width], BIAS_STD)


# No bias is zero: a loader that forgets one has to fail.
BIAS_STD = 0.02

# Trained towers attend sharply.  With CLIP's own initial scale a text's
# embedding would hardly depend on its words, nor a picture's on its pixels.  But
# so sharp, random towers double a rounding error with each layer or two, which
# trained ones do not: what is rounded on purpose is tried on calm ones, whose
# attention has the scale that transformers gives it.
ATTENTION_GAIN = 2.0


def linear(out, weight, bias, shape, std):
    out[weight] = Tensor(shape, std)
    out[bias] = Tensor([shape[0]], BIAS_STD)


def transformer(out, prefix, width, layers, hidden, boosted, calm):
    inward = ATTENTION_GAIN / math.sqrt(width)
    outward = ATTENTION_GAIN / math.sqrt(width) / math.sqrt(2 * layers)
    if calm:
        inward = outward = 1 / math.sqrt(width) / math.sqrt(2 * layers)
    for i in range(layers):
        block = "%s.resblocks.%d." % (prefix, i)
        linear(out, block + "attn.in_proj_weight", block + "attn.in_proj_bias",
               [3 * width, width], inward)
        linear(out, block + "attn.out_proj.weight", block + "attn.out_proj.bias",
               [width, width], outward)
        for norm in ("ln_1", "ln_2"):
            layer_norm(out, block + norm, width)
            out[block + norm + ".weight"].boosted = boosted
        linear(out, block + "mlp.c_fc.weight", block + "mlp.c_fc.bias",
               [hidden, width], 1 / math.sqrt(2 * width))
        linear(out, block + "mlp.c_proj.weight", block + "mlp.c_proj.bias",
               [width, hidden], 1 / math.sqrt(width) / math.sqrt(2 * layers))


def vision_hidden(a):
    return int(a.v_width * a.v_mlp)  # as open_clip rounds it


def tokens(a):
    return (a.image // a.patch) ** 2 + 1


def model_tensors(a, seed, outliers, calm=False):
    out = {}
    channels = {tower: outlier_channels(seed, width, tower) if outliers else ()
                for tower, width in (("text", a.t_width), ("vision", a.v_width))}
    out["positional_embedding"] = Tensor([a.context, a.t_width], 0.01)
    out["text_projection"] = Tensor([a.t_width, a.embed], 1 / math.sqrt(a.t_width))
    out["logit_scale"] = Tensor([], 0.0, LOGIT_SCALE)
    out["visual.class_embedding"] = Tensor([a.v_width], 1 / math.sqrt(a.v_width))
    out["visual.positional_embedding"] = Tensor([tokens(a), a.v_width],
                                                1 / math.sqrt(a.v_width))
    out["visual.proj"] = Tensor([a.v_width, a.embed], 1 / math.sqrt(a.v_width))
    out["visual.conv1.weight"] = Tensor([a.v_width, 3, a.patch, a.patch],
                                        1 / math.sqrt(3 * a.patch * a.patch))
    layer_norm(out, "visual.ln_pre", a.v_width)
    transformer(out, "visual.transformer", a.v_width, a.v_layers, vision_hidden(a),
                channels["vision"], calm)
    layer_norm(out, "visual.ln_post", a.v_width)
    transformer(out, "transformer", a.t_width, a.t_layers, 4 * a.t_width, channels["text"],
                calm)
    out["token_embedding.weight"] = Tensor([a.vocab, a.t_width], 0.02)
    layer_norm(out, "ln_final", a.t_width)
    return out


def resnet_tensors():
    """Names and ranks of OpenAI's RN50 with a few channels each."""
    out = model_tensors(ARCHITECTURES["tiny-quick"], 0, False)
    out = {n: t for n, t in out.items() if not n.startswith("visual.")}

    def conv(name, outputs, inputs, side):
        out[name + ".weight"] = Tensor([outputs, inputs, side, side],
                                       1 / math.sqrt(inputs * side * side))

    def norm(name, width):
        layer_norm(out, name, width)
        out[name + ".running_mean"] = Tensor([width], 0.1)
        out[name + ".running_var"] = Tensor([width], 0.05, 1.0)

    for i, (outputs, inputs) in enumerate([(4, 3), (4, 4), (8, 4)], 1):
        conv("visual.conv%d" % i, outputs, inputs, 3)
        norm("visual.bn%d" % i, outputs)
    inputs = 8
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        planes = 8 << (stage - 1)
        for block in range(blocks):
            name = "visual.layer%d.%d." % (stage, block)
            for i, (o, n, side) in enumerate(
                    [(planes, inputs, 1), (planes, planes, 3), (4 * planes, planes, 1)], 1):
                conv(name + "conv%d" % i, o, n, side)
                norm(name + "bn%d" % i, o)
            if block == 0:
                conv(name + "downsample.0", 4 * planes, inputs, 1)
                norm(name + "downsample.1", 4 * planes)
            inputs = 4 * planes
    out["visual.attnpool.positional_embedding"] = Tensor([50, inputs], 1 / math.sqrt(inputs))
    for part, outputs in (("k", inputs), ("q", inputs), ("v", inputs), ("c", 48)):
        name = "visual.attnpool.%s_proj" % part
        linear(out, name + ".weight", name + ".bias", [outputs, inputs], 1 / math.sqrt(inputs))
    return out


# ---- layouts: a list of (name, shape, dtype, parts that give the bytes)


class View:
    """A run of rows of a canonical tensor, or the whole of one transposed."""

    def __init__(self, source, tensor, begin=0, shape=None, transposed=False):
        self.source = source
        self.tensor = tensor
        self.begin = begin
        self.shape = tuple(tensor.shape if shape is None else shape)
        self.transposed = transposed

    def floats(self, seed):
        """The values in chunks, float32."""
        key = key_of(seed, self.source)
        t, count = self.tensor, math.prod(self.shape)
        if self.transposed:
            rows, columns = t.shape
            if count <= KEPT:
                values = kept_gaussians(key, count, t.mean, t.std)
            else:
                values = gaussians(key, 0, count, t.mean, t.std)
            if numpy is None:
                yield array.array("f", (values[r * columns + c] for c in range(columns)
                                        for r in range(rows)))
            else:
                yield numpy.ascontiguousarray(values.reshape(rows, columns).T).reshape(-1)
            return
        for at in range(0, count, CHUNK):
            n = min(CHUNK, count - at)
            if t.count() <= KEPT:
                whole = kept_gaussians(key, t.count(), t.mean, t.std)
                values = whole[self.begin + at:self.begin + at + n]
                values = values if numpy is None else values.copy()
            else:
                values = gaussians(key, self.begin + at, n, t.mean, t.std)
            for place in t.boosted:  # of tensors far below one chunk
                values[place] *= OUTLIER_GAIN
            yield values


def encode(values, dtype):
    """Little-endian bytes; halves round to nearest, ties to even."""
    if numpy is not None:
        if dtype == "f32":
            return values.astype("<f4").tobytes()
        if dtype == "f16":
            return values.astype("<f2").tobytes()
        bits = values.view(numpy.uint32)
        low = numpy.uint32(0x7FFF) + ((bits >> numpy.uint32(16)) & numpy.uint32(1))
        return ((bits + low) >> numpy.uint32(16)).astype("<u2").tobytes()
    if dtype == "f16":
        return struct.pack("<%de" % len(values), *values)
    raw = struct.pack("<%df" % len(values), *values)
    if dtype == "f32":
        return raw
    bits = struct.unpack("<%dI" % len(values), raw)
    return struct.pack("<%dH" % len(values),
                       *((b + 0x7FFF + (b >> 16 & 1)) >> 16 for b in bits))


class Entry:
    """A tensor of a file: of floats through a view, or of int64 as they are."""

    SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8}

    def __init__(self, dtype, shape, view=None, integers=None):
        self.dtype = dtype
        self.shape = tuple(shape)
        self.view = view
        self.integers = integers

    def size(self):
        return math.prod(self.shape) * self.SIZES[self.dtype]

    def chunks(self, seed):
        if self.integers is not None:
            yield struct.pack("<%dq" % len(self.integers), *self.integers)
            return
        for values in self.view.floats(seed):
            yield encode(values, self.dtype.lower())


def integers(shape, values):
    return Entry("I64", shape, integers=list(values))


def floats(view, dtype):
    return Entry(dtype.upper(), view.shape, view)


def openai_dtype(name, dtype):
    """OpenAI's archives keep in float32 what their convert_weights() leaves."""
    if dtype == "f16" and ("embedding" in name or "ln_" in name or name == "logit_scale"):
        return "f32"
    return dtype


def openai_entries(tensors, a, dtype):
    out = {name: floats(View(name, t), openai_dtype(name, dtype)) for name, t in tensors.items()}
    for name, value in (("input_resolution", a.image), ("context_length", a.context),
                        ("vocab_size", a.vocab)):
        out[name] = integers([], [value])
    return out


def open_clip_entries(tensors, _arch, dtype):
    return {name: floats(View(name, t), dtype) for name, t in tensors.items()}


HF_BLOCK = {"attn.out_proj": "self_attn.out_proj", "ln_1": "layer_norm1", "ln_2": "layer_norm2",
            "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
HF_NAMES = {
    "logit_scale": "logit_scale",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final": "text_model.final_layer_norm",
    "text_projection": "text_projection.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre": "vision_model.pre_layrnorm",  # spelt so
    "visual.ln_post": "vision_model.post_layernorm",
    "visual.proj": "visual_projection.weight",
}


def hf_block_entries(name, tensor):
    tower = "vision_model" if name.startswith("visual.") else "text_model"
    layer, rest = name.split("resblocks.")[1].split(".", 1)
    prefix = "%s.encoder.layers.%s." % (tower, layer)
    if rest.startswith("attn.in_proj_"):
        kind = rest[len("attn.in_proj_"):]
        width = tensor.shape[0] // 3
        shape = (width,) + tensor.shape[1:]
        for i, part in enumerate("qkv"):
            yield ("%sself_attn.%s_proj.%s" % (prefix, part, kind),
                   View(name, tensor, i * math.prod(shape), shape))
        return
    stem, kind = rest.rsplit(".", 1)
    yield prefix + HF_BLOCK[stem] + "." + kind, View(name, tensor)


def hf_entries(tensors, a, dtype):
    out = {}
    for name, tensor in tensors.items():
        if "resblocks." in name:
            for theirs, view in hf_block_entries(name, tensor):
                out[theirs] = floats(view, dtype)
        elif name in ("text_projection", "visual.proj"):
            view = View(name, tensor, shape=tensor.shape[::-1], transposed=True)
            out[HF_NAMES[name]] = floats(view, dtype)
        elif name in HF_NAMES:
            out[HF_NAMES[name]] = floats(View(name, tensor), dtype)
        else:
            stem, kind = name.rsplit(".", 1)
            out[HF_NAMES[stem] + "." + kind] = floats(View(name, tensor), dtype)
    # buffers that old versions of the library saved
    out["text_model.embeddings.position_ids"] = integers([1, a.context], range(a.context))
    out["vision_model.embeddings.position_ids"] = integers([1, tokens(a)], range(tokens(a)))
    return out


# ---- configurations

HF_DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


def hf_config(a, dtype, old):
    """As transformers writes it; or with the special ids that configurations of
    the first conversions have, 2 for the end, which no vocabulary bears out."""
    act = "quick_gelu" if a.quick_gelu else "gelu"
    common = {"attention_dropout": 0.0, "hidden_act": act, "initializer_factor": 1.0,
              "initializer_range": 0.02, "layer_norm_eps": 1e-05}
    text = dict(common, bos_token_id=0 if old else a.vocab - 2,
                eos_token_id=2 if old else a.vocab - 1, pad_token_id=1,
                hidden_size=a.t_width, intermediate_size=4 * a.t_width,
                max_position_embeddings=a.context, model_type="clip_text_model",
                num_attention_heads=a.t_heads, num_hidden_layers=a.t_layers,
                projection_dim=a.embed, vocab_size=a.vocab)
    vision = dict(common, hidden_size=a.v_width, image_size=a.image,
                  intermediate_size=vision_hidden(a), model_type="clip_vision_model",
                  num_attention_heads=a.v_heads, num_channels=3, num_hidden_layers=a.v_layers,
                  patch_size=a.patch, projection_dim=a.embed)
    config = {"architectures": ["CLIPModel"], "initializer_factor": 1.0,
              "logit_scale_init_value": 2.6592, "model_type": "clip", "projection_dim": a.embed,
              "text_config": text, "vision_config": vision}
    if old:
        # null there means that text_config holds
        config.update(text_config_dict=None, vision_config_dict=None,
                      torch_dtype=HF_DTYPES[dtype], transformers_version="4.16.0.dev0")
    else:
        config.update(dtype=HF_DTYPES[dtype], transformers_version="5.24.0")
    return dict(sorted(config.items()))


def hf_preprocessor(a, old):
    out = {"crop_size": {"height": a.image, "width": a.image}, "do_center_crop": True,
           "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
           "image_mean": MEAN, "image_processor_type": "CLIPImageProcessor", "image_std": STD,
           "resample": 3, "rescale_factor": 0.00392156862745098,
           "size": {"shortest_edge": a.image}}
    if old:
        for name in ("do_convert_rgb", "do_rescale", "rescale_factor", "image_processor_type"):
            del out[name]
        out.update(crop_size=a.image, size=a.image, feature_extractor_type="CLIPFeatureExtractor")
    return out


def open_clip_model_cfg(a):
    vision = {"image_size": a.image, "layers": a.v_layers, "width": a.v_width}
    if a.v_width // a.v_heads != 64:
        vision["head_width"] = a.v_width // a.v_heads
    if a.v_mlp != 4:
        vision["mlp_ratio"] = a.v_mlp
    vision["patch_size"] = a.patch
    out = {"embed_dim": a.embed}
    if a.quick_gelu:
        out["quick_gelu"] = True
    out["vision_cfg"] = vision
    out["text_cfg"] = {"context_length": a.context, "vocab_size": a.vocab, "width": a.t_width,
                       "heads": a.t_heads, "layers": a.t_layers}
    return out


# ---- the tokenizer's files


def read_merges(path, vocab):
    """The first merges of OpenAI's file, or of a merges.txt: as many as the
    vocabulary has room for.  Both begin with a line of no use."""
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as f:
        lines = f.read().split("\n")
    merges = lines[1:1 + vocab - 514]
    if len(merges) != vocab - 514 or any(len(m.split()) != 2 for m in merges):
        sys.exit("clip_checkpoint: %s has not the %d merges that are needed" % (path, vocab - 514))
    return merges


def byte_symbols():
    """OpenAI's printable stand-in of each byte, in the order of their ids."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    other = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(other))]


def write_tokenizer(out, layout, merges):
    with open(os.path.join(out, "merges.txt"), "w", encoding="utf-8", newline="\n") as f:
        f.write("#version: 0.2\n" + "".join(m + "\n" for m in merges))
    if layout.startswith("hf"):
        symbols = byte_symbols()
        symbols += [s + "</w>" for s in symbols] + ["".join(m.split()) for m in merges]
        symbols += ["<|startoftext|>", "<|endoftext|>"]
        write_json(os.path.join(out, "vocab.json"), {s: i for i, s in enumerate(symbols)})


# ---- writing


def write_json(path, value):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        json.dump(value, f, indent=2)
        f.write("\n")


def file_order(entries):
    """As the safetensors library sorts: wide types first, then by name."""
    return sorted(entries, key=lambda n: (-Entry.SIZES[entries[n].dtype], n))


def write_safetensors(path, entries, seed):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in file_order(entries):
        entry = entries[name]
        header[name] = {"dtype": entry.dtype, "shape": list(entry.shape),
                        "data_offsets": [offset, offset + entry.size()]}
        offset += entry.size()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name in file_order(entries):
            for chunk in entries[name].chunks(seed):
                f.write(chunk)
        if f.tell() != 8 + len(text) + offset:
            raise AssertionError("%s: tensors do not fit their shapes" % path)


def write_sharded(out, entries, seed):
    total = sum(e.size() for e in entries.values())
    shards, filled = [{} for _ in range(SHARDS)], 0
    for name, entry in entries.items():
        shards[min(filled * SHARDS // total, SHARDS - 1)][name] = entry
        filled += entry.size()
    weight_map = {}
    for i, shard in enumerate(shards, 1):
        file = "model-%05d-of-%05d.safetensors" % (i, SHARDS)
        write_safetensors(os.path.join(out, file), shard, seed)
        weight_map.update((name, file) for name in shard)
    write_json(os.path.join(out, "model.safetensors.index.json"),
               {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))})


def check_layout(a, name, layout):
    """An OpenAI archive has no configuration: shapes alone have to tell."""
    told = a.quick_gelu and a.v_mlp == 4 and (a.v_heads, a.t_heads) == (a.v_width // 64,
                                                                       a.t_width // 64)
    if layout == "openai" and not told:
        sys.exit("clip_checkpoint: OpenAI's layout cannot express %s" % name)


def write(out, arch_name, layout, dtype, seed=1, outliers=False, old_config=False, merges=None,
          calm=False):
    """A checkpoint directory; merges is the path of a file of them."""
    os.makedirs(out, exist_ok=True)
    if arch_name == RESNET:
        if layout != "openai":
            sys.exit("clip_checkpoint: %s comes in OpenAI's layout alone" % RESNET)
        a = ARCHITECTURES["tiny-quick"]
        entries = openai_entries(resnet_tensors(), a, dtype)
        write_safetensors(os.path.join(out, "model.safetensors"), entries, seed)
        return
    a = ARCHITECTURES[arch_name]
    check_layout(a, arch_name, layout)
    tensors = model_tensors(a, seed, outliers, calm)
    if merges is not None:
        write_tokenizer(out, layout, read_merges(merges, a.vocab))
    if layout == "openai":
        entries = openai_entries(tensors, a, dtype)
        write_safetensors(os.path.join(out, "model.safetensors"), entries, seed)
    elif layout == "open_clip":
        entries = open_clip_entries(tensors, a, dtype)
        write_json(os.path.join(out, "open_clip_config.json"),
                   {"model_cfg": open_clip_model_cfg(a),
                    "preprocess_cfg": {"mean": MEAN, "std": STD}})
        write_safetensors(os.path.join(out, "open_clip_model.safetensors"), entries, seed)
    else:
        entries = hf_entries(tensors, a, dtype)
        write_json(os.path.join(out, "config.json"), hf_config(a, dtype, old_config))
        write_json(os.path.join(out, "preprocessor_config.json"), hf_preprocessor(a, old_config))
        if layout == "hf":
            write_safetensors(os.path.join(out, "model.safetensors"), entries, seed)
        else:
            write_sharded(out, entries, seed)


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def weights_hashes(directory):
    return {n: sha256(os.path.join(directory, n))
            for n in sorted(os.listdir(directory)) if n.endswith(".safetensors")}


def check_tests(out):
    """Are these the checkpoints that the goldens were made from?"""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clip_towers.json")
    with open(path, encoding="utf-8") as f:
        known = json.load(f)["checkpoints"]
    for test in TESTS:
        made = weights_hashes(os.path.join(out, test.name))
        if test.name not in known or known[test.name]["weights"] != made:
            sys.exit("clip_checkpoint: %s is not what the goldens were made from: "
                     "run make_clip_goldens.py" % test.name)


def write_test(out, test, merges=None):
    write(os.path.join(out, test.name), test.arch, test.layout, test.dtype,
          outliers=test.outliers, old_config=test.old_config, merges=merges,
          calm=test.calm)
    # what scripts/make-golden wrote for it, for mmodal_verify_model()
    golden = os.path.join(HERE, "golden-%s.json" % test.name)
    if os.path.exists(golden):
        shutil.copy(golden, os.path.join(out, test.name, "golden.json"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?")
    parser.add_argument("--arch", choices=list(ARCHITECTURES) + [RESNET])
    parser.add_argument("--layout", choices=LAYOUTS)
    parser.add_argument("--dtype", choices=DTYPES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calm", action="store_true", help="attention that does not saturate")
    parser.add_argument("--outliers", action="store_true",
                        help="five gains of every ln_1 and ln_2 times 50")
    parser.add_argument("--old-config", action="store_true",
                        help="an HF config with the special ids of the first conversions")
    parser.add_argument("--merges", metavar="FILE",
                        help="merges.txt or OpenAI's bpe file: write the tokenizer's files too")
    parser.add_argument("--tests", action="store_true", help="all checkpoints that have goldens")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.list:
        print("\n".join([*ARCHITECTURES, RESNET]))
    elif args.out is None:
        parser.error("where to?")
    elif args.tests:
        for test in TESTS:
            write_test(args.out, test, args.merges)
        write(os.path.join(args.out, RESNET), RESNET, "openai", "f16")
        check_tests(args.out)
    elif not (args.arch and args.layout and args.dtype):
        parser.error("--arch, --layout and --dtype are needed")
    else:
        write(args.out, args.arch, args.layout, args.dtype, args.seed, args.outliers,
              args.old_config, args.merges, args.calm)


if __name__ == "__main__":
    main()
