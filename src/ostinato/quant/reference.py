"""The integer semantics of every operator: one NumPy function each, and nothing else defines the bits.

Written for clarity, with int64 intermediates; the C kernels, on host and simulator, must agree with it bit for bit.
All functions take and return int8 arrays without a batch axis.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ostinato.quant.arithmetic import (
    INT8_MAX,
    INT8_MIN,
    Int8Array,
    Int64Array,
    requantize,
    saturate,
    truncating_divide,
)
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.horizontal_reference import reuse_horizontal
from ostinato.quant.ops import (
    QAdd,
    QAvgPool2d,
    QConcat,
    QConv2d,
    QGraph,
    QLinear,
    QMaxPool2d,
    QOp,
    QReuseCompiled,
    QReuseImage,
)
from ostinato.quant.pooled_op import QPooled, apart
from ostinato.quant.reference_columns import hash_ids, im2col, pad, windows
from ostinato.quant.reuse_reference import reuse_image
from ostinato.quant.softmax_op import QSoftmax
from ostinato.quant.stem_ops import QStem
from ostinato.quant.stem_reference import stem


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


def softmax(op: QSoftmax, x: Int8Array) -> Int8Array:
    """`QSoftmax`."""
    values = op.table.astype(np.int64)[int(x.max()) - x.astype(np.int64)]
    total = int(values.sum())
    return saturate((256 * values + total // 2) // total - 128, INT8_MIN, INT8_MAX).astype(np.int8)


_REFERENCE: dict[type[QOp], Callable[..., Int8Array]] = {
    QConv2d: conv2d,
    QLinear: linear,
    QMaxPool2d: max_pool2d,
    QAvgPool2d: avg_pool2d,
    QAdd: add,
    QConcat: concat,
    QReuseImage: reuse_image,
    QReuseHorizontal: reuse_horizontal,
    QReuseCompiled: reuse_compiled,
    QSoftmax: softmax,
    QPooled: lambda op, x: max_pool2d(op.pool, execute_op(op.layer, x)),
    QStem: stem,
}


def execute_op(op: QOp, *inputs: Int8Array) -> Int8Array:
    """Run one operator on arrays of its `inputs`."""
    return _REFERENCE[type(op)](op, *inputs)


def execute(graph: QGraph, x: Int8Array) -> dict[str, Int8Array]:
    """Run a network on one int8 input; every tensor by name, the input and those inside a `QPooled` included."""
    tensors = {graph.input.name: x.reshape(graph.input.shape)}
    for op in apart(graph).ops:
        result = execute_op(op, *(tensors[source.name] for source in op.inputs))
        tensors[op.output.name] = result.reshape(op.output.shape)
    return tensors
