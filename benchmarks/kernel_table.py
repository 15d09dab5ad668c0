"""What the kernel benchmark says: rows for a terminal, a page and a JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

CORES = {"cortex-m4": "M4", "cortex-m7": "M7"}


@dataclass(frozen=True)
class Row:
    """What one operator costs on one core."""

    layer: str
    kernel: str
    scope: str
    """`conventional`, `image` or `compiled`."""
    variant: str
    L: int | None
    H: int | None
    core: str
    cycles: int
    instructions: int
    ratio_cmsis_style: float | None
    """Cycles of the conventional layer on the CMSIS-style kernel over these; None: the layer is no convolution."""
    ratio_best_dense: float | None
    sram_bytes: int
    """Input, output and scratch."""
    flash_bytes: int
    """Constant data, without code."""
    phases: dict[str, int]


def as_json(rows: Sequence[Row]) -> bytes:
    """A list of objects, one for each row."""
    return json.dumps([asdict(row) for row in rows], indent=2).encode() + b"\n"


def terminal(rows: Sequence[Row]) -> Table:
    """Every row, with its phases."""
    shown = Table("layer", "kernel", "core", title="Modelled cycles, no wait states")
    for column in ("cycles", "instructions", "× CMSIS-style", "× best dense", "SRAM B", "flash B", "phases (cycles)"):
        shown.add_column(column, justify="left" if column.startswith("phases") else "right")
    for row in rows:
        phases = ", ".join(f"{name} {cycles:,}" for name, cycles in sorted(row.phases.items()))
        counts = (f"{row.cycles:,}", f"{row.instructions:,}")
        ratios = (_ratio(row.ratio_cmsis_style), _ratio(row.ratio_best_dense))
        sizes = (f"{row.sram_bytes:,}", f"{row.flash_bytes:,}")
        shown.add_row(_title(row), _kernel(row), CORES[row.core], *counts, *ratios, *sizes, phases)
    return shown


def markdown(rows: Sequence[Row]) -> str:
    """A line for each operator, cores side by side."""
    heading = ["layer", "kernel"]
    for core in CORES.values():
        heading += [f"{core} cycles", "× CMSIS-style", "× best dense"]
    heading += ["SRAM, B", "constants, B"]
    lines = [heading, ["---", "---", *["---:"] * (len(heading) - 2)]]
    for first, *others in _by_operator(rows):
        cells = [_title(first), _kernel(first)]
        for row in (first, *others):
            cells += [f"{row.cycles:,}", _ratio(row.ratio_cmsis_style), _ratio(row.ratio_best_dense)]
        lines.append([*cells, f"{first.sram_bytes:,}", f"{first.flash_bytes:,}"])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _by_operator(rows: Sequence[Row]) -> list[list[Row]]:
    operators: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        operators.setdefault((_title(row), row.kernel), []).append(row)
    return list(operators.values())


def _title(row: Row) -> str:
    parts = [row.layer, *([f"L={row.L}, H={row.H}"] if row.L else []), *([row.variant] if row.variant else [])]
    return ", ".join(parts)


def _kernel(row: Row) -> str:
    """Generated kernels have the layer's sizes in their names, which the row tells already."""
    return next((name for name in ("reuse_pointers_s8", "stem_s8") if row.kernel.startswith(name)), row.kernel)


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
