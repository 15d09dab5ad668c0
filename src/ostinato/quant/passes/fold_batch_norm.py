"""Batch norm after a weighted layer becomes part of its weights and bias."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ostinato.errors import UnsupportedError
from ostinato.quant.graph import Clamp, FloatBatchNorm, FloatGraph, FloatReuse, WeightedOp


def fold_batch_norm(graph: FloatGraph) -> FloatGraph:
    """Fold every batch norm into the convolution, reuse convolution or linear layer before it.

    y = (W x + b) · scale + shift = (scale · W) x + (scale · b + shift): exact for a reuse layer too, which is linear in
    its weights for any clusters.

    Raises:
        UnsupportedError: a batch norm that follows anything else.
    """
    for name in graph.names(FloatBatchNorm):
        norm = graph.op(name)
        assert isinstance(norm, FloatBatchNorm)
        layer = graph.producer(norm)
        alone = layer is not None and len(graph.consumers(layer.name)) == 1 and graph.output != layer.name
        if not (isinstance(layer, WeightedOp) and alone and layer.clamp == Clamp()):
            raise UnsupportedError(
                f"layer '{norm.name}': this batch norm does not directly follow a convolution or linear layer "
                f"(its input is {_describe(graph, norm)}), so it cannot be folded; supported is Conv2d, ReuseConv2d or "
                "Linear, then BatchNorm, then the activation"
            )
        graph = graph.with_op(_folded(layer, norm.scale, norm.shift)).without(norm)
    return graph


def _describe(graph: FloatGraph, norm: FloatBatchNorm) -> str:
    layer = graph.producer(norm)
    return "the network's input" if layer is None else f"'{layer.name}'"


def _folded(layer: WeightedOp, scale: Tensor, shift: Tensor) -> WeightedOp:
    per_channel = scale.view(-1, *([1] * (layer.weight.ndim - 1)))
    folded = replace(layer, weight=layer.weight * per_channel, bias=layer.bias * scale + shift)
    if isinstance(folded, FloatReuse) and folded.table_offsets is not None:
        return replace(folded, table_offsets=folded.table_offsets * per_channel)
    return folded
