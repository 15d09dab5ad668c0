"""A reuse layer in compiled scope as integers: its table, with the proof that int16 sums are enough."""

from __future__ import annotations

import numpy as np
import torch

from ostinato.quant.graph import FloatReuse
from ostinato.quant.ops import ConvDims, QReuseCompiled, QTensor
from ostinato.quant.quantize_dense import FloatArray
from ostinato.quant.quantize_hash import quantize_hash
from ostinato.quant.quantize_table import quantize_table
from ostinato.quant.reuse_statistics import ReuseStatistics
from ostinato.reuse.views import column_indices, weight_matrix, whole_slices

PIXEL_ORDER = "kh.kw.c"
"""Of the rows of a pixel-aligned layer, whose centroids know no kernel position; as `row_ids` has them."""


def quantize_reuse_compiled(
    op: FloatReuse, dims: ConvDims, source: QTensor, target: QTensor, statistics: ReuseStatistics
) -> QReuseCompiled:
    """`QReuseCompiled` of a reuse layer with compiled centroids; its table is rounded by `quantize_table`.

    Raises:
        QuantizationError: no fraction bits give sums that int32 holds.
    """
    remedy = f"use a longer slice than L={op.pattern.length} (fewer rows)"
    order = PIXEL_ORDER if op.pattern.pixelwise else op.pattern.order
    made = quantize_table(
        op.name, _table(op, order) / target.scale, op.bias.numpy() / target.scale, target.zero_point,
        statistics.ids.numpy(), remedy,
    )  # fmt: skip
    return QReuseCompiled(
        name=op.name, input=source, output=target, dims=dims, length=op.pattern.length,
        columns=column_indices(op.geometry, order).astype(np.int32), pixel_aligned=op.pattern.pixelwise,
        hash=quantize_hash(op, source, op.pattern.centroid_groups(op.geometry)),
        table=made.table, offset=made.offset, fraction_bits=made.bits,
    )  # fmt: skip


def _table(op: FloatReuse, order: str) -> FloatArray:
    """centroid · W_slice and its offset for every slice and id: (S, 2^H, M), in real units and without the bias."""
    assert op.centroids is not None  # compiled scope always has them
    length = op.pattern.length
    weights = whole_slices(weight_matrix(op.weight, order), length, 0)  # zero rows beyond a ragged end
    weights = weights.reshape(-1, length, len(op.weight))
    groups = torch.arange(len(weights)) % len(op.centroids)
    table = torch.einsum("sil,slm->sim", op.centroids[groups], weights)
    if op.table_offsets is not None:  # slices are blocks of channels, one tap of the kernel after the other
        outputs, _, height, width = op.table_offsets.shape
        taps = op.table_offsets.view(outputs, -1, op.pattern.ids, height, width).permute(3, 4, 1, 2, 0)
        table = table + taps.reshape(table.shape)
    made: FloatArray = table.numpy()
    return made
