"""CLIP by the libraries that define it: what golden files are made with.

Needs torch, numpy, Pillow 13 or later, safetensors and open_clip_torch, and
for directories in transformers' layout transformers.  Imports nothing of this
project.  make_clip_goldens.py and scripts/make-golden share it.
"""

import base64
import gzip
import io
import json
import os
import platform
import tempfile

import numpy as np
import open_clip
import PIL
import safetensors
import torch
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from PIL import Image

FULL_VOCABULARY = 49408

# Which of a resize's two passes comes first changed in 13.0, and with it pixels.
if int(PIL.__version__.split(".")[0]) < 13:
    raise ImportError("Pillow %s is too old: 13 is needed" % PIL.__version__)


class Failure(Exception):
    """For the user: what a directory lacks."""


# ---- models


def read_json(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return json.load(f)


def layout_of(directory):
    """hf, open_clip or openai.  Repositories that serve two libraries hold two
    layouts; transformers' goes first."""

    def has(name):
        return os.path.exists(os.path.join(directory, name))

    weights = has("model.safetensors") or has("model.safetensors.index.json")
    if has("config.json") and weights:
        kind = read_json(directory, "config.json").get("model_type")
        if kind != "clip":
            raise Failure("config.json says model_type %r, not 'clip'" % kind)
        return "hf"
    if has("open_clip_config.json") and has("open_clip_model.safetensors"):
        return "open_clip"
    if has("model.safetensors"):
        return "openai"
    raise Failure("%s holds no CLIP model as safetensors" % directory)


class TransformersModel:
    """CLIPModel, all in float32."""

    pads_with_end = True

    def __init__(self, directory):
        try:
            import transformers
        except ImportError:
            raise Failure("this layout needs transformers: pip install transformers") from None
        transformers.utils.logging.disable_progress_bar()
        self.model, info = transformers.CLIPModel.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager",
            output_loading_info=True)
        strange = [n for k in ("missing_keys", "unexpected_keys", "mismatched_keys")
                   for n in info[k] if not str(n).endswith("position_ids")]
        if strange:
            raise Failure("weights do not fit the configuration: %s" % strange[:5])
        self.model.eval()
        config = self.model.config
        self.dims = config.projection_dim
        self.image_size = config.vision_config.image_size
        self.context = config.text_config.max_position_embeddings
        self.vocabulary = config.text_config.vocab_size
        self.library = "transformers " + transformers.__version__

    def text(self, ids):
        return self.model.text_projection(self.model.text_model(input_ids=ids).pooler_output)

    def image(self, pixels):
        return self.model.visual_projection(
            self.model.vision_model(pixel_values=pixels).pooler_output)


class OpenClipModel:
    """open_clip's CLIP, all in float32, loaded strictly."""

    pads_with_end = False

    def __init__(self, directory, layout):
        file = "open_clip_model.safetensors" if layout == "open_clip" else "model.safetensors"
        state = {}
        with safetensors.safe_open(os.path.join(directory, file), "pt") as f:
            for name in f.keys():
                state[name] = f.get_tensor(name)
        if layout == "open_clip":
            config = read_json(directory, "open_clip_config.json")["model_cfg"]
        else:
            for name in ("input_resolution", "context_length", "vocab_size"):
                state.pop(name, None)
            config = config_from_shapes(state)
        self.config = config
        try:
            self.model = open_clip.model.CLIP(**config)
            self.model.load_state_dict(state, strict=True)  # the copy widens to float32
        except (TypeError, RuntimeError) as e:
            raise Failure("not a plain CLIP of open_clip's: %s" % str(e)[:300]) from None
        self.model.eval()
        self.dims = config["embed_dim"]
        self.image_size = config["vision_cfg"]["image_size"]
        self.context = config["text_cfg"]["context_length"]
        self.vocabulary = config["text_cfg"]["vocab_size"]
        self.library = "open_clip " + open_clip.__version__

    def text(self, ids):
        return self.model.encode_text(ids)

    def image(self, pixels):
        return self.model.encode_image(pixels)


def config_from_shapes(state):
    """OpenAI's archives have no configuration: as its build_model() infers one."""
    if "visual.proj" not in state:
        raise Failure("not a vision transformer in OpenAI's layout")
    width, _, patch, _ = state["visual.conv1.weight"].shape
    side = round((len(state["visual.positional_embedding"]) - 1) ** 0.5)
    text_width = len(state["ln_final.weight"])

    def layers(prefix):
        return len({n[len(prefix):].split(".")[0] for n in state if n.startswith(prefix)})

    return {
        "embed_dim": state["text_projection"].shape[1],
        "quick_gelu": True,
        "vision_cfg": {"image_size": side * patch, "width": width, "patch_size": patch,
                       "layers": layers("visual.transformer.resblocks.")},
        "text_cfg": {"context_length": len(state["positional_embedding"]),
                     "vocab_size": len(state["token_embedding.weight"]), "width": text_width,
                     "heads": text_width // 64, "layers": layers("transformer.resblocks.")},
    }


class Reference:
    """A model directory's two towers, for numpy."""

    def __init__(self, directory):
        self.layout = layout_of(directory)
        if self.layout == "hf":
            self.towers = TransformersModel(directory)
        else:
            self.towers = OpenClipModel(directory, self.layout)
        self.dims = self.towers.dims
        self.image_size = self.towers.image_size
        self.context = self.towers.context
        self.vocabulary = self.towers.vocabulary
        self.end = self.vocabulary - 1
        self.description = "%s, torch %s, Pillow %s" % (
            self.towers.library, torch.__version__.split("+")[0], PIL.__version__)
        self.double = False

    def to_double(self):
        """For measuring what float32 costs."""
        self.towers.model.double()
        self.double = True

    def texts(self, sequences):
        """Features, not normalised, of lists of ids; padded as the library pads."""
        padding = self.end if self.towers.pads_with_end else 0
        ids = torch.full((len(sequences), self.context), padding)
        for row, sequence in zip(ids, sequences):
            row[:len(sequence)] = torch.tensor(sequence)
        with torch.no_grad():
            return np.concatenate([self.towers.text(row[None]).numpy() for row in ids])

    def images(self, pixels):
        """Features, not normalised, of an array [n][3][side][side]."""
        pixels = torch.from_numpy(np.ascontiguousarray(pixels))
        if self.double:
            pixels = pixels.double()
        with torch.no_grad():
            return np.concatenate([self.towers.image(row[None]).numpy() for row in pixels])

    def logit_scale(self):
        return float(self.towers.model.logit_scale.detach().exp())


def normalised(features):
    """Float32 rows of unit length and their length before."""
    wide = features.astype(np.float64)
    norms = np.sqrt((wide * wide).sum(1))
    return (wide / norms[:, None]).astype(np.float32), norms.astype(np.float32)


def versions(*modules):
    out = {"python": platform.python_version()}
    for module in (torch, np, PIL, safetensors, open_clip) + modules:
        out[module.__name__] = module.__version__.split("+")[0]
    return out


# ---- pictures

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def normalise_pixels(rgb):
    """uint8 [side][side][3] to float32 [3][side][side]."""
    x = rgb.astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(((x - MEAN) / STD).transpose(2, 0, 1))


def preprocess(picture, side):
    """OpenAI's transform of an RGB picture, by Pillow and torchvision's formulas."""
    width, height = picture.size
    if width <= height:
        size = (side, int(side * height / width))
    else:
        size = (int(side * width / height), side)
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    left = int(round((size[0] - side) / 2.0))
    top = int(round((size[1] - side) / 2.0))
    return normalise_pixels(np.asarray(picture.crop((left, top, left + side, top + side))))


# ---- texts


def tokenizer(directory, vocabulary, context):
    """OpenAI's; for a small vocabulary the same code on the directory's merges."""
    if vocabulary == FULL_VOCABULARY:
        return SimpleTokenizer(default_bpe(), context_length=context)
    path = os.path.join(directory, "merges.txt")
    if not os.path.exists(path):
        raise Failure("a vocabulary of %d is not OpenAI's, and there is no merges.txt" % vocabulary)
    with open(path, encoding="utf-8") as f:
        lines = f.read().rstrip("\n")
    with tempfile.TemporaryDirectory() as work:
        packed = os.path.join(work, "merges.gz")
        with gzip.open(packed, "wb") as f:
            f.write(lines.encode())
        made = SimpleTokenizer(packed, context_length=context)
    if made.vocab_size != vocabulary:
        raise Failure("merges.txt makes a vocabulary of %d, the model's is %d"
                      % (made.vocab_size, vocabulary))
    return made


def token_ids(made, text):
    """Without the padding, which is zero: an id of a text only as its "!"."""
    row = made([text])[0].tolist()
    return row[:row.index(made.eot_token_id) + 1]


# ---- golden.json, for models that this project does not know

TEXTS = [
    "a photo of a cat",
    "strawberries",
    "",
    "Two dogs, one of them black & white, don't want to leave the beach at 7:45!",
    "Crème brûlée, Übergröße, straße — 東京都の夜景 \U0001F353 \u0434\u0438\u043a\u0456",
    "fish &amp; chips &lt;fresh&gt; &quot;today&quot;   with\ttabs and   spaces",
    "re-read e-mail: foo@example.com, C++/C# (1887), 1,234,567.89 \u20ac",
    "peel the potatoes, cut them into cubes and boil them in salted water until tender; " * 6,
]


def drawn(width, height, seed):
    """A gradient with stripes, a disc and a checkerboard; integers alone."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    rgb = np.empty((height, width, 3), np.int64)
    for c in range(3):
        low, dx, dy = (((seed * 7 + c * 5 + k * 3) * 40503 >> 4) % 128 for k in range(3))
        rgb[:, :, c] = low + dx * x // width // 2 + dy * y // height // 2
    radius = min(width, height) // 3
    disc = (x - width // 2) ** 2 + (y - height // 3) ** 2 <= radius * radius
    rgb[disc] = [255 - 30 * seed, 40 + 50 * seed, 90]
    stripe = (x + 2 * y) % (7 + seed) < 2
    rgb[stripe & (y > height * 2 // 3)] = [250, 250, 20 * seed]
    checker = ((x // 3 + y // 3) % 2 == 0) & (x < width // 4) & (y < height // 4)
    rgb[checker] = [10, 10, 10]
    return Image.fromarray(rgb.clip(0, 255).astype(np.uint8))


def pictures(side):
    """Sizes that take the ways through the resize, for any side."""
    short = side * 9 // 8 | 1
    long = short * 5 // 4
    while (int(side * long / short) - side) % 4 != 3:  # where rounding and flooring differ
        long += 1
    sizes = [
        ("landscape", 320, 240),
        ("portrait, vertical pass first", side * 4 // 3, side * 4),
        ("enlarged", 61, 47),
        ("odd crop", long, short),
    ]
    return [(name, drawn(w, h, i)) for i, (name, w, h) in enumerate(sizes)]


def encoded(array):
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def golden(directory):
    """The value of golden.json for a model directory."""
    reference = Reference(directory)
    made = tokenizer(directory, reference.vocabulary, reference.context)
    ids = [token_ids(made, text) for text in TEXTS]
    rows, _ = normalised(reference.texts(ids))
    out = {"format": 1, "reference": reference.description,
           "texts": [{"text": text, "ids": sequence, "embedding": encoded(row)}
                     for text, sequence, row in zip(TEXTS, ids, rows)],
           "images": []}
    for name, picture in pictures(reference.image_size):
        file = io.BytesIO()
        picture.save(file, "PNG", optimize=True)
        picture = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
        pixels = preprocess(picture, reference.image_size)
        row, _ = normalised(reference.images(pixels[None]))
        out["images"].append({"name": name, "data": base64.b64encode(file.getvalue()).decode(),
                              "embedding": encoded(row[0])})
    return out


def write_golden(directory):
    """Puts golden.json there in one step; returns its path."""
    path = os.path.join(directory, "golden.json")
    made = golden(directory)
    # one line for each text and picture
    rows = ",\n".join(
        " %s: [\n%s\n ]" % (json.dumps(kind), ",\n".join(
            "  " + json.dumps(row, ensure_ascii=False) for row in made.pop(kind)))
        for kind in ("texts", "images"))
    head = "".join(" %s: %s,\n" % (json.dumps(k), json.dumps(v)) for k, v in made.items())
    text = "{\n%s%s\n}\n" % (head, rows)
    with open(path + ".new", "w", encoding="utf-8", newline="\n") as f:
        f.write(text)
    os.replace(path + ".new", path)
    return path
