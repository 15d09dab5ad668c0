"""What each candidate kernel of a layer costs, and its conventional twin: run alone on the simulated core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ostinato.firmware.choice import Conventional, Option
from ostinato.firmware.conventional import conventional_twin, input_of
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
from ostinato.firmware.select import candidates as kernels_of
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


@dataclass(frozen=True)
class Prices:
    """Of every operator: its kernels, and the best conventional one in place of a reuse kernel."""

    options: list[list[Option]]
    conventional: list[Conventional | None]


def price(
    graph: QGraph,
    candidates: Candidates,
    image: Int8Array,
    board: Board,
    toolchain: str,
    outside: Outside,
    told: Told = lambda _: None,
) -> Prices:
    """Modelled cycles (no wait states) for one image, where a layer has several kernels, or reuses.

    Raises:
        ToolchainError: no compiler.
        SimulationError: a kernel faulted.
        UnsupportedError: see `external.placements`.
    """
    layers = [_placed(op, layer, outside) for op, layer in zip(graph.ops, candidates, strict=True)]
    twins = [[(twin, kernels_of(twin)) for twin in conventional_twin(op)] for op in graph.ops]
    timed = [len(layer) > 1 or bool(twin) for layer, twin in zip(layers, twins, strict=True)]
    placed = [one for layer, is_timed in zip(layers, timed, strict=True) if is_timed for one in layer]
    bindings = [candidate.binding for candidate, _, _ in placed]
    bindings += [candidate.binding for layer in twins for _, kernels in layer for candidate in kernels]
    if not bindings:
        return Prices(unpriced(graph, candidates, board, outside), [None] * len(graph.ops))
    told("compiling the kernels that layers could have")
    unique = list({id(binding): binding for binding in bindings}.values())
    runner = KernelRunner(unique, board.core, toolchain=toolchain, external=any(arrays for _, arrays, _ in placed))
    sizes = {function.name: function.size for function in runner.simulator(None).elf.functions}
    tensors, flash = execute(graph, image), board.external_flash
    prices = Prices([], [])
    for op, layer, twin, is_timed in zip(graph.ops, layers, twins, timed, strict=True):
        priced = []
        inside: dict[int, Profile] = {}  # of each kernel with all constants at hand
        if is_timed:
            told(f"timing kernels of {op.name}")
        for candidate, arrays, staged in layer:
            cycles, code = None, {}
            if is_timed:
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
        prices.options.append(priced)
        prices.conventional.append(_best(runner, twin, tensors[op.inputs[0].name]))
    return prices


def _best(runner: KernelRunner, twin: Sequence[tuple[QOp, Sequence[Candidate]]], x: Int8Array) -> Conventional | None:
    """The fastest kernels of conventional operators, one after the other; None where there are none."""
    fastest = [
        min((runner.run(c.binding, input_of(op, x), op.output.size)[1].total.cycles, c.binding.kernel) for c in kernels)
        for op, kernels in twin
    ]
    names = " and ".join(kernel for _, kernel in fastest)
    return Conventional(names, sum(cycles for cycles, _ in fastest)) if fastest else None


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
