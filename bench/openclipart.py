"""Real embeddings: the pictures of Debian's openclipart-png and what their
authors wrote of them, through clip_embed() with the model mini.

The arrays are those of crossmodal.py, as far as bench/ivf needs them: base,
text, image, truth_text, truth_image.  Image queries are pictures that are left
out of base.  Text queries are captions: a picture's title and keywords, of the
metadata of its SVG in openclipart-svg.  Embeddings are kept in build/bench;
the first time takes four minutes, and 156 MB of downloads.
"""

import html
import os
import re
import sys

import numpy as np

import crossmodal
from ivf_libpq import Session

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

import debian_package  # noqa: E402, found by the path above

PACKAGES = {
    "png": ("openclipart-png", debian_package.Version(
        "1:0.18+dfsg-19", 130910028, "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02")),
    "svg": ("openclipart-svg", debian_package.Version(
        "1:0.18+dfsg-19", 24919068, "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5")),
}
MODEL = "mini"
MOST_QUERIES = 1000
IMAGE_QUERY_EVERY = 8   # so many pictures make one image query

TITLE = re.compile(r"<dc:title>([^<]*)</dc:title>")
KEYWORD = re.compile(r"<rdf:li>([^<]*)</rdf:li>")


def caption(svg):
    """Title and keywords of a picture, or None."""
    with open(svg, encoding="utf-8", errors="replace") as file:
        text = file.read()
    title = TITLE.search(text)
    words = ([title.group(1)] if title else []) + KEYWORD.findall(text)
    words = [" ".join(html.unescape(word).split()) for word in words]
    return ", ".join(dict.fromkeys(filter(None, words))).replace("\0", "") or None


def pictures():
    """(path of the PNG, caption) of each, in a stable order."""
    folders = {kind: os.path.join(debian_package.fetch(name, (version,), [f"*.{kind}"]),
                                  "usr", "share", "openclipart", kind)
               for kind, (name, version) in PACKAGES.items()}
    for folder, subfolders, files in os.walk(folders["png"]):
        subfolders.sort()
        for file in sorted(files):
            png = os.path.join(folder, file)
            name = os.path.relpath(png, folders["png"])
            svg = os.path.join(folders["svg"], os.path.splitext(name)[0] + ".svg")
            if not os.path.islink(png) and os.path.exists(svg):
                yield png, caption(svg)


def copy_rows():
    """The pictures as chunks of COPY's text format."""
    for number, (png, text) in enumerate(pictures()):
        with open(png, "rb") as file:
            picture = "\\\\x" + file.read().hex()
        text = "\\N" if text is None else text.replace("\\", "\\\\")
        yield f"{number}\t{text}\t{picture}\n".encode()


def embeddings(session, query):
    """The distinct embeddings that a query gives, in an order that stays."""
    rows = session.run(f"SELECT e FROM ({query}) AS t WHERE e IS NOT NULL GROUP BY e ORDER BY min(id)")
    return np.array([np.fromstring(row[0][1:-1], sep=",", dtype=np.float32) for row in rows])


def embed(workers):
    """(pictures, captions), embedded by the server."""
    session = Session(["max_parallel_workers_per_gather = " + str(workers), "client_min_messages = error"])
    session.run("CREATE TABLE clipart (id int, caption text, picture bytea) "
                f"WITH (parallel_workers = {workers})")
    session.copy_in("COPY clipart FROM STDIN", copy_rows())
    session.run("CREATE TABLE clipart_e AS SELECT id, "
                f"clip_embed_or_null(picture, '{MODEL}') AS picture, "
                f"clip_embed_or_null(caption, '{MODEL}') AS caption FROM clipart")
    result = [embeddings(session, f"SELECT id, {column} AS e FROM clipart_e") for column in ("picture", "caption")]
    session.run("DROP TABLE clipart, clipart_e")
    session.close()
    return result


def some(rows, count):
    """So many of the rows, in no order: neighbours in the package are alike."""
    return rows[np.random.default_rng(0).permutation(len(rows))[:count]]


def load(directory, workers):
    """The arrays of the data set; made by the server at first, kept under directory."""
    folder = os.path.join(directory, "openclipart")
    paths = [os.path.join(folder, name) for name in ("pictures.npy", "captions.npy")]
    if not all(map(os.path.exists, paths)):
        os.makedirs(folder, exist_ok=True)
        for path, rows in zip(paths, embed(workers)):
            np.save(path, rows)
    images, texts = map(np.load, paths)
    asking = np.arange(len(images)) % IMAGE_QUERY_EVERY == 0
    data = {"base": np.ascontiguousarray(images[~asking]),
            "image": some(images[asking], MOST_QUERIES),
            "text": some(texts, MOST_QUERIES)}
    data["category"] = data["grp"] = np.zeros(len(data["base"]), np.int32)
    for kind in ("text", "image"):
        data["truth_" + kind] = crossmodal.nearest(data["base"], data[kind])
    return data
