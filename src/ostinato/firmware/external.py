"""Which constants may lie in external flash, and what reading them there costs where nothing was simulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ostinato.errors import UnsupportedError
from ostinato.firmware.placement import ALIGNMENT
from ostinato.kernels.binding import Binding
from ostinato.quant.ops import QGraph, QLinear, QOp, QReuseCompiled
from ostinato.quant.pooled_op import QPooled
from ostinato.targets.boards import BOARDS, Board
from ostinato.targets.external_flash import ExternalFlash

Outside = Literal["never", "auto"] | tuple[str, ...]
"""What goes to external flash: nothing; what internal flash does not hold; the large constants of these layers."""

LEAST_BYTES = 4096
"""Of an array: smaller ones (biases, multipliers) stay inside, where they cost nothing and free little."""


def check_outside(wanted: str | Sequence[str], graph: QGraph, board: Board) -> Outside:
    """`wanted` in its own form: `never`, `auto`, or names of layers, as a sequence or separated by commas.

    Raises:
        UnsupportedError: the board has no external flash; no such layer.
    """
    if wanted == "never":
        return "never"
    if board.external_flash is None:
        others = ", ".join(b.name for b in BOARDS.values() if b.external_flash)
        raise UnsupportedError(
            f"Constants cannot go to external flash: {board.name} has none; boards that have: {others}."
        )
    if wanted == "auto":
        return "auto"
    names = tuple(part.strip() for part in wanted.split(",")) if isinstance(wanted, str) else tuple(wanted)
    known = {op.name for op in graph.ops}
    for name in names:
        if name not in known:
            raise UnsupportedError(
                f"There is no layer {name!r} whose constants could go to external flash; choose 'never', 'auto' or "
                f"from {', '.join(op.name for op in graph.ops)}."
            )
    return names


def large_arrays(binding: Binding) -> tuple[str, ...]:
    """Names of the constants that are worth moving."""
    return tuple(name for name, array in binding.arrays.items() if np.asarray(array).nbytes >= LEAST_BYTES)


def placements(op: QOp, binding: Binding, outside: Outside) -> list[tuple[str, ...]]:
    """What could lie outside, for a layer on a kernel; nothing first.

    Raises:
        UnsupportedError: a layer that was named has no constants of that size.
    """
    large = large_arrays(binding)
    if outside == "never":
        return [()]
    if outside == "auto":
        together = [large] if len(large) > 1 else []
        return [(), *((name,) for name in large), *together]
    if op.name not in outside:
        return [()]
    if not large:
        raise UnsupportedError(
            f"Layer {op.name} has no constants of {LEAST_BYTES:,} bytes or more that could go to external flash."
        )
    return [large]


def bytes_outside(binding: Binding, arrays: Sequence[str]) -> int:
    """Of these constants of a layer."""
    return sum(int(np.asarray(binding.arrays[name]).nbytes) for name in arrays)


def scratch_bytes(binding: Binding, staged: Sequence[str]) -> int:
    """A layer's scratch, and behind it the constants that are copied there from external flash."""
    return staged_offset(binding, staged, len(staged)) if staged else binding.scratch_bytes


def staged_offset(binding: Binding, staged: Sequence[str], index: int) -> int:
    """Where in a layer's scratch the copy of a constant begins; aligned as the arena is."""
    sizes = [binding.scratch_bytes, *(bytes_outside(binding, [name]) for name in staged[:index])]
    return sum(size + -size % ALIGNMENT for size in sizes)


def copy_cycles(binding: Binding, staged: Sequence[str], flash: ExternalFlash) -> float:
    """Of copying these constants into the arena: a burst for each. Storing is hidden behind the next bytes' arrival."""
    return len(staged) * flash.burst_cycles + bytes_outside(binding, staged) * flash.byte_cycles


def estimated_cycles(op: QOp, binding: Binding, arrays: Sequence[str], flash: ExternalFlash) -> float:
    """For plans without a simulation: how often each byte is read, in bursts of 32.

    A fully connected layer reads its weights once, a convolution once for two pixels, a table one row of 2^H per pixel.
    """
    op = op.layer if isinstance(op, QPooled) else op
    pixels = 1 if isinstance(op, QLinear) else int(np.prod(op.output.shape[:-1]))
    reads = 0.0
    for name in arrays:
        size = bytes_outside(binding, [name])
        if isinstance(op, QReuseCompiled) and name == "table":
            reads += size / 2**op.hash.hashes * pixels
        else:
            reads += size * (1 if isinstance(op, QLinear) else max(1.0, pixels / 2))
    return reads * (flash.byte_cycles + flash.burst_cycles / 32)
