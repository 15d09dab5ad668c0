"""The bits of horizontal reuse; part of `reference.py`, which executes it."""

from __future__ import annotations

import numpy as np

from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN, Int8Array, Int64Array, requantize, saturate, truncating_divide
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.reference_columns import hash_ids, im2col
from ostinato.quant.reuse_reference import find_clusters


def _panels(op: QReuseHorizontal, x: Int8Array) -> Int64Array:
    """(panels, l, K): X in the pattern's order, with zp_in in rows that are not there."""
    matrix = im2col(x, op.dims, op.columns, op.input.zero_point)
    matrix = matrix if op.rows is None else matrix[op.rows]
    missing = op.panels * op.panel_rows - len(matrix)
    matrix = np.pad(matrix, ((0, missing), (0, 0)), constant_values=op.input.zero_point)
    return matrix.reshape(op.panels, op.panel_rows, -1)


def _units(op: QReuseHorizontal, panel: Int64Array) -> Int64Array:
    """(units, l·L) of a panel (l, K)."""
    used = panel[:, : op.units * op.length].reshape(op.panel_rows, op.units, op.length)
    return used.transpose(1, 0, 2).reshape(op.units, -1)


def panel_ids(op: QReuseHorizontal, x: Int8Array) -> Int64Array:
    """(units, panels): the id of every unit of every panel."""
    return np.stack([hash_ids(_units(op, panel), op.hash, 0) for panel in _panels(op, x)], axis=-1)


def reuse_horizontal(op: QReuseHorizontal, x: Int8Array) -> Int8Array:
    """`QReuseHorizontal`."""
    weight, parts = op.weight.astype(np.int64).T, []  # (K, M)
    used = op.units * op.length
    blocks = weight[:used].reshape(op.units, -1)  # (units, L·M)
    for panel in _panels(op, x):
        clusters = find_clusters(hash_ids(_units(op, panel), op.hash, 0), op.slots)
        values = panel - op.input.zero_point
        sums = clusters.sums(_units(op, values)) * (1 << op.centroid_bits)
        centroids = truncating_divide(sums, clusters.sizes[:, None]).reshape(-1, op.panel_rows, op.length)
        summed = clusters.sums(blocks).reshape(len(centroids), op.length, -1)  # Wc
        rest = values[:, used:] * (1 << op.centroid_bits)
        parts.append(np.einsum("cri,cim->rm", centroids, summed) + rest @ weight[used:])
    acc = np.concatenate(parts)[: op.dims.positions] + op.bias
    scaled = requantize(acc, op.multiplier, op.shift) + op.output.zero_point
    made = saturate(scaled, INT8_MIN, INT8_MAX).astype(np.int8)
    if op.rows is not None:
        placed = np.empty_like(made)
        placed[op.rows] = made
        made = placed
    return made.reshape(op.dims.output)


def horizontal_overflows(op: QReuseHorizontal, x: Int8Array) -> int:
    """Units of all panels that find no slot, which are computed by themselves."""
    return sum(find_clusters(ids, op.slots).overflows for ids in panel_ids(op, x).T)
