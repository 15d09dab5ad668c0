"""ReLU and its relatives become limits of the layer or sum that feeds them."""

from __future__ import annotations

from dataclasses import replace

from ostinato.errors import UnsupportedError
from ostinato.quant.graph import ClampedOp, FloatActivation, FloatFlatten, FloatGraph, FloatPool, FloatUnaryOp


def fuse_activations(graph: FloatGraph) -> FloatGraph:
    """Fuse every clamp into the weighted layer or the sum before it.

    A clamp is monotone, so it commutes with max pooling and flattening and moves through them; it does not commute
    with an average, except when the averaged values are already within its limits, where it does nothing.

    Raises:
        UnsupportedError: an activation with no such layer before it.
    """
    for name in graph.names(FloatActivation):
        activation = graph.op(name)
        assert isinstance(activation, FloatActivation)
        layer, averaged = _source(graph, activation)
        if layer is None:
            raise UnsupportedError(
                f"layer '{activation.name}': this activation does not follow a convolution or linear layer (possibly "
                "with max pooling between) or a sum that only it reads, so it cannot be fused; supported is "
                "Conv2d, ReuseConv2d or Linear, then BatchNorm, then the activation; or a sum, then the activation"
            )
        clamp = layer.clamp.then(activation.clamp)
        if averaged and clamp != layer.clamp:
            raise UnsupportedError(
                f"layer '{activation.name}': an activation after average pooling is not supported; put it before the "
                "pooling"
            )
        graph = graph.with_op(replace(layer, clamp=clamp)).without(activation)
    return graph


def _source(graph: FloatGraph, activation: FloatActivation) -> tuple[ClampedOp | None, bool]:
    """The layer or sum that feeds `activation` alone, and whether an average lies between."""
    averaged = False
    op: FloatUnaryOp = activation
    while True:
        before = graph.producer(op)
        if before is None or len(graph.consumers(before.name)) > 1 or graph.output == before.name:
            return None, averaged
        if isinstance(before, ClampedOp):
            return before, averaged
        if not isinstance(before, FloatPool | FloatFlatten):
            return None, averaged
        averaged |= isinstance(before, FloatPool) and before.average
        op = before
