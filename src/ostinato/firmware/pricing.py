"""What each candidate kernel of a layer costs: run alone on the simulated core, on the layer's own input."""

from __future__ import annotations

from collections.abc import Sequence

from ostinato.firmware.choice import Option
from ostinato.firmware.kernel_runner import KernelRunner
from ostinato.firmware.select import Candidate
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QGraph
from ostinato.quant.reference import execute
from ostinato.targets.boards import Board

Candidates = Sequence[Sequence[Candidate]]
"""Of every operator of a network."""


def unpriced(candidates: Candidates) -> list[list[Option]]:
    """Sizes alone."""
    return [[_option(c, None, {}) for c in layer] for layer in candidates]


def price(graph: QGraph, candidates: Candidates, image: Int8Array, board: Board, toolchain: str) -> list[list[Option]]:
    """Modelled cycles (no wait states) of every candidate for one image, where there are several for a layer.

    Raises:
        ToolchainError: no compiler.
        SimulationError: a kernel faulted.
    """
    bindings = [c.binding for layer in candidates if len(layer) > 1 for c in layer]
    if not bindings:
        return unpriced(candidates)
    runner = KernelRunner(bindings, board.core, toolchain=toolchain)
    sizes = {function.name: function.size for function in runner.simulator(None).elf.functions}
    tensors = execute(graph, image)
    options = []
    for op, layer in zip(graph.ops, candidates, strict=True):
        priced = []
        for candidate in layer:
            cycles, code = None, {}
            if len(layer) > 1:
                _, profile = runner.run(candidate.binding, tensors[op.inputs[0].name], op.output.size)
                cycles = profile.total.cycles
                code = {name: sizes[name] for name in profile.by_function if name in sizes}
            priced.append(_option(candidate, cycles, code))
        options.append(priced)
    return options


def _option(candidate: Candidate, cycles: int | None, code: dict[str, int]) -> Option:
    binding = candidate.binding
    return Option(candidate.name, binding.kernel, cycles, binding.flash_bytes, binding.scratch_bytes, code)
