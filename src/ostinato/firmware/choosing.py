"""The project of a network with the fastest kernels that fit its board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ostinato.firmware.choice import Choice, Conventional, Option, fastest_that_fit
from ostinato.firmware.codegen.project import Project
from ostinato.firmware.export_checks import check_export
from ostinato.firmware.external import Outside
from ostinato.firmware.memory import plan_memory
from ostinato.firmware.pricing import Told, price, unpriced
from ostinato.firmware.select import KernelChoice, candidates
from ostinato.firmware.sizes import STACK_ESTIMATE
from ostinato.firmware.storage import plan_project
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QGraph
from ostinato.targets.boards import Board

_TRIES = 8


@dataclass(frozen=True)
class Chooser:
    """A network, what each of its layers could run on, and what would run conventional ones in place of reuse."""

    graph: QGraph
    kernel: KernelChoice
    board: Board
    options: Sequence[Sequence[Option]]
    conventional: Sequence[Conventional | None]
    """Of reuse layers, where kernels were timed."""

    @classmethod
    def by_cycles(
        cls,
        graph: QGraph,
        kernel: KernelChoice,
        board: Board,
        image: Int8Array,
        toolchain: str,
        outside: Outside = "never",
        told: Told = lambda _: None,
    ) -> Chooser:
        """With modelled cycles for one image: kernels are compiled and run.

        Raises:
            UnsupportedError, QuantizationError: see `select.candidates`.
            ToolchainError: no compiler.
        """
        check_export(graph)
        found = [candidates(op, kernel) for op in graph.ops]
        prices = price(graph, found, image, board, toolchain, outside, told)
        return cls(graph, kernel, board, prices.options, prices.conventional)

    @classmethod
    def by_sizes(cls, graph: QGraph, kernel: KernelChoice, board: Board, outside: Outside = "never") -> Chooser:
        """With the order in which `select.candidates` has them: nothing is compiled.

        Raises:
            UnsupportedError, QuantizationError: see `select.candidates`.
        """
        check_export(graph)
        found = [candidates(op, kernel) for op in graph.ops]
        return cls(graph, kernel, board, unpriced(graph, found, board, outside), [None] * len(graph.ops))

    def project(self, flash_bytes: int | None = None) -> Project:
        """With the least cycles in `flash_bytes` of constants and kernels' code (the board's by default), and its SRAM.

        Where nothing fits, each layer has the kernel with the smallest constants, for the error to be about.
        """
        flash = self.board.flash_bytes if flash_bytes is None else flash_bytes
        sram = self.board.sram_bytes - self.graph.output.size - STACK_ESTIMATE
        live = plan_memory(self.graph, [0] * len(self.graph.ops)).live_bytes
        costs = [
            [o.penalty + (rank if o.cycles is None else o.cycles) for rank, o in enumerate(row)] for row in self.options
        ]
        external = self.board.external_flash.size_bytes if self.board.external_flash else 0
        excess = 0
        for _ in range(_TRIES):
            room = [sram - excess - bytes_ for bytes_ in live]
            picks = fastest_that_fit(self.options, costs, flash, room, external)
            if picks is None:
                break
            project = self._project(picks)
            if project.plan.arena_bytes <= sram:
                return project
            excess += project.plan.arena_bytes - sram  # no placement reaches the bound that `live` is
        return self._project([min(range(len(row)), key=lambda j: row[j].flash_bytes) for row in self.options])

    def flash_bytes(self, project: Project) -> int:
        """What `project(flash_bytes)` counts of a project of this network: constants and code of the chosen kernels."""
        chosen = [choice.key for choice in project.choices]
        taken = [next(o for o in row if o.key == key) for row, key in zip(self.options, chosen, strict=True)]
        code = {function: size for option in taken for function, size in option.code.items()}
        return sum(option.flash_bytes for option in taken) + sum(code.values())

    def _project(self, picks: Sequence[int]) -> Project:
        choices = [
            Choice(op.name, row[pick].name, tuple(row), row[pick].external, row[pick].staged, beside)
            for op, row, pick, beside in zip(self.graph.ops, self.options, picks, self.conventional, strict=True)
        ]
        return plan_project(self.graph, self.kernel, self.board, choices)
