"""The integer semantics of every operator: one NumPy function each, and nothing else defines the bits.

Written for clarity, with int64 intermediates; the C kernels, on host and simulator, must agree with it bit for bit.
All functions take and return int8 arrays without a batch axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ostinato.quant.arithmetic import (
    INT8_MAX,
    INT8_MIN,
    INT16_MAX,
    INT16_MIN,
    Int8Array,
    Int64Array,
    requantize,
    rounding_high_multiply,
    saturate,
    truncating_divide,
)
from ostinato.quant.ops import (
    ConvDims,
    QAdd,
    QAvgPool2d,
    QConcat,
    QConv2d,
    QGraph,
    QHash,
    QLinear,
    QMaxPool2d,
    QOp,
    QReuseCompiled,
    QReuseImage,
)
from ostinato.quant.stem_ops import QStem
from ostinato.quant.stem_reference import stem


def pad(x: Int8Array, dims: ConvDims, value: int) -> Int64Array:
    """(H, W, C) padded on all sides with `value`."""
    (ph, pw) = dims.padding
    return np.pad(x.astype(np.int64), ((ph, ph), (pw, pw), (0, 0)), constant_values=value)


def windows(padded: Int64Array, dims: ConvDims) -> Int64Array:
    """All windows: (OH, OW, KH, KW, C)."""
    (oh, ow, _), (kh, kw), (sh, sw), (dh, dw) = dims.output, dims.kernel, dims.stride, dims.dilation
    rows = np.arange(oh)[:, None] * sh + np.arange(kh)[None] * dh  # (OH, KH)
    cols = np.arange(ow)[:, None] * sw + np.arange(kw)[None] * dw  # (OW, KW)
    tiles: Int64Array = padded[rows[:, None, :, None], cols[None, :, None, :]]
    return tiles


def im2col(x: Int8Array, dims: ConvDims, columns: np.ndarray[Any, Any], pad_value: int) -> Int64Array:
    """X, N × K, with columns in the order given by `columns` (K, 3) = (c, kh, kw)."""
    tiles = windows(pad(x, dims, pad_value), dims)
    c, kh, kw = columns.T
    matrix: Int64Array = tiles[:, :, kh, kw, c].reshape(dims.positions, -1)
    return matrix


def hash_ids(vectors: Int64Array, hashing: QHash, group: int) -> Int64Array:
    """Cluster ids of (N, ≤L) integer vectors by hash group `group`."""
    length = vectors.shape[1]
    bits = vectors @ hashing.vectors[group, :, :length].astype(np.int64).T + hashing.offset[group] > 0  # (N, P)
    ids: Int64Array = np.zeros(len(vectors), np.int64)
    for level in range(hashing.hashes):
        plane = (1 << level) - 1 + ids if hashing.tree else np.full_like(ids, level)
        ids = 2 * ids + bits[np.arange(len(ids)), plane]
    return ids


def conv2d(op: QConv2d, x: Int8Array) -> Int8Array:
    """`QConv2d`."""
    tiles = windows(pad(x, op.dims, op.input.zero_point), op.dims) - op.input.zero_point
    parts = np.split(tiles, op.groups, axis=-1)
    weights = np.split(op.weight.reshape(len(op.weight), -1).astype(np.int64), op.groups)
    sums = [part.reshape(op.dims.positions, -1) @ weight.T for part, weight in zip(parts, weights, strict=True)]
    acc: Int64Array = np.concatenate(sums, axis=1).astype(np.int64) + op.bias
    return _finish(op, acc).reshape(op.dims.output)


def linear(op: QLinear, x: Int8Array) -> Int8Array:
    """`QLinear`."""
    acc = op.weight.astype(np.int64) @ (x.reshape(-1).astype(np.int64) - op.input.zero_point) + op.bias
    return _finish(op, acc)


def _finish(op: QConv2d | QLinear, acc: Int64Array) -> Int8Array:
    scaled = requantize(acc, op.multiplier, op.shift) + op.output.zero_point
    return saturate(scaled, op.activation_min, op.activation_max).astype(np.int8)


def max_pool2d(op: QMaxPool2d, x: Int8Array) -> Int8Array:
    """`QMaxPool2d`."""
    tiles = windows(pad(x, op.dims, INT8_MIN), op.dims)
    largest: Int8Array = tiles.max(axis=(2, 3)).astype(np.int8)
    return largest


def avg_pool2d(op: QAvgPool2d, x: Int8Array) -> Int8Array:
    """`QAvgPool2d`."""
    total = windows(pad(x, op.dims, 0), op.dims).sum(axis=(2, 3))
    count = windows(pad(np.ones_like(x), op.dims, 0), op.dims).sum(axis=(2, 3))
    half = np.where(total >= 0, count // 2, -(count // 2))
    return saturate(truncating_divide(total + half, count), INT8_MIN, INT8_MAX).astype(np.int8)


def add(op: QAdd, *terms: Int8Array) -> Int8Array:
    """`QAdd`."""
    first, second = (x.reshape(-1).astype(np.int64) * m for x, m in zip(terms, op.multipliers, strict=True))
    acc = first + second + op.offset
    return saturate(acc >> op.fraction_bits, op.activation_min, op.activation_max).astype(np.int8)


def concat(op: QConcat, *parts: Int8Array) -> Int8Array:
    """`QConcat`."""
    pixels = op.output.size // op.output.shape[-1]
    return np.concatenate([part.reshape(pixels, -1) for part in parts], axis=1).reshape(op.output.shape)


def reuse_image(op: QReuseImage, x: Int8Array) -> Int8Array:
    """`QReuseImage`."""
    matrix = im2col(x, op.dims, op.columns, op.input.zero_point)
    total = np.zeros((op.dims.positions, op.dims.output[2]), np.int64)
    for s in range(op.slices):
        part = slice(s * op.length, min((s + 1) * op.length, op.dims.columns))
        rows = matrix[:, part]
        present, inverse, counts = np.unique(hash_ids(rows, op.hash, s), return_inverse=True, return_counts=True)
        sums = np.zeros((len(present), rows.shape[1]), np.int64)
        np.add.at(sums, inverse, rows - op.input.zero_point)
        centroids = truncating_divide(sums * 128, counts[:, None])
        acc = centroids @ op.weight[:, part].astype(np.int64).T
        table = saturate(rounding_high_multiply(acc, op.multiplier), INT16_MIN, INT16_MAX)
        if s == 0:
            table = saturate(table + op.offset, INT16_MIN, INT16_MAX)
        total = saturate(total + table[inverse], INT16_MIN, INT16_MAX)
    return saturate(total >> op.fraction_bits, INT8_MIN, INT8_MAX).astype(np.int8).reshape(op.dims.output)


def compiled_ids(op: QReuseCompiled, x: Int8Array) -> Int64Array:
    """The id of every table row at every output position: (N, R)."""
    x = x.reshape(op.dims.input)  # a fully connected layer's may be a vector
    if op.pixel_aligned:
        padded = pad(x, op.dims, op.input.zero_point)
        height, width, channels = padded.shape
        blocks = padded.reshape(height * width, channels // op.length, op.length)
        ids = np.stack([hash_ids(blocks[:, g], op.hash, g) for g in range(blocks.shape[1])], axis=-1)
        return windows(ids.reshape(height, width, -1), op.dims).reshape(op.dims.positions, -1)
    matrix = im2col(x, op.dims, op.columns, op.input.zero_point)
    parts = [matrix[:, start : start + op.length] for start in range(0, op.dims.columns, op.length)]
    return np.stack([hash_ids(part, op.hash, s) for s, part in enumerate(parts)], axis=-1)


def reuse_compiled(op: QReuseCompiled, x: Int8Array) -> Int8Array:
    """`QReuseCompiled`."""
    ids = compiled_ids(op, x)
    rows = op.table[np.arange(op.rows)[None], ids].astype(np.int64)  # (N, R, M)
    total = rows.sum(axis=1) + op.offset
    return saturate(total >> op.fraction_bits, INT8_MIN, INT8_MAX).astype(np.int8).reshape(op.output.shape)


_REFERENCE: dict[type[QOp], Callable[..., Int8Array]] = {
    QConv2d: conv2d,
    QLinear: linear,
    QMaxPool2d: max_pool2d,
    QAvgPool2d: avg_pool2d,
    QAdd: add,
    QConcat: concat,
    QReuseImage: reuse_image,
    QReuseCompiled: reuse_compiled,
    QStem: stem,
}


def execute_op(op: QOp, *inputs: Int8Array) -> Int8Array:
    """Run one operator on arrays of its `inputs`."""
    return _REFERENCE[type(op)](op, *inputs)


def execute(graph: QGraph, x: Int8Array) -> dict[str, Int8Array]:
    """Run a network on one int8 input; every tensor by name, the input included."""
    tensors = {graph.input.name: x.reshape(graph.input.shape)}
    for op in graph.ops:
        result = execute_op(op, *(tensors[source.name] for source in op.inputs))
        tensors[op.output.name] = result.reshape(op.output.shape)
    return tensors
