"""A layer and the max-pool behind it as one operator that stores only pooled outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ostinato.quant.ops import ConvDims, QConv2d, QGraph, QMaxPool2d, QOp, QReuseCompiled, QUnaryOp
from ostinato.quant.stem_ops import QStem

PoolableOp = QReuseCompiled | QStem | QConv2d


@dataclass(frozen=True, kw_only=True)
class QPooled(QUnaryOp):
    """`pool` of `layer`: the same bits as one after the other, and no tensor in between.

    It has the layer's name and input and the pooling's output. Behind a layer in compiled scope the pooling's windows
    lie side by side, without padding.
    """

    layer: PoolableOp
    pool: QMaxPool2d


def pooled(layer: PoolableOp, pool: QMaxPool2d) -> QPooled:
    """Both as one operator; `can_pool(layer, pool)` holds."""
    return QPooled(name=layer.name, input=layer.input, output=pool.output, layer=layer, pool=pool)


def can_pool(layer: QOp, pool: QOp) -> bool:
    """Whether a kernel does both: of a layer in compiled scope a pooling whose windows have no pixel in common, of a
    stem or a convolution that is not in groups any whose windows have rows of it next to each other.

    A convolution has to need less SRAM so: the rows that are held and what is pooled are less than its own output.
    """
    if not (
        isinstance(layer, PoolableOp)
        and isinstance(pool, QMaxPool2d)
        and pool.input.name == layer.output.name
        and pool.dims.input == layer.dims.output
        and pool.dims.dilation == (1, 1)
    ):
        return False
    if isinstance(layer, QReuseCompiled):
        return side_by_side(pool.dims)
    if isinstance(layer, QConv2d) and (layer.groups != 1 or not _saves_sram(pool.dims)):
        return False
    return _rows_are_there(pool.dims)


def side_by_side(dims: ConvDims) -> bool:
    """Whether no windows have a pixel in common, or padding."""
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


def _saves_sram(dims: ConvDims) -> bool:
    """Whether the outputs and a window's rows are less than what is pooled."""
    height, width, channels = dims.input
    held = min(dims.kernel[0], height) * width * channels
    return held + dims.output[0] * dims.output[1] * channels < height * width * channels


def apart(graph: QGraph) -> QGraph:
    """The same network with every `QPooled` as two operators."""
    ops: list[QOp] = []
    for op in graph.ops:
        ops += (op.layer, op.pool) if isinstance(op, QPooled) else (op,)
    return replace(graph, ops=tuple(ops))
