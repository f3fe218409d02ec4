"""What is in a CLIP checkpoint: configuration, weights, merges.

Weights with the names of transformers' CLIPModel go with a config.json, those
with OpenAI's names with an open_clip_config.json.  In between, a configuration
is a dict as in config.json, whichever file it came from.
PyTorch is imported only to convert what is in its own formats.
"""

import ctypes
import gzip
import importlib.util
import json
import math
import os
import re
import struct
import sys
import zipfile

from model_directory import Error, read_json, write_file

INDEX = "model.safetensors.index.json"
OPEN_CLIP = "open_clip_config.json"
SHARD = re.compile(r"model-[0-9]{5}-of-[0-9]{5}\.safetensors")
PICKLES = (".bin", ".pt", ".pth")

MODEL_TYPES = ("clip", "conse")  # what the server's encoders know
MERGES = 48894  # of CLIP's vocabulary: 49408 - 512 bytes - 2 special tokens
ALIGNMENT = 64
PAGE = 4096
HEADER_LIMIT = 100 << 20
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
         "BOOL": 1}
CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
# widths of image towers whose heads are not 64 wide (H, g, G)
HEAD_WIDTHS = {1280: 80, 1408: 88, 1664: 104}

RESNET = "unsupported architecture: ResNet image tower"


# ---- safetensors


def read_header(path):
    """name -> (dtype, shape), after holding every offset against the file."""
    name = os.path.basename(path)
    size = os.path.getsize(path)
    with open(path, "rb") as f:
        start = f.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > HEADER_LIMIT or 8 + length > size:
            raise Error("%s is not a safetensors file, or is cut off" % name)
        text = f.read(length)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        shapes, places = {}, []
        for tensor, entry in header.items():
            begin, end = entry["data_offsets"]
            shape = tuple(entry["shape"])
            if not all(isinstance(n, int) and n >= 0 for n in (begin, end) + shape):
                raise ValueError(tensor)
            if end - begin != SIZES[entry["dtype"]] * math.prod(shape):
                raise ValueError(tensor)
            shapes[tensor] = (entry["dtype"], shape)
            places.append((begin, end))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Error("%s has a header that is not valid" % name) from None
    end = 0
    for place in sorted(places):
        if place[0] != end:
            raise Error("%s has tensors that overlap or leave gaps" % name)
        end = place[1]
    if 8 + length + end != size:
        raise Error("%s has %d bytes where its header asks for %d" % (name, size, 8 + length + end))
    return shapes


def shards_of(index_path):
    """shard -> names of its tensors."""
    shards = {}
    weight_map = read_json(index_path, INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise Error("%s has no weight_map" % INDEX)
    for tensor, shard in weight_map.items():
        if not isinstance(shard, str) or not SHARD.fullmatch(shard):
            raise Error("%s names a shard that is not called as shards are" % INDEX)
        shards.setdefault(shard, set()).add(tensor)
    return shards


def read_weights(directory):
    """The shapes of all tensors of a model directory."""
    index = os.path.join(directory, INDEX)
    if not os.path.exists(index):
        return read_header(os.path.join(directory, "model.safetensors"))
    shapes = {}
    for shard, tensors in sorted(shards_of(index).items()):
        path = os.path.join(directory, shard)
        if not os.path.exists(path):
            raise Error("%s names %s, which is not there" % (INDEX, shard))
        found = read_header(path)
        lost = sorted(tensors - set(found))
        if lost:
            raise Error("%s lacks %s" % (shard, lost[0]))
        shapes.update(found)
    return shapes


# ---- towers by the shapes of their tensors

HF = {
    "patch": "vision_model.embeddings.patch_embedding.weight",
    "positions": "vision_model.embeddings.position_embedding.weight",
    "up": "vision_model.encoder.layers.0.mlp.fc1.weight",
    "layer": r"vision_model\.encoder\.layers\.(\d+)\.",
    "text.words": "text_model.embeddings.token_embedding.weight",
    "text.positions": "text_model.embeddings.position_embedding.weight",
    "text.up": "text_model.encoder.layers.0.mlp.fc1.weight",
    "text.layer": r"text_model\.encoder\.layers\.(\d+)\.",
    "text.projection": "text_projection.weight",
}
OPENAI = {
    "patch": "visual.conv1.weight",
    "positions": "visual.positional_embedding",
    "up": "visual.transformer.resblocks.0.mlp.c_fc.weight",
    "layer": r"visual\.transformer\.resblocks\.(\d+)\.",
    "text.words": "token_embedding.weight",
    "text.positions": "positional_embedding",
    "text.up": "transformer.resblocks.0.mlp.c_fc.weight",
    "text.layer": r"transformer\.resblocks\.(\d+)\.",
    "text.projection": "text_projection",
}


def refuse_resnet(names):
    if any(name.startswith("visual.layer1.") for name in names):
        raise Error(RESNET)


def layout_of(shapes):
    refuse_resnet(shapes)
    for layout in (HF, OPENAI):
        if layout["patch"] in shapes:
            return layout
    raise Error("unsupported architecture: no CLIP image tower among the weights")


def measures(shapes):
    """The numbers of a config.json that the shapes tell."""
    layout = layout_of(shapes)

    def shape(part, rank):
        if layout[part] not in shapes or len(shapes[layout[part]][1]) != rank:
            raise Error("the weights lack %s, or it has a strange shape" % layout[part])
        return shapes[layout[part]][1]

    def layers(part):
        found = (re.match(layout[part], name) for name in shapes)
        return 1 + max((int(m.group(1)) for m in found if m), default=-1)

    patch = shape("patch", 4)
    positions = shape("positions", 2)
    grid = math.isqrt(max(0, positions[0] - 1))
    words = shape("text.words", 2)
    projection = shape("text.projection", 2)
    return {
        "projection_dim": projection[0 if layout is HF else 1],
        "vision_config": {
            "hidden_size": patch[0],
            "intermediate_size": shape("up", 2)[0],
            "num_hidden_layers": layers("layer"),
            "image_size": grid * patch[3],
            "patch_size": patch[3],
        },
        "text_config": {
            "hidden_size": words[1],
            "intermediate_size": shape("text.up", 2)[0],
            "num_hidden_layers": layers("text.layer"),
            "vocab_size": words[0],
            "max_position_embeddings": shape("text.positions", 2)[0],
        },
    }


def check_fit(config, shapes):
    """Whether configuration and weights are of one model, as far as the one
    says: what it leaves out has the defaults of its library."""
    def compare(said, measured, where):
        for key, value in measured.items():
            if isinstance(value, dict):
                inner = said.get(key)
                compare(inner if isinstance(inner, dict) else {}, value, key + ".")
            elif key in said and said[key] != value:
                raise Error("the configuration does not fit the weights: %s%s is %s, and should be %s"
                            % (where, key, json.dumps(said[key]), value))
    compare(config, measures(shapes), "")


# ---- configurations


def clip_config(facts, activation, vision_heads, text_heads):
    common = {"hidden_act": activation, "layer_norm_eps": 1e-5}
    text = dict(facts["text_config"], num_attention_heads=text_heads, **common)
    text.update(bos_token_id=text["vocab_size"] - 2, eos_token_id=text["vocab_size"] - 1)
    vision = dict(facts["vision_config"], num_attention_heads=vision_heads, num_channels=3,
                  **common)
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": facts["projection_dim"],
        "text_config": text,
        "vision_config": vision,
    }


def config_of_weights(shapes, activation):
    facts = measures(shapes)

    def heads(width, head):
        if width % head != 0:
            raise Error("a width of %d does not divide into heads: give a directory that has "
                        "config.json" % width)
        return width // head

    vision, text = facts["vision_config"]["hidden_size"], facts["text_config"]["hidden_size"]
    return clip_config(facts, activation, heads(vision, HEAD_WIDTHS.get(vision, 64)),
                       heads(text, 64))


OPEN_CLIP_KNOWN = {
    "model_cfg": {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "init_logit_scale"},
    "vision_cfg": {"image_size", "patch_size", "width", "layers", "head_width", "mlp_ratio",
                   "patch_dropout"},
    "text_cfg": {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"},
    "preprocess_cfg": {"size", "mode", "mean", "std", "interpolation", "resize_mode",
                       "fill_color"},
}


def open_clip_part(parent, name):
    part = parent.get(name)
    if not isinstance(part, dict):
        raise Error("open_clip_config.json has no %s" % name)
    if name == "vision_cfg" and isinstance(part.get("layers"), list):
        raise Error(RESNET)
    for key, value in part.items():
        if key not in OPEN_CLIP_KNOWN[name] and value:
            raise Error("unsupported architecture: %s.%s in open_clip_config.json" % (name, key))
    return part


def config_of_open_clip(path):
    """The numbers of open_clip's configuration under the hub's names."""
    model = open_clip_part(read_json(path, OPEN_CLIP), "model_cfg")
    vision = open_clip_part(model, "vision_cfg")
    text = open_clip_part(model, "text_cfg")
    try:
        width, text_width = vision["width"], text["width"]
        size = vision.get("image_size", 224)
        if isinstance(size, list):
            if len(size) != 2 or size[0] != size[1]:
                raise Error("unsupported architecture: pictures that are not square")
            size = size[0]
        facts = {
            "projection_dim": model["embed_dim"],
            "vision_config": {
                "hidden_size": width,
                "intermediate_size": int(width * vision.get("mlp_ratio", 4.0)),
                "num_hidden_layers": vision["layers"],
                "image_size": size,
                "patch_size": vision["patch_size"],
            },
            "text_config": {
                "hidden_size": text_width,
                "intermediate_size": int(text_width * text.get("mlp_ratio", 4.0)),
                "num_hidden_layers": text["layers"],
                "vocab_size": text.get("vocab_size", 49408),
                "max_position_embeddings": text.get("context_length", 77),
            },
        }
        return clip_config(facts, "quick_gelu" if model.get("quick_gelu") else "gelu",
                           width // vision.get("head_width", 64), text["heads"])
    except (KeyError, TypeError, ZeroDivisionError):
        raise Error("open_clip_config.json is not complete") from None


def mlp_ratio(width, inner):
    """With the digits that lead back to the inner width."""
    ratio = math.floor(10000 * inner / width) / 10000
    return ratio if int(width * ratio) == inner else round(ratio + 0.0001, 4)


def open_clip_of_config(config):
    """The other way round."""
    try:
        vision, text = config["vision_config"], config["text_config"]
        widths = vision["hidden_size"], text["hidden_size"]
        activations = {part.get("hidden_act", "quick_gelu") for part in (vision, text)}
        if len(activations) != 1 or not activations <= {"quick_gelu", "gelu"}:
            raise Error("unsupported architecture: activation %s" % ", ".join(activations))
        return {"model_cfg": {
            "embed_dim": config["projection_dim"],
            "quick_gelu": activations == {"quick_gelu"},
            "vision_cfg": {
                "image_size": vision["image_size"],
                "layers": vision["num_hidden_layers"],
                "width": widths[0],
                "head_width": widths[0] // vision["num_attention_heads"],
                "mlp_ratio": mlp_ratio(widths[0], vision["intermediate_size"]),
                "patch_size": vision["patch_size"],
            },
            "text_cfg": {
                "context_length": text.get("max_position_embeddings", 77),
                "vocab_size": text.get("vocab_size", 49408),
                "width": widths[1],
                "heads": text["num_attention_heads"],
                "layers": text["num_hidden_layers"],
                "mlp_ratio": mlp_ratio(widths[1], text["intermediate_size"]),
            }}}
    except (KeyError, TypeError, ZeroDivisionError):
        raise Error("config.json is not complete") from None


def preprocessing_of_open_clip(path):
    """mean and std, or None where it does not say."""
    parent = read_json(path, OPEN_CLIP)
    if "preprocess_cfg" not in parent:
        return None
    how = open_clip_part(parent, "preprocess_cfg")
    if how.get("resize_mode", "shortest") != "shortest" \
            or how.get("interpolation", "bicubic") != "bicubic":
        raise Error("unsupported preprocessing: %s, %s" % (
            how.get("resize_mode", "shortest"), how.get("interpolation", "bicubic")))
    return how.get("mean") or CLIP_MEAN, how.get("std") or CLIP_STD


def preprocessor(config, mean_and_std):
    """What the hub's preprocessor_config.json says of such a model."""
    mean, std = mean_and_std or (CLIP_MEAN, CLIP_STD)
    size = config.get("vision_config", {}).get("image_size", 224)
    return {
        "do_resize": True, "size": {"shortest_edge": size}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": size, "width": size},
        "do_convert_rgb": True,
        "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": mean, "image_std": std,
        "image_processor_type": "CLIPImageProcessor",
    }


# ---- merges


def write_merges(path, lines):
    write_file(path, ("#version: 0.2\n" + "".join(line + "\n" for line in lines)).encode())


def merges_of_tokenizer(path):
    """The merges of a tokenizer.json, in which they are pairs or strings."""
    model = read_json(path, "tokenizer.json").get("model")
    merges = model.get("merges") if isinstance(model, dict) else None
    if not isinstance(merges, list) or not merges:
        raise Error("tokenizer.json holds no merges")
    lines = [" ".join(m) if isinstance(m, list) and all(isinstance(p, str) for p in m) else m
             for m in merges]
    if not all(isinstance(line, str) for line in lines):
        raise Error("tokenizer.json holds merges that are no pairs")
    return lines


def merges_of_file(path):
    """Out of bpe_simple_vocab_16e6.txt.gz, which holds more, or merges.txt."""
    try:
        with open(path, "rb") as f:
            packed = f.read(2) == b"\x1f\x8b"
        with (gzip.open if packed else open)(path, "rb") as f:
            lines = f.read(64 << 20).decode().split("\n")
    except (EOFError, UnicodeDecodeError, gzip.BadGzipFile):
        raise Error("%s is not a file of merges" % path) from None
    merges = lines[1:1 + MERGES]
    if "#version" not in lines[0] or len(merges) < MERGES \
            or not all(len(line.split()) == 2 for line in merges):
        raise Error("%s does not hold CLIP's %d merges" % (path, MERGES))
    return merges


def installed_merges():
    """The file that a Python package of CLIP brings, or None."""
    for package in ("open_clip", "clip"):
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            continue
        for place in (spec.submodule_search_locations or []) if spec else []:
            path = os.path.join(place, "bpe_simple_vocab_16e6.txt.gz")
            if os.path.exists(path):
                return path
    return None


# ---- PyTorch's formats


def needs_torch(name):
    return name.endswith(PICKLES)


def import_torch(name):
    if sys.byteorder != "little":
        raise Error("%s can be converted on little-endian machines alone" % name)
    try:
        import torch
    except Exception:  # a broken installation is as good as none
        raise Error("%s has to be converted, and PyTorch is not installed for %s: install torch "
                    "(or name a Python that has it by PYTHON=), or convert it to safetensors "
                    "elsewhere" % (name, sys.executable)) from None
    return torch


def is_torchscript(path):
    try:
        with zipfile.ZipFile(path) as z:
            return any("/code/" in name for name in z.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def load_state(torch, path):
    """name -> tensor; nothing of the file is run, save what torch.jit.load
    needs to read an archive."""
    try:
        if is_torchscript(path):
            return dict(torch.jit.load(path, map_location="cpu").state_dict())
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:
        lines = str(e).strip().splitlines()
        raise Error("PyTorch cannot read %s: %s" % (
            os.path.basename(path), lines[0] if lines else type(e).__name__)) from None
    for key in ("state_dict", "model"):  # checkpoints of a training
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(k, str) for k in state):
        raise Error("%s holds no named tensors" % os.path.basename(path))
    if state and all(k.startswith("module.") for k in state):
        state = {k[len("module."):]: v for k, v in state.items()}
    return state


def convert(path, out):
    """Write the tensors of one of PyTorch's files as safetensors, each once,
    contiguous and in its own type."""
    torch = import_torch(os.path.basename(path))
    types = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    state = load_state(torch, path)
    refuse_resnet(state)
    # whole numbers are sizes and positions, and masks are all alike: no tower reads them
    tensors = {name: t.detach() for name, t in state.items()
               if isinstance(t, torch.Tensor) and t.is_floating_point()
               and name.split(".")[-1] != "attn_mask"}
    for name, tensor in tensors.items():
        if tensor.dtype not in types or tensor.layout != torch.strided:
            raise Error("%s is of a type that cannot be kept: %s" % (name, tensor.dtype))
    sizes = {name: t.numel() * t.element_size() for name, t in tensors.items()}
    # the few that would leave their successors unaligned come last
    order = sorted(tensors, key=lambda name: sizes[name] % ALIGNMENT != 0)
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in order:
        header[name] = {"dtype": types[tensors[name].dtype], "shape": list(tensors[name].shape),
                        "data_offsets": [offset, offset + sizes[name]]}
        offset += sizes[name]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % PAGE)
    with open(out, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            tensor = tensors[name].contiguous()
            if sizes[name]:
                f.write((ctypes.c_char * sizes[name]).from_address(tensor.data_ptr()))
        f.flush()
        os.fsync(f.fileno())
