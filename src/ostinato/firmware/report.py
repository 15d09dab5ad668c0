"""What a simulated run says: time, memory, and where the time goes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from ostinato.kernels.binding import Phase
from ostinato.quant.arithmetic import Int8Array

PHASES: tuple[Phase, ...] = ("transformation", "clustering", "gemm", "recovering", "other")

_TITLES = {
    "transformation": "transf",
    "clustering": "cluster",
    "gemm": "GEMM",
    "recovering": "recover",
    "other": "other",
}


_WIDE = 120
"""Columns that the whole table needs."""


@dataclass(frozen=True)
class LayerReport:
    """One layer: executed instructions, modelled cycles, and the cycles of each phase of GR Table 3."""

    name: str
    kernel: str
    cycles: int
    instructions: int
    phases: Mapping[str, int]
    counted: float | None = None
    """What the layer counts by itself, mean of the images; None if it does not."""
    counts: str = ""
    """What that is: `blocks that found no slot`, which are computed by themselves."""
    note: str = ""
    """Which kernel this is and why, and what it needs beyond the ordinary; empty where there is nothing to say."""
    choice: str = ""
    """Which of several kernels this is, and the modelled cycles of all; empty where there was one only."""
    conventional_cycles: int | None = None
    """Of a reuse layer: those of the best conventional kernel in its place, as `choice` has them (for one image of the
    calibration set, without wait states); None for another layer, or where nothing was timed."""
    warning: str = ""
    """Says so where that kernel would be faster."""
    flash_bytes: int = 0
    """Constants in internal flash."""
    external_bytes: int = 0
    """Constants in external flash."""
    external_wait_cycles: int = 0
    """Of `cycles`, those waited for external flash, or copying from it into SRAM."""


@dataclass(frozen=True)
class SimulationReport:
    """A network on a simulated board; counts are means over `images` (exact for one), rounded per layer.

    Attributes:
        instructions: executed, exact.
        cycles: modelled by `cycle_model`; with that, `ms` at the board's clock.
        sram_bytes: static data, the arena among it, and the stack as it was measured.
        flash_bytes: code and constants, as linked.
        external_bytes: constants in external flash, beside them.
        layers: in execution order; their counts sum to the totals (calling a layer is counted to it).
        hot_code: functions that run from RAM.
        logits: int8 (images, *output).
    """

    network: str
    board: str
    kernel: str
    code: str
    cycle_model: str
    images: int
    instructions: int
    cycles: int
    ms: float
    sram_bytes: int
    stack_bytes: int
    flash_bytes: int
    layers: tuple[LayerReport, ...]
    hot_code: tuple[str, ...] = ()
    external_bytes: int = 0
    logits: Int8Array = field(repr=False, default_factory=lambda: np.zeros((0,), np.int8))

    @property
    def external_wait_cycles(self) -> int:
        """Of `cycles`, those waited for external flash."""
        return sum(layer.external_wait_cycles for layer in self.layers)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _table(self, narrow=options.max_width < _WIDE)
        outside = f" · external flash {self.external_bytes:,} B" if self.external_bytes else ""
        yield (
            f"{self.ms:.2f} ms · {self.cycles:,} cycles (modelled: {self.cycle_model})\n"
            f"{self.instructions:,} instructions · SRAM {self.sram_bytes:,} B · flash {self.flash_bytes:,} B{outside}"
        )
        for layer in self.layers:
            if layer.external_bytes:
                yield (
                    f"{layer.name}: {layer.flash_bytes:,} B in flash, {layer.external_bytes:,} B in external flash, "
                    f"{layer.external_wait_cycles:,} cycles waiting for it"
                )
        for layer in self.layers:
            if layer.counted is not None:
                yield f"{layer.name}: {layer.counted:,.1f} {layer.counts}"
        noted = [f"{layer.name}: {layer.note}" for layer in self.layers if layer.note]
        if noted:
            yield "notes on kernels:\n" + "\n".join(noted)
        yield from (layer.warning for layer in self.layers if layer.warning)
        if self.hot_code:
            yield "in RAM: " + ", ".join(self.hot_code)
        chosen = [f"{layer.name}: {layer.choice}" for layer in self.layers if layer.choice]
        if chosen:
            yield "kernels chosen, without wait states:\n" + "\n".join(chosen)

    def __str__(self) -> str:
        stream = io.StringIO()
        Console(file=stream, width=120).print(self)
        return stream.getvalue().rstrip()


def _table(report: SimulationReport, *, narrow: bool) -> Table:
    """By layer; in a narrow place without kernels, shares and instructions, so that names and numbers stay whole."""
    used = [phase for phase in PHASES if any(layer.phases.get(phase) for layer in report.layers)]
    images = f", mean of {report.images} images" if report.images > 1 else ""
    table = Table(
        title=f"{report.network} on {report.board} ({report.code}{images})", title_justify="left", box=SIMPLE_HEAD
    )
    table.add_column("layer", overflow="fold", min_width=8)
    if not narrow:
        table.add_column("kernel", overflow="fold", min_width=12)
    counts = ("cycles",) if narrow else ("cycles", "share", "instructions")
    for title in (*counts, *(_TITLES[phase] for phase in used)):
        table.add_column(title, justify="right", no_wrap=True)
    for layer in report.layers:
        phases = [_percent(layer.phases.get(phase, 0), layer.cycles) for phase in used]
        share = _percent(layer.cycles, report.cycles)
        table.add_row(*_cells(layer.name, layer.kernel, layer.cycles, share, layer.instructions, narrow), *phases)
    table.add_section()
    sums = [_percent(sum(layer.phases.get(phase, 0) for layer in report.layers), report.cycles) for phase in used]
    table.add_row(*_cells("total", "", report.cycles, "100.0%", report.instructions, narrow), *sums)
    return table


def _cells(name: str, kernel: str, cycles: int, share: str, instructions: int, narrow: bool) -> list[str]:
    if narrow:
        return [name, f"{cycles:,}"]
    return [name, kernel, f"{cycles:,}", share, f"{instructions:,}"]


def _percent(cycles: int, of: int) -> str:
    """The share of a phase in its layer."""
    return f"{cycles / of:.1%}" if cycles else "-"
