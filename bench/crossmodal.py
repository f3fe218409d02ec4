#!/usr/bin/env python3
"""Made-up embeddings that behave like those of a cross-modal encoder.

    bench/crossmodal.py [--seed N] [--rows N] [--queries N] DIRECTORY

What makes text-to-image search hard for an index is that the queries do not lie
where the rows do.  The model here has that, and what else matters for cost:

- A latent of 96 axes with decaying variance says what a picture shows.  Latents
  come in 1000 clusters of uneven (Zipf-like) size and uneven shape, whose
  centres gather around 40 parents.
- An embedding of 512 axes is a unit vector: the latent's direction, a constant
  of the modality (the "gap"), a subspace that only this modality uses, and
  noise in all directions, with weights that differ by modality.
- An image query is a new row of the same kind.  A text query describes a row of
  the table: its latent is only correlated with that row's, so that the row is
  often not the nearest one.

The rows get a category (100 values, independent of the vector) and a grp (100
values, of neighbouring clusters, about 1 % of the rows each), for filters.

Everything follows from the seed.  The directory gets, as .npy:
  base                          rows x 512 float32
  extra                         8000 more, to insert
  text, image                   queries x 512 float32
  category, grp                 int32 a row
  truth_{text,image}            the 10 nearest rows of each query, exact
  truth_{text,image}_{category,grp}
                                the same among rows that the query's filter
                                passes: see filter_values(); -1 where fewer
"""

import argparse
import os

import numpy as np

DIMS = 512
LATENT = 96          # axes of the latent
PRIVATE = 32         # axes that one modality has for itself
CLUSTERS = 1000
PARENTS = 40
ROTATIONS = 16       # orientations that clusters share
GROUPS = 100
EXTRA_ROWS = 8000
K = 10

# Weights of the modality's constant, the latent, its private axes and noise.
IMAGE_WEIGHTS = (0.66, 0.64, 0.26, 0.30)
TEXT_WEIGHTS = (0.72, 0.50, 0.30, 0.38)
MODALITY_COSINE = 0.28     # between the constants of the two modalities
CORRELATION = 0.56         # of a text's latent with its picture's


def normalise(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Modality:
    """How latents become embeddings of one modality."""

    def __init__(self, weights, constant, private):
        self.weights = weights
        self.constant = constant
        self.private = private


class Model:
    """The geometry of one seed, and the source of all its rows."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        frame = self.orthonormal(LATENT + 2 * PRIVATE + 2, DIMS)
        self.latent_axes, image_axes, text_axes, constants = np.split(
            frame, np.cumsum([LATENT, PRIVATE, PRIVATE]))
        text_constant = (MODALITY_COSINE * constants[0]
                         + np.sqrt(1 - MODALITY_COSINE ** 2) * constants[1])
        self.image = Modality(IMAGE_WEIGHTS, constants[0], image_axes)
        self.text = Modality(TEXT_WEIGHTS, text_constant, text_axes)
        self.spectrum = np.arange(1, LATENT + 1, dtype=np.float32) ** np.float32(-0.45)
        self.make_clusters()
        self.make_groups()

    def normal(self, *shape):
        return self.rng.standard_normal(shape, dtype=np.float32)

    def orthonormal(self, count, dims):
        basis, _ = np.linalg.qr(self.rng.standard_normal((dims, count)))
        return np.ascontiguousarray(basis.T, dtype=np.float32)

    def make_clusters(self):
        parents = self.normal(PARENTS, LATENT)
        of_parent = parents[self.rng.integers(0, PARENTS, CLUSTERS)]
        self.centres = (0.6 * of_parent + 0.8 * self.normal(CLUSTERS, LATENT)) * self.spectrum
        shares = (np.arange(CLUSTERS) + 21.0) ** -0.8
        self.shares = shares / shares.sum()
        self.widths = np.exp(0.6 * self.normal(CLUSTERS, LATENT) - np.float32(0.15))
        self.rotations = [self.orthonormal(LATENT, LATENT) for _ in range(ROTATIONS)]
        self.rotation_of = self.rng.integers(0, ROTATIONS, CLUSTERS)

    def make_groups(self):
        """Cut the clusters, ordered along a random direction, into groups of equal mass."""
        order = np.argsort(normalise(self.centres) @ self.normal(LATENT))
        mass_before = np.cumsum(self.shares[order]) - self.shares[order]
        self.group_of = np.empty(CLUSTERS, np.int32)
        self.group_of[order] = np.minimum(mass_before * GROUPS, GROUPS - 1).astype(np.int32)

    def draw_latents(self, count):
        """New latents and the clusters that they come from."""
        cluster = self.rng.choice(CLUSTERS, count, p=self.shares)
        offset = self.normal(count, LATENT) * self.widths[cluster] * (0.85 * self.spectrum)
        for number, rotation in enumerate(self.rotations):
            rows = np.flatnonzero(self.rotation_of[cluster] == number)
            plain = offset[rows] / self.spectrum      # turn where all axes vary alike,
            turned = (plain @ rotation) * self.spectrum   # so that the spectrum stays
            offset[rows] = 0.6 * offset[rows] + 0.8 * turned
        return self.centres[cluster] + offset, cluster

    def describe(self, latents):
        """The latents of texts about pictures that have these."""
        other = normalise(self.normal(*latents.shape) * self.spectrum)
        return CORRELATION * normalise(latents) + np.sqrt(1 - CORRELATION ** 2) * other

    def embed(self, latents, modality):
        constant, latent, private, noise = modality.weights
        count = len(latents)
        own = normalise(self.normal(count, PRIVATE)
                        * np.arange(1, PRIVATE + 1, dtype=np.float32) ** np.float32(-0.5))
        rows = (latent * normalise(latents)) @ self.latent_axes
        rows += private * (own @ modality.private)
        rows += constant * modality.constant
        rows += (noise / np.sqrt(DIMS)) * self.normal(count, DIMS)
        return np.ascontiguousarray(normalise(rows), dtype=np.float32)


def nearest(base, queries, ids=None):
    """The K rows of the largest inner product for each query, best first; -1 pads."""
    found = np.full((len(queries), K), -1, np.int32)
    count = min(K, len(base))
    for start in range(0, len(queries), 100):
        scores = queries[start:start + 100] @ base.T
        best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, 1)
        found[start:start + 100, :count] = best if ids is None else ids[best]
    return found


def filter_values(column, count):
    """The value of 'category' or 'grp' that each query asks for."""
    numbers = np.arange(count)
    return numbers % 100 if column == "category" else (numbers * 37 + 11) % 100


def nearest_filtered(base, queries, column, labels):
    wanted = filter_values(column, len(queries))
    found = np.full((len(queries), K), -1, np.int32)
    for value in np.unique(wanted):
        ids = np.flatnonzero(labels == value).astype(np.int32)
        asking = np.flatnonzero(wanted == value)
        if len(ids):
            found[asking] = nearest(base[ids], queries[asking], ids)
    return found


def make(seed, rows, queries):
    """All arrays of a data set, by name."""
    model = Model(seed)
    latents, cluster = model.draw_latents(rows)
    data = {"base": model.embed(latents, model.image)}
    described = model.rng.choice(rows, queries, replace=queries > rows)
    data["text"] = model.embed(model.describe(latents[described]), model.text)
    data["image"] = model.embed(model.draw_latents(queries)[0], model.image)
    data["extra"] = model.embed(model.draw_latents(EXTRA_ROWS)[0], model.image)
    data["category"] = model.rng.integers(0, 100, rows).astype(np.int32)
    data["grp"] = model.group_of[cluster]
    for kind in ("text", "image"):
        data[f"truth_{kind}"] = nearest(data["base"], data[kind])
        for column in ("category", "grp"):
            data[f"truth_{kind}_{column}"] = nearest_filtered(
                data["base"], data[kind], column, data[column])
    return data


def load(directory, seed, rows, queries):
    """The arrays of a data set, made on first use and kept under directory."""
    folder = os.path.join(directory, f"crossmodal-{seed}-{rows}-{queries}")
    whole = os.path.join(folder, "whole")
    if not os.path.exists(whole):
        os.makedirs(folder, exist_ok=True)
        for name, array in make(seed, rows, queries).items():
            np.save(os.path.join(folder, name + ".npy"), array)
        open(whole, "w").close()
    return {name[:-4]: np.load(os.path.join(folder, name))
            for name in sorted(os.listdir(folder)) if name.endswith(".npy")}


def describe_data(data):
    """Lines on how near the neighbours are, to compare data sets by."""
    base = data["base"]
    sample = base[np.random.default_rng(0).choice(len(base), min(len(base), 2000), replace=False)]
    for kind in ("text", "image"):
        queries, truth = data[kind], data[f"truth_{kind}"]
        near = np.einsum("qd,qkd->qk", queries, base[truth])
        far = queries @ sample.T
        yield (f"{kind}: cosine of the nearest {near[:, 0].mean():.3f}, of the tenth "
               f"{near[:, -1].mean():.3f}, of any row {far.mean():.3f} +- {far.std():.3f}")
    sizes = np.bincount(data["grp"])
    yield f"grp: {sizes.min()} to {sizes.max()} rows"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=100000)
    parser.add_argument("--queries", type=int, default=1000)
    args = parser.parse_args()
    print("\n".join(describe_data(load(args.directory, args.seed, args.rows, args.queries))))


if __name__ == "__main__":
    main()
