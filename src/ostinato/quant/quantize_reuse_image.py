"""A reuse layer in image scope as integers, with the proofs that int32 and int16 are enough."""

from __future__ import annotations

import numpy as np

from ostinato.errors import QuantizationError
from ostinato.quant.arithmetic import INT16_MAX, INT32_MAX, Int32Array
from ostinato.quant.graph import FloatReuse
from ostinato.quant.ops import ConvDims, QReuseImage, QTensor
from ostinato.quant.quantize_dense import FloatArray, symmetric_weights
from ostinato.quant.quantize_hash import quantize_hash
from ostinato.quant.ranges import Scales
from ostinato.quant.reuse_slots import choose_slots
from ostinato.quant.reuse_statistics import ReuseStatistics
from ostinato.reuse.order import ROW_AXES, parse_order, permutation
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.views import column_indices, weight_matrix

MAX_FRACTION_BITS = 7
CENTROID_LIMIT = 32640  # 128 · 255: centroids have 7 fraction bits
HEADROOM = 2.0
"""Sums of unseen images may be this much larger than the largest one in calibration before they saturate."""


def quantize_reuse_image(
    op: FloatReuse,
    dims: ConvDims,
    source: QTensor,
    target: QTensor,
    statistics: ReuseStatistics,
    scales: Scales = "real",
) -> QReuseImage:
    """`QReuseImage` of a reuse layer whose clusters are those of the image.

    Raises:
        QuantizationError: slices too long for int32, or sums too large for int16 at one fraction bit.
    """
    matrix = weight_matrix(op.weight, op.pattern.order).t().contiguous().numpy()  # (M, K)
    weight, scale = symmetric_weights(matrix, scales=scales)
    _prove_accumulator(op, weight)
    bits = _fraction_bits(op, source, target, scale, statistics)
    unit = target.scale / 2.0**bits
    multiplier = np.rint(source.scale * scale / (128.0 * unit) * 2.0**32)
    offset = np.rint(op.bias.numpy() / unit) + (target.zero_point << bits) + (1 << (bits - 1))
    return QReuseImage(
        name=op.name, input=source, output=target, dims=dims, length=op.pattern.length,
        columns=column_indices(op.geometry, op.pattern.order).astype(np.int32),
        hash=quantize_hash(op, source, op.pattern.slices(op.geometry)),
        weight=weight, multiplier=multiplier.astype(np.int32), offset=offset.astype(np.int32), fraction_bits=bits,
        slots=choose_slots(op.pattern, dims, statistics.clusters), block_rows=op.pattern.block_rows,
        rows=row_positions(op.pattern, dims),
    )  # fmt: skip


def row_positions(pattern: Pattern, dims: ConvDims) -> Int32Array | None:
    """(N,) the output position of each row of X in the pattern's order; None if it stays, or does not matter."""
    axes = parse_order(pattern.row_order, ROW_AXES)
    if not pattern.blocked or axes == parse_order("b.oh.ow", ROW_AXES):
        return None
    return permutation(axes, ROW_AXES, (1, *dims.output[:2])).astype(np.int32)


def _prove_accumulator(op: FloatReuse, weight: FloatArray) -> None:
    """|c_l| ≤ 32640, so a slice's product is safe in int32 when 32640 · Σ_l |w_l| < 2^31."""
    for start, stop in op.geometry.slices(op.pattern.length):
        largest = CENTROID_LIMIT * int(np.abs(weight[:, start:stop].astype(np.int64)).sum(axis=1).max())
        if largest > INT32_MAX:
            raise QuantizationError(
                f"layer '{op.name}': the product of a centroid with columns {start} to {stop - 1} can reach {largest}, "
                f"beyond int32 ({INT32_MAX}); use a shorter slice than L={op.pattern.length} "
                f"(L={INT32_MAX // (CENTROID_LIMIT * 127)} is always safe)"
            )


def _fraction_bits(
    op: FloatReuse, source: QTensor, target: QTensor, scale: FloatArray, statistics: ReuseStatistics
) -> int:
    """The most fraction bits for which sums have `HEADROOM` in int16, and offset and multiplier fit."""
    reach = HEADROOM * statistics.peak / target.scale + abs(target.zero_point)
    bias = float(np.abs(op.bias.numpy()).max()) / target.scale + abs(target.zero_point)
    ratio = float(scale.max()) * source.scale / (128.0 * target.scale)
    for bits in range(MAX_FRACTION_BITS, 0, -1):
        fits = max(reach, bias) * 2.0**bits + 2.0 ** (bits - 1) + 1 <= INT16_MAX
        if fits and ratio * 2.0 ** (bits + 32) <= INT32_MAX:
            return bits
    raise QuantizationError(
        f"layer '{op.name}': sums before the activation reach ±{statistics.peak:.4g}, that is "
        f"{statistics.peak / target.scale:.0f} output steps of {target.scale:.4g}, too many for int16 with headroom "
        "for unseen images; the output's range is too small beside the sums: check the calibration images"
    )
