"""What each candidate kernel of a layer costs: run alone on the simulated core, on the layer's own input."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ostinato.firmware.choice import Option
from ostinato.firmware.external import (
    Outside,
    bytes_outside,
    copy_cycles,
    estimated_cycles,
    placements,
    scratch_bytes,
)
from ostinato.firmware.kernel_runner import KernelRunner
from ostinato.firmware.select import Candidate
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QGraph, QOp
from ostinato.quant.reference import execute
from ostinato.targets.boards import Board
from ostinato.targets.memory import memory_of
from ostinato.targets.profile import Profile

Candidates = Sequence[Sequence[Candidate]]
"""Of every operator of a network."""


Told = Callable[[str], None]
"""Takes a line on what is being done."""

_Placed = tuple[Candidate, tuple[str, ...], bool]
"""A kernel, those of its constants that are in external flash, and whether these are copied to SRAM first."""


def unpriced(graph: QGraph, candidates: Candidates, board: Board, outside: Outside) -> list[list[Option]]:
    """Sizes alone, and estimates of what external flash costs.

    Raises:
        UnsupportedError: see `external.placements`.
    """
    return [
        [_option(*placed, None, {}, _penalty(op, placed, board)) for placed in _placed(op, layer, outside)]
        for op, layer in zip(graph.ops, candidates, strict=True)
    ]


def price(
    graph: QGraph,
    candidates: Candidates,
    image: Int8Array,
    board: Board,
    toolchain: str,
    outside: Outside,
    told: Told = lambda _: None,
) -> list[list[Option]]:
    """Modelled cycles (no wait states) of every candidate for one image, where there are several for a layer.

    Raises:
        ToolchainError: no compiler.
        SimulationError: a kernel faulted.
        UnsupportedError: see `external.placements`.
    """
    layers = [_placed(op, layer, outside) for op, layer in zip(graph.ops, candidates, strict=True)]
    several = [placed for layer in layers if len(layer) > 1 for placed in layer]
    bindings = list({id(c): c.binding for c, _, _ in several}.values())
    if not bindings:
        return unpriced(graph, candidates, board, outside)
    told("compiling the kernels that layers could have")
    runner = KernelRunner(bindings, board.core, toolchain=toolchain, external=any(arrays for _, arrays, _ in several))
    sizes = {function.name: function.size for function in runner.simulator(None).elf.functions}
    tensors, flash = execute(graph, image), board.external_flash
    options = []
    for op, layer in zip(graph.ops, layers, strict=True):
        priced = []
        inside: dict[int, Profile] = {}  # of each kernel with all constants at hand
        if len(layer) > 1:
            told(f"timing kernels of {op.name}")
        for candidate, arrays, staged in layer:
            cycles, code = None, {}
            if len(layer) > 1:
                there = () if staged else arrays
                memory = memory_of(board, 0, external=True) if there else None
                x, profile = tensors[op.inputs[0].name], None if there else inside.get(id(candidate))
                if profile is None:
                    _, profile = runner.run(candidate.binding, x, op.output.size, memory, external=there)
                if not there:
                    inside[id(candidate)] = profile
                copying = copy_cycles(candidate.binding, arrays, flash) if staged and flash else 0
                cycles = profile.total.cycles + round(copying)
                code = {name: sizes[name] for name in profile.by_function if name in sizes}
            priced.append(_option(candidate, arrays, staged, cycles, code))
        options.append(priced)
    return options


def _placed(op: QOp, layer: Sequence[Candidate], outside: Outside) -> list[_Placed]:
    return [
        (candidate, arrays, staged)
        for candidate in layer
        for arrays in placements(op, candidate.binding, outside)
        for staged in ((False, True) if arrays else (False,))
    ]


def _penalty(op: QOp, placed: _Placed, board: Board) -> float:
    candidate, arrays, staged = placed
    flash = board.external_flash
    if not arrays or flash is None:
        return 0.0
    if staged:
        return copy_cycles(candidate.binding, arrays, flash)
    return estimated_cycles(op, candidate.binding, arrays, flash)


def _option(
    candidate: Candidate,
    arrays: tuple[str, ...],
    staged: bool,
    cycles: int | None,
    code: dict[str, int],
    penalty: float = 0.0,
) -> Option:
    binding, outside = candidate.binding, bytes_outside(candidate.binding, arrays)
    return Option(
        candidate.name,
        binding.kernel,
        cycles,
        binding.flash_bytes - outside,
        scratch_bytes(binding, arrays if staged else ()),
        code,
        arrays,
        outside,
        penalty,
        staged,
    )
