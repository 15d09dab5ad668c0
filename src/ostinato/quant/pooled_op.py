"""A layer in compiled scope or a stem, and the max-pool behind it, as one operator that stores only pooled outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ostinato.quant.ops import ConvDims, QGraph, QMaxPool2d, QOp, QReuseCompiled, QUnaryOp
from ostinato.quant.stem_ops import QStem


@dataclass(frozen=True, kw_only=True)
class QPooled(QUnaryOp):
    """`pool` of `layer`: the same bits as one after the other, and no tensor in between.

    It has the layer's name and input and the pooling's output. Behind a layer in compiled scope the pooling's windows
    lie side by side, without padding.
    """

    layer: QReuseCompiled | QStem
    pool: QMaxPool2d


def pooled(layer: QReuseCompiled | QStem, pool: QMaxPool2d) -> QPooled:
    """Both as one operator; `can_pool(layer, pool)` holds."""
    return QPooled(name=layer.name, input=layer.input, output=pool.output, layer=layer, pool=pool)


def can_pool(layer: QOp, pool: QOp) -> bool:
    """Whether a kernel does both: of a stem any pooling whose windows have rows of it next to each other, of a layer in
    compiled scope one whose windows have no pixel in common."""
    return (
        isinstance(layer, QReuseCompiled | QStem)
        and isinstance(pool, QMaxPool2d)
        and pool.input.name == layer.output.name
        and pool.dims.input == layer.dims.output
        and pool.dims.dilation == (1, 1)
        and (_rows_are_there(pool.dims) if isinstance(layer, QStem) else _side_by_side(pool.dims))
    )


def _side_by_side(dims: ConvDims) -> bool:
    sides = zip(dims.output[:2], dims.input[:2], dims.kernel, strict=True)
    return (
        dims.kernel == dims.stride != (1, 1)
        and dims.padding == (0, 0)
        and all(out == size // window for out, size, window in sides)
    )


def _rows_are_there(dims: ConvDims) -> bool:
    """No window has rows of padding only."""
    last = (dims.output[0] - 1) * dims.stride[0] - dims.padding[0]
    return dims.padding[0] < dims.kernel[0] and last < dims.input[0]


def apart(graph: QGraph) -> QGraph:
    """The same network with every `QPooled` as two operators."""
    ops: list[QOp] = []
    for op in graph.ops:
        ops += (op.layer, op.pool) if isinstance(op, QPooled) else (op,)
    return replace(graph, ops=tuple(ops))
