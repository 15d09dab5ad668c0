"""A layer in compiled scope and the max-pool behind it as one operator, whose kernel stores pooled outputs only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ostinato.quant.ops import QGraph, QMaxPool2d, QOp, QReuseCompiled, QUnaryOp


@dataclass(frozen=True, kw_only=True)
class QPooled(QUnaryOp):
    """`pool` of `layer`: the same bits as one after the other, and no tensor in between.

    It has the layer's name and input and the pooling's output. The pooling's windows lie side by side, without padding.
    """

    layer: QReuseCompiled
    pool: QMaxPool2d


def pooled(layer: QReuseCompiled, pool: QMaxPool2d) -> QPooled:
    """Both as one operator; `can_pool(layer, pool)` holds."""
    return QPooled(name=layer.name, input=layer.input, output=pool.output, layer=layer, pool=pool)


def can_pool(layer: QOp, pool: QOp) -> bool:
    """Whether the pooling's windows are groups of the layer's outputs that have no pixel in common."""
    return (
        isinstance(layer, QReuseCompiled)
        and isinstance(pool, QMaxPool2d)
        and pool.input.name == layer.output.name
        and pool.dims.input == layer.dims.output
        and pool.dims.kernel == pool.dims.stride != (1, 1)
        and pool.dims.padding == (0, 0)
        and pool.dims.dilation == (1, 1)
        and all(
            out == size // window
            for out, size, window in zip(pool.dims.output[:2], pool.dims.input[:2], pool.dims.kernel, strict=True)
        )
    )


def apart(graph: QGraph) -> QGraph:
    """The same network with every `QPooled` as two operators."""
    ops: list[QOp] = []
    for op in graph.ops:
        ops += (op.layer, op.pool) if isinstance(op, QPooled) else (op,)
    return replace(graph, ops=tuple(ops))
