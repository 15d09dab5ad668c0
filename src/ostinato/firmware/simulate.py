"""Running a linked network on the simulated board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ostinato.errors import SimulationError
from ostinato.firmware.codegen.model import HOOK, STAGE
from ostinato.firmware.codegen.project import Project
from ostinato.firmware.guarding import network_guards
from ostinato.firmware.memory import Plan
from ostinato.firmware.pooling import pool_note
from ostinato.firmware.report import LayerReport
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QGraph
from ostinato.targets.boards import Board
from ostinato.targets.memory import memory_of
from ostinato.targets.profile import Counts, Profile
from ostinato.targets.simulator import Simulator

_ARENA, _OUTPUT = "model_arena", "model_output"  # of the generated main.c
_TIMEOUT_S = 600.0
"""Of one inference: whole networks on modelled memory take seconds, more on a busy computer."""


class SimulatedNetwork:
    """The example firmware of a project, powered up.

    Args:
        elf: as linked.
        graph: the network.
        plan: its arena.
        board: that it is for.
        flash_wait_states: see `memory_of`.
        external: model the board's external flash.
        guarded: refuse accesses of a layer to memory that is not its own.
    """

    def __init__(
        self,
        elf: Path,
        graph: QGraph,
        plan: Plan,
        board: Board,
        *,
        flash_wait_states: int = 0,
        external: bool = False,
        guarded: bool = False,
    ) -> None:
        memory = memory_of(board, flash_wait_states, external=external)
        self.simulator = Simulator(elf, core=board.core, memory=memory, guarded=guarded, timeout_s=_TIMEOUT_S)
        self._guards = network_guards(graph, plan, self.simulator.symbols, _ARENA, _OUTPUT) if guarded else None
        self._labels = [op.name for op in graph.ops]
        self._graph = graph
        self._arena = self.simulator.symbols[_ARENA].address
        self._input = self._arena + plan.offsets[graph.input.name]
        self._plan = plan
        self.scratch_heads: list[int] = []
        """The int32 at the start of each layer's scratch right after the layer, of the last run (`Binding.counts`)."""

    @property
    def static_bytes(self) -> int:
        """SRAM of .data and .bss, the arena among it."""
        return self.simulator.elf.size.sram_bytes

    @property
    def flash_bytes(self) -> int:
        """Code, constants, vectors and the image of .data."""
        return self.simulator.elf.size.flash_bytes

    def run(self, image: Int8Array) -> tuple[Int8Array, Profile]:
        """Output of one firmware input, and what it cost, cut at each layer.

        Raises:
            SimulationError: a fault, or a kernel refused its parameters.
        """
        return self._call("model_run", image, [])

    def trace(self, image: Int8Array) -> tuple[Int8Array, Int8Array]:
        """Output of one firmware input, and the outputs of all layers one after another (of a build with `trace`).

        Raises:
            SimulationError: a fault, or a kernel refused its parameters.
        """
        output, _ = self._call("traced_run", image, ["trace_buffer"])
        return output, self.simulator.read("trace_buffer", np.int8)

    def _call(self, entry: str, image: Int8Array, more: list[str]) -> tuple[Int8Array, Profile]:
        self.simulator.write_memory(self._input, np.ascontiguousarray(image, np.int8).tobytes())
        self.scratch_heads = []
        profile = self.simulator.run(
            entry,
            [self._input, _OUTPUT, _ARENA, *more],
            marker=HOOK,
            labels=self._labels,
            guards=self._guards,
            at_marker=self._after_layer,
        )
        if profile.result != 0:
            raise SimulationError(f"{entry} returned the status {profile.result} (ost_types.h explains it)")
        output: Int8Array = self.simulator.read(_OUTPUT, np.int8, self._graph.output.size)
        return output.reshape(self._graph.output.shape), profile

    def _after_layer(self, index: int) -> None:
        if index > 0:
            offset, size = self._plan.scratch[index - 1]
            head = self.simulator.read_memory(self._arena + offset, 4) if size >= 4 else bytes(4)
            self.scratch_heads.append(int.from_bytes(head, "little", signed=True))


def layer_reports(
    project: Project, profiles: Sequence[Profile], heads: Sequence[Sequence[int]]
) -> tuple[LayerReport, ...]:
    """Mean counts of each layer over the profiles of several images, and over what layers count themselves (`heads`).

    What `model_run` does before its first layer counts to that layer, what it does after its last to the last.
    """
    graph, count = project.graph, len(profiles)
    choices = {choice.layer: choice for choice in project.choices}
    reports = []
    for i, (op, binding) in enumerate(zip(graph.ops, project.bindings, strict=True)):
        phases: dict[str, int] = {}
        instructions = waits = 0
        for profile in profiles:
            for function, counts in _layer_counts(profile, i, len(graph.ops)):
                phase = binding.phases.get(function, "other")
                phases[phase] = phases.get(phase, 0) + counts.cycles
                instructions += counts.instructions
                copying = function.split(".")[0] == STAGE  # compilers add a suffix to specialised functions
                waits += counts.cycles if copying else counts.stalls.external
        choice = choices.get(op.name)
        means = {phase: round(cycles / count) for phase, cycles in phases.items()}
        reports.append(
            LayerReport(
                name=op.name,
                kernel=binding.kernel or "none",
                cycles=sum(means.values()),
                instructions=round(instructions / count),
                phases=means,
                counted=sum(counted[i] for counted in heads) / count if binding.counts else None,
                counts=binding.counts,
                note=binding.note,
                choice="; ".join(filter(None, (choice.text if choice else "", pool_note(graph, op.name)))),
                conventional_cycles=choice.conventional.cycles if choice and choice.conventional else None,
                warning=choice.warning if choice else "",
                flash_bytes=project.layers[i].flash_bytes,
                external_bytes=project.layers[i].external_bytes,
                external_wait_cycles=round(waits / count),
            )
        )
    return tuple(reports)


def _layer_counts(profile: Profile, layer: int, layers: int) -> list[tuple[str, Counts]]:
    counts: list[tuple[str, Counts]] = []
    for segment in profile.segments:
        owner = 0 if segment.marker is None else min(segment.marker, layers - 1)
        if owner == layer:
            counts += segment.by_function.items()
    return counts
