"""The bits of reuse in image scope; part of `reference.py`, which executes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ostinato.quant.arithmetic import (
    INT8_MAX,
    INT8_MIN,
    INT16_MAX,
    INT16_MIN,
    Int8Array,
    Int64Array,
    rounding_high_multiply,
    saturate,
    truncating_divide,
)
from ostinato.quant.ops import QReuseImage
from ostinato.quant.reference_columns import hash_ids, im2col


@dataclass(frozen=True)
class ImageClusters:
    """The clusters of one slice or panel, numbered as their ids first occur.

    Attributes:
        index: (units,) the cluster of each vector.
        sizes: (clusters,).
        overflows: vectors whose id found no slot: each of them is a cluster by itself, behind the others.
    """

    index: Int64Array
    sizes: Int64Array
    overflows: int

    def sums(self, vectors: Int64Array) -> Int64Array:
        """(clusters, D) sums of `vectors` (units, D)."""
        total = np.zeros((len(self.sizes), vectors.shape[1]), np.int64)
        np.add.at(total, self.index, vectors)
        return total


def find_clusters(ids: Int64Array, slots: int) -> ImageClusters:
    """Clusters of vectors with `ids` (units,): the first `slots` different ids have a slot, in order of occurrence."""
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    index = np.argsort(np.argsort(first))[inverse]  # a new id has the next number
    alone = index >= slots
    index[alone] = min(slots, len(first)) + np.arange(alone.sum())
    return ImageClusters(index, np.bincount(index), int(alone.sum()))


def _arranged(op: QReuseImage, x: Int8Array) -> Int64Array:
    """X with its rows in the pattern's order."""
    matrix = im2col(x, op.dims, op.columns, op.input.zero_point)
    return matrix if op.rows is None else matrix[op.rows]


def _block_ids(op: QReuseImage, vectors: Int64Array, s: int) -> Int64Array:
    """Ids of the blocks of slice s, whose rows are `vectors` (N, ≤L): b rows of them are a block."""
    units, columns = len(vectors) // op.block_rows, vectors.shape[1]
    blocks = vectors[: units * op.block_rows].reshape(units, op.block_rows, columns)
    blocks = np.pad(blocks, ((0, 0), (0, 0), (0, op.length - columns)))  # beyond a ragged end there is no hash
    return hash_ids(blocks.reshape(units, -1), op.hash, s)


def image_ids(op: QReuseImage, x: Int8Array) -> Int64Array:
    """(blocks, S): the id of every block of every slice."""
    matrix = _arranged(op, x)
    parts = [matrix[:, start : start + op.length] for start in range(0, op.dims.columns, op.length)]
    return np.stack([_block_ids(op, part, s) for s, part in enumerate(parts)], axis=-1)


def reuse_image(op: QReuseImage, x: Int8Array) -> Int8Array:
    """`QReuseImage`."""
    matrix = _arranged(op, x)
    used = len(matrix) // op.block_rows * op.block_rows
    total = np.zeros((op.dims.positions, op.dims.output[2]), np.int64)
    for s in range(op.slices):
        part = slice(s * op.length, min((s + 1) * op.length, op.dims.columns))
        clusters = find_clusters(_block_ids(op, matrix[:, part], s), op.slots)
        values = matrix[:, part] - op.input.zero_point
        sums = clusters.sums(values[:used].reshape(len(clusters.index), -1))
        centroids = truncating_divide(sums * 128, clusters.sizes[:, None]).reshape(-1, op.block_rows, values.shape[1])
        rows = np.concatenate([centroids[clusters.index].reshape(used, -1), values[used:] * 128])
        acc = rows @ op.weight[:, part].astype(np.int64).T
        added = saturate(rounding_high_multiply(acc, op.multiplier), INT16_MIN, INT16_MAX)
        if s == 0:
            added = saturate(added + op.offset, INT16_MIN, INT16_MAX)
        total = saturate(total + added, INT16_MIN, INT16_MAX)
    made = saturate(total >> op.fraction_bits, INT8_MIN, INT8_MAX).astype(np.int8)
    if op.rows is not None:
        placed = np.empty_like(made)
        placed[op.rows] = made
        made = placed
    return made.reshape(op.dims.output)


def image_overflows(op: QReuseImage, x: Int8Array) -> int:
    """Vectors of all slices that find no slot, which are computed by themselves."""
    return sum(find_clusters(ids, op.slots).overflows for ids in image_ids(op, x).T)
