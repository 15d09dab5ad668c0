"""im2col and hashing in integers, which several operators of `reference.py` begin with."""

from __future__ import annotations

from typing import Any

import numpy as np

from ostinato.quant.arithmetic import Int8Array, Int64Array
from ostinato.quant.ops import ConvDims, QHash


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
