"""The report's plots: accuracy against latency, and latency by layer and phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from ostinato.report import style
from ostinato.report.cells import MISSING, layer_speedup, milliseconds, phase_heading, row_title, speedup, times
from ostinato.report.labels import label_points
from ostinato.report.schema import PHASES, Phases, Report, Row

_LOG_FROM = 4.0  # slowest over fastest, from which on a linear axis would crowd the fast ones
_MOST_LAYERS = 14
_MOST_PANELS = 5  # beside each other


def accuracy_latency(report: Report) -> bytes | None:
    """PNG of top-1 (int8) against latency, a labelled point for each row; None where no row has both numbers."""
    rows = [row for row in report.rows if row.ms and row.top1_int8 is not None]
    if not rows:
        return None
    with style.applied():
        made = style.figure(8.6, 5.2)
        style.headline(made, "Accuracy against latency", style.subject(report))
        axes = made.add_axes((0.085, 0.115, 0.885, 0.725))
        points = [(row.ms or 0.0, (row.top1_int8 or 0.0) * 100) for row in rows]
        colours = [style.SCOPE_COLOURS.get(row.scope, style.INK) for row in rows]
        _latency_axis(axes, [ms for ms, _ in points])
        _accuracy_axis(axes, rows)
        lines = _baselines(axes, report)
        for row, (ms, top1), colour in zip(rows, points, colours, strict=True):
            if row.top1_int8_spread:
                low, high = row.top1_int8_spread.minimum * 100, row.top1_int8_spread.maximum * 100
                axes.plot([ms, ms], [low, high], color=colour, linewidth=1.6, alpha=0.6, solid_capstyle="butt")
            marker = "o" if row.is_reuse else "s"
            axes.plot(ms, top1, marker, color=colour, markersize=8.5, markeredgecolor=style.PAPER, zorder=5)
        label_points(axes, points, [_point_text(report, row) for row in rows], colours, lines)
        return style.png(made)


def _point_text(report: Report, row: Row) -> str:
    ratio = speedup(report.best_dense, row)
    gain = f" · {times(ratio)}× best dense" if ratio is not None and row.is_reuse else ""
    name = row.method if row in (report.cmsis_style, report.best_dense) else row_title(row)  # lines name those kernels
    return f"{name}\n{(row.top1_int8 or 0) * 100:.1f} % · {milliseconds(row.ms)} ms{gain}"


def _latency_axis(axes: Axes, values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    axes.set_xlabel("latency, ms per image")
    axes.grid(axis="both")
    axes.tick_params(length=0)
    if high / low > _LOG_FROM:
        axes.set_xscale("log")
        margin = (high / low) ** 0.14
        axes.set_xlim(low / margin, high * margin)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(0, high * 1.2)


def _accuracy_axis(axes: Axes, rows: Sequence[Row]) -> None:
    values = [row.top1_int8 or 0.0 for row in rows]
    values += [end for row in rows if (s := row.top1_int8_spread) for end in (s.minimum, s.maximum)]
    low, high = min(values) * 100, max(values) * 100
    margin = max(0.18 * (high - low), 1.0)
    axes.set_ylim(max(low - margin, -1), high + margin)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_ylabel("top-1 of the int8 firmware code, %")


def _baselines(axes: Axes, report: Report) -> list[float]:
    """Both conventional latencies as lines through the whole height, so that every point is read against them."""
    drawn = []
    for row, name in ((report.cmsis_style, "CMSIS-style"), (report.best_dense, "best dense")):
        if row is None or not row.ms:
            continue
        axes.axvline(row.ms, color=style.SCOPE_COLOURS[None], linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.7, zorder=1)
        axes.annotate(
            name, (row.ms, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points",
            fontsize=8, color=style.MUTED, ha="center", va="bottom",
        )  # fmt: skip
        drawn.append(row.ms)
    return drawn


def latency_by_layer(report: Report) -> bytes | None:
    """PNG of one panel for each row, bars for its layers stacked by phase; None where no row has layers and time."""
    rows = [row for row in report.rows if row.layers and row.cycles]
    if not rows:
        return None
    names, others = _shown_layers(rows)
    panels = [_bars(report, row, names, others) for row in rows]
    labels = [*names, f"{others} others"] if others else names
    columns = min(len(rows), _MOST_PANELS)
    lines = -(-len(rows) // columns)
    height = 1.55 + lines * (0.75 + 0.3 * len(labels))
    with style.applied():
        made = style.figure(max(1.2 + 2.2 * columns, 6.6), height)
        subtitle = style.subject(report) + " · in brackets × over best dense"
        style.headline(made, "Latency by layer and phase", subtitle)
        grid = made.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        width = made.get_figwidth()
        made.subplots_adjust(
            left=(0.35 + 0.075 * max(map(len, labels))) / width, right=1 - 0.1 / width, wspace=0.08,
            top=1 - 1.5 / height, bottom=0.5 / height, hspace=0.95 / (0.3 * len(labels)),
        )  # fmt: skip
        limit = max(_ms(row, bar.phases.total) for row, bars in zip(rows, panels, strict=True) for bar in bars)
        for axes, row, bars in zip(grid.flat, rows, panels, strict=False):
            _panel(axes, row, bars, limit)
        for axes in grid.flat[len(rows) :]:
            axes.set_visible(False)
        grid[0, 0].set_yticks(range(len(labels)), labels)
        for axes in grid[:, 0]:
            axes.tick_params(axis="y", labelcolor=style.INK)
        for axes in grid[-1]:
            axes.set_xlabel("ms", fontsize=9, color=style.MUTED)
        handles = [Patch(color=style.PHASE_COLOURS[phase], label=phase_heading(phase)) for phase in PHASES]
        made.legend(
            handles=handles, loc="upper left", ncol=len(handles), handlelength=0.9, handleheight=0.9, columnspacing=1.4,
            borderaxespad=0, bbox_to_anchor=(0.18 / width, 1 - 0.74 / height), handletextpad=0.5, borderpad=0,
        )  # fmt: skip
        return style.png(made)


def _panel(axes: Axes, row: Row, bars: Sequence[_Bar], limit: float) -> None:
    for position, bar in enumerate(bars):
        left = 0.0
        for phase in PHASES:
            width = _ms(row, getattr(bar.phases, phase))
            axes.barh(position, width, left=left, height=0.66, color=style.PHASE_COLOURS[phase], linewidth=0)
            left += width
        text = milliseconds(left) if left else MISSING
        if bar.gain:
            text += f"  ({times(bar.gain)}×)"
        weight = "bold" if bar.gain else "normal"
        axes.text(left + limit * 0.025, position, text, va="center", fontsize=8, color=style.INK, fontweight=weight)
    kind = f"{row.scope} scope" if row.is_reuse else f"{row.kernel} kernel"
    title = f"{row.method}\n{kind} · {milliseconds(row.ms)} ms"
    colour = style.SCOPE_COLOURS.get(row.scope, style.INK)
    axes.set_title(title, loc="left", fontsize=8.5, color=colour, linespacing=1.4)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(0, limit * 1.35 if limit else 1)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], prune="upper"))
    axes.tick_params(length=0)
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)


@dataclass(frozen=True, slots=True)
class _Bar:
    """One bar of a panel: what the layer costs in this row; `gain` is × over the best dense kernel, where it reuses."""

    phases: Phases
    gain: float | None = None


def _shown_layers(rows: Sequence[Row]) -> tuple[list[str], int]:
    """Names of the dearest layers in execution order, and how many are gathered in one more bar."""
    cost: dict[str, int] = {}
    for row in rows:
        for layer in row.layers:
            cost[layer.name] = max(cost.get(layer.name, 0), layer.cycles)
    if len(cost) <= _MOST_LAYERS:
        return list(cost), 0
    kept = set(sorted(cost, key=lambda name: -cost[name])[: _MOST_LAYERS - 1])
    return [name for name in cost if name in kept], len(cost) - len(kept)


def _bars(report: Report, row: Row, names: Sequence[str], others: int) -> list[_Bar]:
    bars = []
    for name in names:
        layer = row.layer(name)
        gain = layer_speedup(report.best_dense, layer) if layer and layer.pattern else None
        bars.append(_Bar(layer.phases if layer else Phases(), gain))
    if others:
        rest = [layer.phases for layer in row.layers if layer.name not in names]
        bars.append(_Bar(Phases(**{phase: sum(getattr(entry, phase) for entry in rest) for phase in PHASES})))
    return bars


def _ms(row: Row, cycles: int) -> float:
    """The time of so many cycles, by the row's own clock."""
    return cycles * row.ms / row.cycles if row.ms and row.cycles else 0.0
