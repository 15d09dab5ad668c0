"""What each candidate kernel of a layer costs: run alone on the simulated core, on the layer's own input."""

from __future__ import annotations

from collections.abc import Sequence

from ostinato.firmware.choice import Option
from ostinato.firmware.external import Outside, bytes_outside, estimated_cycles, placements
from ostinato.firmware.kernel_runner import KernelRunner
from ostinato.firmware.select import Candidate
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QGraph, QOp
from ostinato.quant.reference import execute
from ostinato.targets.boards import Board
from ostinato.targets.memory import memory_of

Candidates = Sequence[Sequence[Candidate]]
"""Of every operator of a network."""


_Placed = tuple[Candidate, tuple[str, ...]]
"""A kernel, and those of its constants that are in external flash."""


def unpriced(graph: QGraph, candidates: Candidates, board: Board, outside: Outside) -> list[list[Option]]:
    """Sizes alone, and estimates of what external flash costs.

    Raises:
        UnsupportedError: see `external.placements`.
    """
    return [
        [_option(c, arrays, None, {}, _penalty(op, c, arrays, board)) for c, arrays in _placed(op, layer, outside)]
        for op, layer in zip(graph.ops, candidates, strict=True)
    ]


def price(
    graph: QGraph, candidates: Candidates, image: Int8Array, board: Board, toolchain: str, outside: Outside
) -> list[list[Option]]:
    """Modelled cycles (no wait states) of every candidate for one image, where there are several for a layer.

    Raises:
        ToolchainError: no compiler.
        SimulationError: a kernel faulted.
        UnsupportedError: see `external.placements`.
    """
    layers = [_placed(op, layer, outside) for op, layer in zip(graph.ops, candidates, strict=True)]
    several = [placed for layer in layers if len(layer) > 1 for placed in layer]
    bindings = list({id(c): c.binding for c, _ in several}.values())
    if not bindings:
        return unpriced(graph, candidates, board, outside)
    runner = KernelRunner(bindings, board.core, toolchain=toolchain, external=any(arrays for _, arrays in several))
    sizes = {function.name: function.size for function in runner.simulator(None).elf.functions}
    tensors = execute(graph, image)
    options = []
    for op, layer in zip(graph.ops, layers, strict=True):
        priced = []
        for candidate, arrays in layer:
            cycles, code = None, {}
            if len(layer) > 1:
                memory = memory_of(board, 0, external=True) if arrays else None
                x = tensors[op.inputs[0].name]
                _, profile = runner.run(candidate.binding, x, op.output.size, memory, external=arrays)
                cycles = profile.total.cycles
                code = {name: sizes[name] for name in profile.by_function if name in sizes}
            priced.append(_option(candidate, arrays, cycles, code))
        options.append(priced)
    return options


def _placed(op: QOp, layer: Sequence[Candidate], outside: Outside) -> list[_Placed]:
    return [(candidate, arrays) for candidate in layer for arrays in placements(op, candidate.binding, outside)]


def _penalty(op: QOp, candidate: Candidate, arrays: tuple[str, ...], board: Board) -> float:
    flash = board.external_flash
    return estimated_cycles(op, candidate.binding, arrays, flash) if arrays and flash else 0.0


def _option(
    candidate: Candidate, arrays: tuple[str, ...], cycles: int | None, code: dict[str, int], penalty: float = 0.0
) -> Option:
    binding, outside = candidate.binding, bytes_outside(candidate.binding, arrays)
    inside = binding.flash_bytes - outside
    return Option(
        candidate.name, binding.kernel, cycles, inside, binding.scratch_bytes, code, arrays, outside, penalty
    )
