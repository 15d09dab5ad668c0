"""What a network will take on a board, before anything is compiled."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from ostinato.errors import DoesNotFitError
from ostinato.firmware.codegen.kernels import compiled_files
from ostinato.firmware.codegen.project import Project
from ostinato.firmware.memory import Plan
from ostinato.firmware.sizes import STACK_ESTIMATE, Sizes, check_fit, estimate_sizes

_START_CODE = 2048
_CODE_PER_SOURCE = 0.5
"""Bytes of code for a byte of C or assembly source: measured 0.1 to 0.5, so that the estimate is on the high side."""


@dataclass(frozen=True)
class LayerPlan:
    """One layer.

    Attributes:
        live_bytes: alive in the arena while it runs: inputs, output, scratch and what later layers wait for.
        const_bytes: its weights and tables in flash.
        external_bytes: those in external flash.
        in_place: the input that its output is written over, or the concatenation that it is written into, if any.
        note: which kernel this is and why, and what it needs beyond the ordinary, if there is anything to say.
    """

    name: str
    kernel: str
    live_bytes: int
    scratch_bytes: int
    const_bytes: int
    in_place: str | None
    external_bytes: int = 0
    note: str = ""


@dataclass(frozen=True)
class PlanReport:
    """A network on a board as planned.

    Attributes:
        arena_bytes: activations and scratch, exact.
        lower_bound: no placement could have a smaller arena.
        output_bytes: the caller's buffer for the output.
        stack_bytes: an estimate; a simulation measures it.
        const_bytes: weights and tables, exact.
        code_bytes: an estimate on the high side; the linker knows.
        external_bytes: weights and tables in external flash, beside the others.
        problem: why it does not fit, None if it does.
    """

    network: str
    board: str
    board_sram_bytes: int
    board_flash_bytes: int
    arena_bytes: int
    lower_bound: int
    output_bytes: int
    stack_bytes: int
    const_bytes: int
    code_bytes: int
    layers: tuple[LayerPlan, ...]
    problem: str | None = None
    external_bytes: int = 0

    @property
    def sram_bytes(self) -> int:
        """Arena, output and the estimated stack."""
        return self.arena_bytes + self.output_bytes + self.stack_bytes

    @property
    def flash_bytes(self) -> int:
        """Constants and the estimated code."""
        return self.const_bytes + self.code_bytes

    @property
    def fits(self) -> bool:
        """Whether nothing speaks against deploying it."""
        return self.problem is None

    def to_dict(self) -> Mapping[str, Any]:
        """A document for JSON."""
        return {**asdict(self), "sram_bytes": self.sram_bytes, "flash_bytes": self.flash_bytes, "fits": self.fits}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _table(self)
        excess = self.arena_bytes - self.lower_bound
        bound = "the least possible" if excess == 0 else f"{excess:,} above the lower bound of {self.lower_bound:,}"
        yield (
            f"arena {self.arena_bytes:,} B ({bound}) + output {self.output_bytes:,} B + stack about "
            f"{self.stack_bytes:,} B = SRAM {self.sram_bytes:,} B of {self.board_sram_bytes:,}\n"
            f"constants {self.const_bytes:,} B + code about {self.code_bytes:,} B = flash {self.flash_bytes:,} B of "
            f"{self.board_flash_bytes:,}"
        )
        if self.external_bytes:
            yield f"constants in external flash: {self.external_bytes:,} B"
        noted = [f"{layer.name}: {layer.note}" for layer in self.layers if layer.note]
        if noted:
            yield "notes on kernels:\n" + "\n".join(noted)
        if self.problem is not None:
            yield self.problem

    def __str__(self) -> str:
        stream = io.StringIO()
        Console(file=stream, width=120).print(self)
        return stream.getvalue().rstrip()


def preview(project: Project) -> PlanReport:
    """The report of a planned project."""
    plan, graph, board = project.plan, project.graph, project.board
    sizes = estimate_sizes(graph, project.bindings, plan, project.external_bytes)
    return PlanReport(
        network=graph.name,
        board=board.name,
        board_sram_bytes=board.sram_bytes,
        board_flash_bytes=board.flash_bytes,
        arena_bytes=plan.arena_bytes,
        lower_bound=plan.lower_bound,
        output_bytes=graph.output.size,
        stack_bytes=STACK_ESTIMATE,
        const_bytes=sizes.const_bytes,
        code_bytes=_code_estimate(project),
        layers=_layers(project),
        problem=_problem(project, sizes),
        external_bytes=sizes.external_bytes,
    )


def _layers(project: Project) -> tuple[LayerPlan, ...]:
    plan = project.plan
    return tuple(
        LayerPlan(
            name=op.name,
            kernel=binding.kernel or "none",
            live_bytes=live,
            scratch_bytes=layer.scratch[1],
            const_bytes=layer.flash_bytes,
            in_place=_in_place(plan, op.output.name),
            external_bytes=layer.external_bytes,
            note=binding.note,
        )
        for op, binding, live, layer in zip(
            project.graph.ops, project.bindings, plan.live_bytes, project.layers, strict=True
        )
    )


def _in_place(plan: Plan, name: str) -> str | None:
    return plan.joined[name].into if name in plan.joined else plan.in_place.get(name)


def _problem(project: Project, sizes: Sizes) -> str | None:
    try:
        check_fit(project.graph, project.bindings, project.plan, sizes, project.board)
    except DoesNotFitError as error:
        return str(error)
    return None


def _code_estimate(project: Project) -> int:
    text = sum(len(project.kernel_files[name]) for name in compiled_files(project.kernel_files))
    return _START_CODE + round(text * _CODE_PER_SOURCE)


def _table(report: PlanReport) -> Table:
    table = Table(title=f"{report.network} on {report.board}, as planned", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("layer", overflow="fold", min_width=8)
    table.add_column("kernel", overflow="fold", min_width=10)
    outside = ("external, B",) if report.external_bytes else ()
    for title in ("alive, B", "scratch, B", "flash, B", *outside):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("in place of, or into", overflow="fold")
    for layer in report.layers:
        peak = " *" if layer.live_bytes == report.lower_bound else "  "
        table.add_row(
            layer.name,
            layer.kernel,
            f"{layer.live_bytes:,}{peak}",
            f"{layer.scratch_bytes:,}",
            f"{layer.const_bytes:,}",
            *((f"{layer.external_bytes:,}",) if outside else ()),
            layer.in_place or "",
        )
    return table
