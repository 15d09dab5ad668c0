"""The report's two tables as text in cells, once for all of terminal, Markdown and HTML."""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.report.schema import PHASES, Layer, Report, Row, Spread

MISSING = "–"
"""Stands where a number does not exist."""

CMSIS_HEADING = "× over CMSIS-style"
DENSE_HEADING = "× over best dense"
EXTERNAL_HEADING = "ext. flash KiB"


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and whether its cells are words (to the left) or numbers (to the right)."""

    heading: str
    words: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Text in rows and columns, a title above, remarks below."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def main_table(report: Report) -> Table:
    """One row for each method: accuracy, reuse, cost, and the ratio to both conventional baselines."""
    columns = (
        Column("method", words=True),
        Column("kernel", words=True),
        Column("scope", words=True),
        Column("top-1 float %"),
        Column("top-1 int8 %"),
        Column("r_t in scope"),
        Column("FLOPs left %"),
        Column("instr. M"),
        Column("cycles M"),
        Column("ms"),
        Column(CMSIS_HEADING),
        Column(DENSE_HEADING),
        Column("SRAM KiB"),
        Column("flash KiB"),
        *((Column(EXTERNAL_HEADING),) if uses_external(report) else ()),
    )
    rows = tuple(_main_row(report, row) for row in report.rows)
    return Table(f"{report.network} on {report.data}, {report.board}", columns, rows, notes(report))


def _main_row(report: Report, row: Row) -> tuple[str, ...]:
    return (
        row.method,
        row.kernel,
        row.scope or MISSING,
        percent(row.top1_float, row.top1_float_spread),
        percent(row.top1_int8, row.top1_int8_spread),
        ratio(row.redundancy_ratio),
        percent(row.flops_remaining),
        millions(row.instructions),
        millions(row.cycles),
        milliseconds(row.ms),
        times(speedup(report.cmsis_style, row)),
        times(speedup(report.best_dense, row)),
        kibibytes(row.sram_bytes),
        kibibytes(row.flash_bytes),
        *((kibibytes(row.external_bytes),) if uses_external(report) else ()),
    )


def layer_table(report: Report, row: Row) -> Table:
    """One row for each layer of one method: cost, phases of GR Table 3 in millions of cycles, ratio to baselines."""
    columns = (
        Column("layer", words=True),
        Column("kernel", words=True),
        Column("r_t"),
        Column("instr. M"),
        Column("cycles M"),
        *(Column(phase_heading(phase)) for phase in PHASES),
        Column(CMSIS_HEADING),
        Column(DENSE_HEADING),
    )
    rows = tuple(_layer_row(report, layer) for layer in row.layers)
    patterns = tuple(f"{layer.name}: {layer.pattern}" for layer in row.layers if layer.pattern)
    choices = tuple(f"{layer.name}: {layer.choice}" for layer in row.layers if layer.choice)
    warnings = tuple(layer.warning for layer in row.layers if layer.warning)
    notes = tuple(f"{layer.name}: {layer.note}" for layer in row.layers if layer.note)
    outside = tuple(
        f"{layer.name}: {kibibytes(layer.external_bytes)} KiB in external flash, "
        f"{millions(layer.external_wait_cycles)} M cycles waiting for it"
        for layer in row.layers
        if layer.external_bytes
    )
    return Table(row_title(row), columns, rows, (*patterns, *outside, *notes, *choices, *warnings))


def _layer_row(report: Report, layer: Layer) -> tuple[str, ...]:
    return (
        layer.name,
        layer.kernel,
        ratio(layer.redundancy_ratio),
        millions(layer.instructions),
        millions(layer.cycles),
        *(millions(getattr(layer.phases, phase)) for phase in PHASES),
        times(layer_speedup(report.cmsis_style, layer)),
        times(layer_speedup(report.best_dense, layer)),
    )


def uses_external(report: Report) -> bool:
    """Whether any method has constants in external flash."""
    return any(row.external_bytes for row in report.rows)


def row_title(row: Row) -> str:
    """What tells a row from the others: method and scope, or the kernel where nothing is reused."""
    return f"{row.method}, {row.scope} scope" if row.is_reuse else f"{row.method}, {row.kernel} kernel"


def phase_heading(phase: str) -> str:
    """A phase's name as GR Table 3 prints it."""
    return "GEMM" if phase == "gemm" else phase


def notes(report: Report) -> tuple[str, ...]:
    """What a reader has to know to read the numbers, then the report's own remarks."""
    model = f" ({report.cycle_model})" if report.cycle_model else ""
    clock = f" at {report.clock_hz / 1e6:g} MHz" if report.clock_hz else ""
    images = f" on {report.test_images:,} test images" if report.test_images else " on the test set"
    standing = [
        f"Cycles are modelled{model}; instructions are exact. Milliseconds are cycles over the clock{clock}. "
        "All are for one image.",
        f"Top-1 float is the PyTorch model's, top-1 int8 that of the firmware's own C code,{images}.",
        "× is the cycles of the conventional network over the row's, in the same simulator: with CMSIS-NN-style "
        "kernels (2×2, int8 weights), and with our best dense ones.",
    ]
    if uses_external(report):
        standing.append(
            "Ext. flash KiB are constants in the board's external flash, beside those of flash KiB; what layers wait "
            "for it is among their cycles."
        )
    spread = next((s for row in report.rows for s in (row.top1_int8_spread, row.top1_float_spread) if s), None)
    if spread:
        standing.append("Below an accuracy stands its range over several seeds.")
    if any(row.is_reuse for row in report.rows):
        standing.append("r_t is 1 − clusters/vectors of the reused layers, in the row's scope: the deployed one.")
    return (*standing, *report.notes)


def facts(report: Report) -> tuple[tuple[str, str], ...]:
    """Where the report comes from, as (name, value) pairs."""
    known = (
        ("command", report.command),
        ("commit", report.commit),
        ("seed", str(report.seed)),
        ("version", report.ostinato_version),
        ("wall time", None if report.wall_seconds is None else f"{report.wall_seconds:.1f} s"),
    )
    return tuple((name, value) for name, value in known if value is not None)


def speedup(baseline: Row | None, row: Row) -> float | None:
    """Cycles of the baseline over those of the row; None where either is unknown, or nothing was executed."""
    if baseline is None or baseline.cycles is None or not row.cycles:
        return None
    return baseline.cycles / row.cycles


def layer_speedup(baseline: Row | None, layer: Layer) -> float | None:
    """Cycles of the baseline's layer of the same name over those of `layer`; None where there is none."""
    other = baseline.layer(layer.name) if baseline else None
    return other.cycles / layer.cycles if other and layer.cycles else None


def percent(fraction: float | None, spread: Spread | None = None) -> str:
    """`0.768` as `76.8`; with a spread, its range in a second line."""
    if fraction is None:
        return MISSING
    text = f"{fraction * 100:.1f}"
    return f"{text}\n{spread.minimum * 100:.1f}–{spread.maximum * 100:.1f}" if spread else text


def ratio(value: float | None) -> str:
    """A fraction with three digits."""
    return MISSING if value is None else f"{value:.3f}"


def times(value: float | None) -> str:
    """A speed-up: `0.48`, `6.23`, `12.1`."""
    if value is None:
        return MISSING
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def millions(count: int | None) -> str:
    """A count in millions, with two decimals; zero is `0`."""
    if count is None:
        return MISSING
    if count == 0:
        return "0"
    return f"{count / 1e6:.2f}" if count >= 10_000 else "<0.01"


def milliseconds(ms: float | None) -> str:
    """A time: three digits or more."""
    if ms is None:
        return MISSING
    return f"{ms:.1f}" if ms >= 10 else f"{ms:.2f}"


def kibibytes(size: int | None) -> str:
    """A size in KiB."""
    return MISSING if size is None else f"{size / 1024:.1f}"
