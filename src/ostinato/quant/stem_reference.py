"""The bits of a transform-coded stem; part of `reference.py`, which executes it."""

from __future__ import annotations

import numpy as np

from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN, Int8Array, Int64Array, saturate
from ostinato.quant.stem_ops import QStem


def stem_coefficients(op: QStem, x: Int8Array) -> Int64Array:
    """(OH, OW, n): z."""
    (oh, ow, _), (kh, kw), (sh, sw), (ph, pw) = op.dims.output, op.dims.kernel, op.dims.stride, op.dims.padding
    padding = ((ph, ph), (pw, pw), (0, 0))
    pixels = np.pad(x.astype(np.int64), padding, constant_values=op.input.zero_point)
    rotated = (pixels @ op.rotation.astype(np.int64).T)[:, :, op.channels]  # (H, W, F)
    rows = rotated[np.arange(oh)[:, None] * sh + np.arange(kh)]  # (OH, KH, W, F)
    v = (np.einsum("yiwf,fi->ywf", rows, op.vertical.astype(np.int64)) + (1 << 15)) >> 16
    columns = v[:, :, op.planes][:, np.arange(ow)[:, None] * sw + np.arange(kw)]  # (OH, OW, KW, n)
    sums = np.einsum("yxjk,kj->yxk", columns, op.horizontal.astype(np.int64)) + op.centre
    return saturate(sums >> 16, INT8_MIN, INT8_MAX)


def stem_row_ids(op: QStem, x: Int8Array) -> Int64Array:
    """(N, G): the id of every table row at every output position."""
    z = stem_coefficients(op, x).reshape(op.dims.positions, -1)
    ids = np.zeros((op.dims.positions, op.rows), np.int64)
    for k, group in enumerate(op.groups):
        ids[:, group] += op.maps[k, z[:, k] + 128]
    return ids


def stem(op: QStem, x: Int8Array) -> Int8Array:
    """`QStem`."""
    ids = stem_row_ids(op, x)
    total = np.zeros((op.dims.positions, op.dims.output[2]), np.int64) + op.offset
    for g in range(op.rows):
        total += op.table[g, ids[:, g]]
    return saturate(total >> op.fraction_bits, INT8_MIN, INT8_MAX).astype(np.int8).reshape(op.dims.output)
