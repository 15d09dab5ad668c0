"""SRAM and flash of a network, and the sentence for one that is too large for its board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ostinato.errors import DoesNotFitError
from ostinato.firmware.memory import Plan
from ostinato.kernels.binding import Binding
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.ops import QGraph, QReuseCompiled, QReuseImage
from ostinato.quant.pooled_op import QPooled
from ostinato.targets.boards import BOARDS, Board
from ostinato.targets.external_flash import ExternalFlash

STACK_ESTIMATE = 2048
"""Bytes of stack assumed until a simulation has measured it: image scope takes 1.6 KB, for it sorts the ids of a run of
vectors there; other kernels less than 1 KB, since their buffers are in the arena."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of the linked firmware."""

    static_bytes: int
    """SRAM that is taken whether or not the network runs: .data and .bss, in which the arena is."""
    flash_bytes: int
    """Code, constants, vectors and the image of .data."""
    const_bytes: int
    """The part of flash that is weights and tables."""
    external_bytes: int = 0
    """Weights and tables in external flash, in neither of the two before."""

    @property
    def sram_bytes(self) -> int:
        """Static data and the estimate of the stack."""
        return self.static_bytes + STACK_ESTIMATE


def estimate_sizes(graph: QGraph, bindings: Sequence[Binding], plan: Plan, external_bytes: int = 0) -> Sizes:
    """A lower bound on what the linked firmware takes: arena and output, and constants without code."""
    const = sum(binding.flash_bytes for binding in bindings) - external_bytes
    return Sizes(plan.arena_bytes + graph.output.size, const, const, external_bytes)


def check_fit(graph: QGraph, bindings: Sequence[Binding], plan: Plan, sizes: Sizes, board: Board) -> None:
    """Refuse a network that is larger than the board.

    Raises:
        DoesNotFitError: names the layer with the largest share, its need, the board's memory, the excess and remedies.
    """
    if sizes.sram_bytes > board.sram_bytes:
        raise DoesNotFitError(_sram_sentence(graph, plan, sizes, board))
    if sizes.flash_bytes > board.flash_bytes:
        raise DoesNotFitError(_flash_sentence(graph, bindings, sizes, board))
    if board.external_flash and sizes.external_bytes > board.external_flash.size_bytes:
        raise DoesNotFitError(_external_sentence(board.external_flash, sizes, board))


def _sram_sentence(graph: QGraph, plan: Plan, sizes: Sizes, board: Board) -> str:
    op = graph.ops[plan.peak]
    scratch = plan.scratch[plan.peak][1]
    inputs = sum(source.size for source in op.inputs)
    need = plan.live_bytes[plan.peak]
    remedy = "a smaller input, fewer channels or a stride in this layer"
    if scratch > need // 4 and isinstance(op, QReuseImage):
        remedy = "fewer hashes, longer slices or the scope 'compiled' for this layer (less scratch), or " + remedy
    elif scratch > need // 4 and isinstance(op, QReuseHorizontal):
        remedy = f"panels of fewer rows than {op.panel_rows} or fewer hashes (less scratch), or " + remedy
    elif scratch > need // 4:
        remedy = "another kernel for this layer (less scratch), or " + remedy
    return (
        f"Layer {op.name} does not fit the SRAM of {board.name}: while it runs {need:,} bytes are alive (input "
        f"{inputs:,}, output {op.output.size:,}, scratch {scratch:,}), and the firmware needs "
        f"{sizes.sram_bytes:,} bytes (arena {plan.arena_bytes:,}, other static data "
        f"{sizes.static_bytes - plan.arena_bytes:,}, stack about {STACK_ESTIMATE:,}) where the board has "
        f"{board.sram_bytes:,}: {sizes.sram_bytes - board.sram_bytes:,} too many. "
        f"What helps: {remedy}, or {_larger_board(sizes, board)}."
    )


def _larger_board(sizes: Sizes, board: Board) -> str:
    """A board on which it would fit, by name if there is one."""
    need = sizes.flash_bytes + sizes.external_bytes
    for other in BOARDS.values():
        if other != board and sizes.sram_bytes <= other.sram_bytes and need <= other.flash_bytes:
            return f"the board {other.name} ({other.sram_bytes:,} bytes of SRAM, {other.flash_bytes:,} of flash)"
    for other in BOARDS.values():
        flash = other.external_flash
        if other != board and sizes.sram_bytes <= other.sram_bytes and flash and sizes.const_bytes <= flash.size_bytes:
            return f"the board {other.name} with its external flash ({flash.part}, {flash.size_bytes:,} bytes)"
    return "a larger board"


def _external_remedy(sizes: Sizes, board: Board) -> str:
    """The board's own external flash, if it was not used and would hold the constants."""
    flash = board.external_flash
    if flash is None or sizes.external_bytes or sizes.const_bytes > flash.size_bytes:
        return ""
    return (
        f"external_flash='auto' (--external-flash auto) for constants in the board's {flash.part}, slower to read but "
        f"of {flash.size_bytes:,} bytes, "
    )


def _external_sentence(flash: ExternalFlash, sizes: Sizes, board: Board) -> str:
    return (
        f"The firmware does not fit the external flash of {board.name}: its constants there need "
        f"{sizes.external_bytes:,} bytes where the {flash.part} has {flash.size_bytes:,}: "
        f"{sizes.external_bytes - flash.size_bytes:,} too many. "
        f"What helps: fewer channels or features, or {_larger_board(sizes, board)}."
    )


def _flash_sentence(graph: QGraph, bindings: Sequence[Binding], sizes: Sizes, board: Board) -> str:
    largest = max(range(len(bindings)), key=lambda i: bindings[i].flash_bytes)
    op, part = graph.ops[largest], bindings[largest].flash_bytes
    layer = op.layer if isinstance(op, QPooled) else op
    remedy = "fewer channels or features in it"
    if isinstance(layer, QReuseCompiled):
        remedy = (
            f"fewer hashes or longer slices for it (its table has rows · 2^H · M bytes), scope 'image', or {remedy}"
        )
    return (
        f"The firmware does not fit the flash of {board.name}: it needs {sizes.flash_bytes:,} bytes (weights and "
        f"tables {sizes.const_bytes:,}) where the board has {board.flash_bytes:,}: "
        f"{sizes.flash_bytes - board.flash_bytes:,} too many. "
        f"Layer {op.name} is the largest part ({part:,} bytes). "
        f"What helps: {_external_remedy(sizes, board)}{remedy}, or {_larger_board(sizes, board)}."
    )
