"""A reuse layer in compiled scope as integers: its table, with the proof that int16 sums are enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ostinato.errors import QuantizationError
from ostinato.quant.arithmetic import INT8_MAX, INT16_MAX, IntArray
from ostinato.quant.graph import FloatReuse
from ostinato.quant.ops import ConvDims, QReuseCompiled, QTensor
from ostinato.quant.quantize_dense import FloatArray
from ostinato.quant.quantize_hash import quantize_hash
from ostinato.quant.reuse_statistics import ReuseStatistics
from ostinato.reuse.views import column_indices, weight_matrix, whole_slices

MAX_FRACTION_BITS = 7


@dataclass(frozen=True)
class _Candidate:
    table: IntArray  # (R, 2^H, M) int8
    offset: IntArray  # (M,)
    reach: int  # the largest |offset| + Σ_r max |table| of any channel
    error: float  # mean squared error of the outputs on calibration ids, in output steps


def quantize_reuse_compiled(
    op: FloatReuse, dims: ConvDims, source: QTensor, target: QTensor, statistics: ReuseStatistics
) -> QReuseCompiled:
    """`QReuseCompiled` of a reuse layer with compiled centroids.

    Table rows are centred (the middle of each row's entries per channel moves into the offset), then rounded in units
    of scale_out / 2^F. Of all F whose int16 sums are proven safe, the one with the least error on the calibration
    images' ids is taken: a larger F rounds finer, but clips entries beyond ±127.

    Raises:
        QuantizationError: no F ≥ 1 is safe.
    """
    real = _table(op) / target.scale
    centre = (real.max(axis=1) + real.min(axis=1)) / 2.0  # (R, M)
    centred, constant = real - centre[:, None], op.bias.numpy() / target.scale + centre.sum(axis=0)
    ids = statistics.ids.numpy()
    exact = _sums(centred, ids) + constant + target.zero_point
    candidates = {bits: _candidate(bits, centred, ids, exact) for bits in range(1, MAX_FRACTION_BITS + 1)}
    safe = {bits: c for bits, c in candidates.items() if c.reach <= INT16_MAX}
    if not safe:
        raise QuantizationError(
            f"layer '{op.name}': the int16 sum of {len(real)} table rows can reach {candidates[1].reach} at 1 fraction "
            f"bit, beyond {INT16_MAX}; use a longer slice than L={op.pattern.length} (fewer rows)"
        )
    bits = min(safe, key=lambda b: safe[b].error)
    return QReuseCompiled(
        name=op.name, input=source, output=target, dims=dims, length=op.pattern.length,
        columns=column_indices(op.geometry, op.pattern.order).astype(np.int32), pixel_aligned=op.pattern.pixelwise,
        hash=quantize_hash(op, source, op.pattern.centroid_groups(op.geometry)),
        table=safe[bits].table.astype(np.int8), offset=safe[bits].offset.astype(np.int32), fraction_bits=bits,
    )  # fmt: skip


def _table(op: FloatReuse) -> FloatArray:
    """centroid · W_slice for every slice and id: (S, 2^H, M), in real units and without the bias."""
    assert op.centroids is not None  # compiled scope always has them
    length = op.pattern.length
    weights = whole_slices(weight_matrix(op.weight, op.pattern.order), length, 0)  # zero rows beyond a ragged end
    weights = weights.reshape(-1, length, len(op.weight))
    groups = torch.arange(len(weights)) % len(op.centroids)
    table: FloatArray = torch.einsum("sil,slm->sim", op.centroids[groups], weights).numpy()
    return table


def _candidate(bits: int, centred: FloatArray, ids: IntArray, exact: FloatArray) -> _Candidate:
    unit = 2.0**bits
    table = np.clip(np.rint(centred * unit), -INT8_MAX, INT8_MAX)
    sums = _sums(table, ids)
    # The mean error of rounding and clipping, as it occurs, is corrected for free.
    offset = np.rint((exact * unit - sums).mean(axis=0)) + unit / 2
    reach = np.abs(offset) + np.abs(table).max(axis=1).sum(axis=0)
    made = np.clip(np.floor((sums + offset) / unit), -128, 127)
    error = float(np.square(made - np.clip(exact, -128, 127)).mean())
    return _Candidate(table, offset, int(reach.max()), error)


def _sums(table: FloatArray, ids: IntArray) -> FloatArray:
    """Σ_r table[r, ids[:, r]]: (positions, M)."""
    total = np.zeros((len(ids), table.shape[2]))
    for r, rows in enumerate(table):
        total += rows[ids[:, r]]
    return total
