"""A horizontal reuse layer as integers, with the proof that int32 is enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN, INT32_MAX
from ostinato.quant.graph import FloatReuse
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.ops import ConvDims, QTensor
from ostinato.quant.quantize_dense import dense_parameters
from ostinato.quant.quantize_hash import quantize_hash
from ostinato.quant.quantize_reuse_image import row_positions
from ostinato.quant.ranges import Scales
from ostinato.quant.reuse_slots import choose_panel_slots
from ostinato.quant.reuse_statistics import ReuseStatistics
from ostinato.reuse.views import column_indices, weight_matrix

MOST_CENTROID_BITS = 7  # 2^7 · 255 is an int16


def quantize_horizontal(
    op: FloatReuse,
    dims: ConvDims,
    source: QTensor,
    target: QTensor,
    statistics: ReuseStatistics,
    scales: Scales = "real",
) -> QReuseHorizontal:
    """`QReuseHorizontal` of a layer whose panels of rows have clusters of columns; centroids as fine as int32 permits.

    Raises:
        QuantizationError: sums that int32 cannot hold.
    """
    matrix = weight_matrix(op.weight, op.pattern.order).t().contiguous().numpy()  # (M, K)
    reach = max(INT8_MAX - source.zero_point, source.zero_point - INT8_MIN)
    for bits in range(MOST_CENTROID_BITS, -1, -1):
        finer = replace(source, scale=source.scale / 2.0**bits)  # the bound of no bits is `dense_parameters`' own
        p = dense_parameters(op, matrix, finer, target, scales)
        largest = (reach << bits) * np.abs(p.weight.astype(np.int64)).sum(axis=1) + np.abs(p.bias.astype(np.int64))
        if (largest * 2.0 ** np.maximum(p.shift, 0) <= INT32_MAX).all():
            break
    pattern = op.pattern
    return QReuseHorizontal(
        name=op.name, input=source, output=target, dims=dims, length=pattern.length,
        columns=column_indices(op.geometry, pattern.order).astype(np.int32), panel_rows=pattern.block_rows,
        rows=row_positions(pattern, dims), hash=quantize_hash(op, source, 1),
        slots=choose_panel_slots(pattern, dims, statistics.clusters),
        weight=p.weight, bias=p.bias, multiplier=p.multiplier, shift=p.shift, centroid_bits=bits,
    )  # fmt: skip
