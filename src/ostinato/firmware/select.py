"""Which kernel runs which operator."""

from __future__ import annotations

from typing import Literal, get_args

from ostinato.errors import UnsupportedError
from ostinato.kernels.binding import Binding
from ostinato.kernels.conventional import bind_avg_pool, bind_conv, bind_linear, bind_max_pool
from ostinato.kernels.joins import bind_add, bind_concat
from ostinato.kernels.reuse_compiled import bind_reuse_compiled
from ostinato.kernels.reuse_horizontal import bind_reuse_horizontal
from ostinato.kernels.reuse_image import bind_reuse_image
from ostinato.kernels.stem import bind_stem
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.ops import (
    QAdd,
    QAvgPool2d,
    QConcat,
    QConv2d,
    QGraph,
    QLinear,
    QMaxPool2d,
    QOp,
    QReuseCompiled,
    QReuseImage,
)
from ostinato.quant.stem_ops import QStem

ConvKernel = Literal["dense", "cmsis"]
"""What conventional convolutions run on: our best dense kernel, or one in CMSIS-NN's style (the baseline)."""

CONV_KERNELS: tuple[ConvKernel, ...] = get_args(ConvKernel)


def check_conv_kernel(kernel: str) -> ConvKernel:
    """`kernel` itself.

    Raises:
        UnsupportedError: there is no such kernel.
    """
    for known in CONV_KERNELS:
        if kernel == known:
            return known
    raise UnsupportedError(
        f"There is no kernel {kernel!r} for conventional convolutions; choose one of {', '.join(CONV_KERNELS)}."
    )


def bind(op: QOp, kernel: ConvKernel = "dense") -> Binding:
    """The kernel for `op`, with its constants packed.

    Raises:
        UnsupportedError: no kernel runs this operator.
    """
    match op:
        case QConv2d():
            return bind_conv(op, kernel)
        case QLinear():
            return bind_linear(op)
        case QMaxPool2d():
            return bind_max_pool(op)
        case QAvgPool2d():
            return bind_avg_pool(op)
        case QAdd():
            return bind_add(op)
        case QConcat():
            return bind_concat(op)
        case QReuseImage():
            return bind_reuse_image(op)
        case QReuseHorizontal():
            return bind_reuse_horizontal(op)
        case QReuseCompiled():
            return bind_reuse_compiled(op)
        case QStem():
            return bind_stem(op)
        case _:
            raise UnsupportedError(f"Layer {op.name}: no firmware kernel runs a {type(op).__name__}.")


def bind_all(graph: QGraph, kernel: ConvKernel = "dense") -> tuple[Binding, ...]:
    """One binding per operator, in execution order."""
    return tuple(bind(op, kernel) for op in graph.ops)
