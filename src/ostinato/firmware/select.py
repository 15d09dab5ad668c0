"""Which kernels can run which operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.binding import Binding
from ostinato.kernels.conventional import bind_conv, bind_linear, bind_softmax
from ostinato.kernels.joins import bind_add, bind_concat
from ostinato.kernels.pooled import bind_conv_pooled
from ostinato.kernels.pools import bind_avg_pool, bind_max_pool
from ostinato.kernels.reuse_compiled import CompiledForm, bind_reuse_compiled, choose_form
from ostinato.kernels.reuse_horizontal import bind_reuse_horizontal
from ostinato.kernels.reuse_image import bind_reuse_image
from ostinato.kernels.reuse_pointers import has_pointer_form, pointers_are_small
from ostinato.kernels.stem import bind_stem
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.ops import (
    ConvDims,
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
from ostinato.quant.pooled_op import QPooled
from ostinato.quant.softmax_op import QSoftmax
from ostinato.quant.stem_ops import QStem

KernelChoice = Literal["auto", "dense", "cmsis"]
"""What conventional convolutions run on: our best dense kernel, one in CMSIS-NN's style (the baseline), or whichever is
fastest among those that fit."""

KERNEL_CHOICES: tuple[KernelChoice, ...] = get_args(KernelChoice)


@dataclass(frozen=True)
class Candidate:
    """A kernel that could run an operator.

    Attributes:
        name: of the variant: `dense`, `cmsis`, `offsets`, `addresses`; the kernel's own where there is one only.
        binding: the kernel with its constants.
    """

    name: str
    binding: Binding


def check_kernel(kernel: str) -> KernelChoice:
    """`kernel` itself.

    Raises:
        UnsupportedError: there is no such kernel.
    """
    for known in KERNEL_CHOICES:
        if kernel == known:
            return known
    raise UnsupportedError(
        f"There is no kernel {kernel!r} for conventional convolutions; choose one of {', '.join(KERNEL_CHOICES)}."
    )


def candidates(op: QOp, kernel: KernelChoice = "auto") -> tuple[Candidate, ...]:
    """The kernels for `op`, with their constants packed; first the one that is fastest by its sizes alone.

    Raises:
        UnsupportedError: no kernel runs this operator.
        QuantizationError: a sum could overflow.
    """
    match op:
        case QConv2d() if op.groups == 1:
            return _conv(op, kernel)
        case QConv2d():
            return _only(bind_conv(op, "dense"))
        case QLinear():
            return _only(bind_linear(op))
        case QMaxPool2d():
            return _only(bind_max_pool(op))
        case QAvgPool2d():
            return _only(bind_avg_pool(op))
        case QAdd():
            return _only(bind_add(op))
        case QConcat():
            return _only(bind_concat(op))
        case QReuseImage():
            return _only(bind_reuse_image(op))
        case QReuseHorizontal():
            return _only(bind_reuse_horizontal(op))
        case QReuseCompiled():
            return _compiled(op)
        case QPooled(layer=QStem() as stem):
            return _only(bind_stem(stem, pool=op.pool.dims))
        case QPooled(layer=QReuseCompiled() as layer):
            return _compiled(layer, op.pool.dims.kernel)
        case QPooled(layer=QConv2d() as layer):
            return _conv(layer, kernel, op.pool.dims)
        case QSoftmax():
            return _only(bind_softmax(op))
        case QStem():
            return _only(bind_stem(op))
        case _:
            raise UnsupportedError(f"Layer {op.name}: no firmware kernel runs a {type(op).__name__}.")


def _only(binding: Binding) -> tuple[Candidate, ...]:
    return (Candidate(binding.kernel, binding),)


def _conv(op: QConv2d, kernel: KernelChoice, pool: ConvDims | None = None) -> tuple[Candidate, ...]:
    bound = bind_conv if pool is None else partial(bind_conv_pooled, pool=pool)
    if kernel != "auto":
        return (Candidate(kernel, bound(op, kernel)),)
    cmsis = Candidate("cmsis", bound(op, "cmsis"))
    try:
        return Candidate("dense", bound(op, "dense")), cmsis
    except QuantizationError:  # weights that only the other can have
        return (cmsis,)


def _compiled(op: QReuseCompiled, pool: tuple[int, int] = (1, 1)) -> tuple[Candidate, ...]:
    best = bind_reuse_compiled(op, pool=pool)  # by estimate
    form, _ = choose_form(op, pool)
    other: CompiledForm = "offsets" if form == "addresses" else "addresses"
    possible = other == "offsets" or (has_pointer_form(op, pool) and pointers_are_small(op))
    rest = (Candidate(other, bind_reuse_compiled(op, other, pool)),) if possible else ()
    return (Candidate(form, best), *rest)


def bind(op: QOp, kernel: KernelChoice = "auto", name: str | None = None) -> Binding:
    """The kernel for `op`: the candidate of that name, or the first.

    Raises:
        UnsupportedError: no kernel runs this operator, or there is none of that name.
        QuantizationError: a sum could overflow.
    """
    found = candidates(op, kernel)
    for candidate in found:
        if name in (None, candidate.name):
            return candidate.binding
    names = ", ".join(candidate.name for candidate in found)
    raise UnsupportedError(f"Layer {op.name}: there is no kernel {name!r} for it; choose one of {names}.")


def bind_all(graph: QGraph, kernel: KernelChoice = "auto", names: Sequence[str] | None = None) -> tuple[Binding, ...]:
    """One binding per operator, in execution order; `names` as in `bind`, one per operator."""
    wanted = list(names) if names else [None] * len(graph.ops)
    return tuple(bind(op, kernel, name) for op, name in zip(graph.ops, wanted, strict=True))
