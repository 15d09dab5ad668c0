"""Reuse layers for the kernel benchmark: smooth activations, hashes through their middle, random weights and tables."""

from __future__ import annotations

import numpy as np

from ostinato.quant.arithmetic import Int8Array, Int32Array, IntArray
from ostinato.quant.ops import ConvDims, QHash, QReuseCompiled, QTensor
from ostinato.quant.stem_ops import QStem

ZERO_POINT = -128  # activations behind a ReLU


def smooth_input(shape: tuple[int, int, int]) -> Int8Array:
    """Waves, cut off below zero, with a little noise: neighbours are alike, as in images and activation maps."""
    rng = np.random.default_rng(1)
    height, width, channels = shape
    y, x = np.mgrid[0:height, 0:width][..., None]
    waves = np.zeros(shape)
    for _ in range(4):
        fy, fx = rng.uniform(0, 1.5 / height, channels), rng.uniform(0, 1.5 / width, channels)
        waves += rng.normal(size=channels) * np.cos(2 * np.pi * (fy * y + fx * x + rng.random(channels)))
    real = np.maximum(waves + rng.normal(0, 0.05, shape), 0)
    return np.clip(np.rint(real / real.max() * 255) + ZERO_POINT, -128, 127).astype(np.int8)


def columns_of(dims: ConvDims) -> Int32Array:
    """(K, 3): (c, kh, kw) in the order kh.kw.c."""
    return np.indices((*dims.kernel, dims.input[2])).reshape(3, -1).T[:, [2, 0, 1]].astype(np.int32)


def compiled_layer(
    dims: ConvDims, length: int, hashes: int, *, largest: int, tree: bool, thresholds: bool = False
) -> QReuseCompiled:
    """A pixel-aligned layer with a random table within ±largest; up to 63 its rows can be added in pairs."""
    rng = np.random.default_rng(3)
    return QReuseCompiled(
        **_tensors(dims),
        length=length,
        columns=columns_of(dims),
        pixel_aligned=True,
        hash=_tree_or_planes(rng, dims.input[2] // length, hashes, length, tree=tree, thresholds=thresholds),
        table=_table(rng, dims.columns // length, 1 << hashes, dims.output[2], largest),
        offset=np.full(dims.output[2], 4, np.int32),
        fraction_bits=3,
    )


def kernel_row_layer(dims: ConvDims, hashes: int, *, largest: int, thresholds: bool) -> QReuseCompiled:
    """Slices are kernel rows, all hashed by one tree."""
    rng = np.random.default_rng(5)
    length, rows = dims.kernel[1] * dims.input[2], dims.kernel[0]
    one = _tree_or_planes(rng, 1, hashes, length, tree=True, thresholds=thresholds)
    return QReuseCompiled(
        **_tensors(dims),
        length=length,
        columns=columns_of(dims),
        pixel_aligned=False,
        hash=QHash(vectors=one.vectors.repeat(rows, axis=0), offset=one.offset.repeat(rows, axis=0), tree=True),
        table=_table(rng, rows, 1 << hashes, dims.output[2], largest),
        offset=np.full(dims.output[2], 4, np.int32),
        fraction_bits=1,
    )


def _tree_or_planes(
    rng: np.random.Generator, groups: int, hashes: int, length: int, *, tree: bool, thresholds: bool
) -> QHash:
    """`thresholds`: the planes of the tree have one entry each."""
    hashing = _hash(rng, groups, hashes, length, tree=tree)
    if not thresholds:
        return hashing
    vectors = hashing.vectors * (np.arange(length) == rng.integers(0, length, (*hashing.offset.shape, 1)))
    middle = vectors.sum(axis=2, dtype=np.int32) * (ZERO_POINT + 40)
    return QHash(vectors=vectors, offset=-middle, tree=True)


def stem_layer(dims: ConvDims, groups: int, hashes: int, coefficients: int, *, largest: int) -> QStem:
    """A stem of random filters in three planes of each colour, and a random table within ±largest."""
    rng = np.random.default_rng(4)
    (kh, kw), colours = dims.kernel, dims.input[2]
    planes = np.sort(np.arange(coefficients) % (3 * colours))
    group = np.arange(coefficients) % groups
    parts = np.bincount(group)
    vertical = rng.normal(size=(3 * colours, kh))
    vertical *= 0.99 * 2.0**14 * np.sqrt(kh) / np.abs(vertical).sum(axis=1, keepdims=True)
    horizontal = rng.normal(size=(coefficients, kw))
    horizontal *= 3000 / np.abs(horizontal).sum(axis=1, keepdims=True)
    most = ((1 << hashes) - 1) // parts[group]
    return QStem(
        name="conv",
        input=QTensor("x", dims.input, 1 / 128, 0),
        output=QTensor("y", dims.output, 0.05, 0),
        dims=dims,
        rotation=np.rint(127 * np.linalg.qr(rng.normal(size=(colours, colours)))[0]).astype(np.int8),
        channels=np.repeat(np.arange(colours), 3).astype(np.int32),
        vertical=np.trunc(vertical).astype(np.int16),
        planes=planes.astype(np.int32),
        horizontal=np.trunc(horizontal).astype(np.int16),
        centre=np.full(coefficients, 1 << 15, np.int32),
        maps=rng.integers(0, most[:, None] + 1, (coefficients, 256)).astype(np.uint8),
        groups=group.astype(np.int32),
        table=_table(rng, groups, 1 << hashes, dims.output[2], largest),
        offset=np.full(dims.output[2], 4, np.int32),
        fraction_bits=1,
    )


def _tensors(dims: ConvDims) -> dict[str, object]:
    return {
        "name": "conv",
        "input": QTensor("x", dims.input, 0.05, ZERO_POINT),
        "output": QTensor("y", dims.output, 0.05, 0),
        "dims": dims,
    }


def _hash(
    rng: np.random.Generator, groups: int, hashes: int, length: int, *, tree: bool, of: int | None = None
) -> QHash:
    """Hashes of `groups` groups, of which the first `of` differ and are repeated."""
    planes = (1 << hashes) - 1 if tree else hashes
    vectors = rng.normal(0, 40, (groups, planes, length)).round().clip(-127, 127).astype(np.int8)
    vectors = vectors[np.arange(groups) % (of or groups)]
    middle = vectors.astype(np.int32).sum(axis=2) * (ZERO_POINT + 40)
    return QHash(vectors=vectors, offset=(-middle).astype(np.int32), tree=tree)


def _table(rng: np.random.Generator, rows: int, ids: int, channels: int, largest: int) -> IntArray:
    spread = min(largest / 3, 8000 / rows)
    return rng.normal(0, spread, (rows, ids, channels)).round().clip(-largest, largest).astype(np.int8)
