"""The report of a search: its front, the patterns chosen, what was dropped, what its models were worth."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from ostinato.files import write_atomically
from ostinato.report import style
from ostinato.report.cells import MISSING, Column, Table, kibibytes, millions
from ostinato.report.html import figure_html, page, table_html
from ostinato.reuse import read_pattern
from ostinato.search import SearchResult
from ostinato.search.display import uses_external

_PLOT = "search_front.png"
_CAPTIONS = {_PLOT: "Every network that was measured as a whole, and the front; validation accuracy, modelled latency."}


def write_search_report(folder: Path, result: SearchResult) -> list[Path]:
    """Write `report.html`, `report.md` and `plots/search_front.png` into a search's folder; returns their paths."""
    picture = front_plot(result)
    files = {
        folder / "plots" / _PLOT: picture,
        folder / "report.md": _markdown(result).encode(),
        folder / "report.html": _html(result, picture).encode(),
    }
    for path, content in files.items():
        write_atomically(path, content)
    return list(files)


def front_plot(result: SearchResult) -> bytes:
    """PNG of validation top-1 against latency."""
    measured, front = result.about["measured"], result.front
    with style.applied():
        made = style.figure(8.6, 5.2)
        about = result.about
        style.headline(
            made, "The front of the whole network",
            f"{about['network']} on {about['data']} · {about['board']} · cycles are modelled · one image",
        )  # fmt: skip
        axes = made.add_axes((0.085, 0.115, 0.885, 0.725))
        for tuned, marker, name in ((False, "o", "calibrated"), (True, "D", "fine-tuned")):
            points = [entry for entry in measured if entry["patterns"] and (entry["epochs"] > 0) == tuned]
            if points:
                axes.plot([e["ms"] for e in points], [100 * e["valid_top1"] for e in points], marker, label=name,
                          color=style.SCOPE_COLOURS["compiled"], alpha=0.75, linestyle="")  # fmt: skip
        ordinary = [entry for entry in measured if not entry["patterns"]]
        axes.plot([e["ms"] for e in ordinary], [100 * e["valid_top1"] for e in ordinary], "s", color=style.INK,
                  linestyle="", label="conventional, best dense kernel")  # fmt: skip
        axes.plot([e["ms"] for e in front], [100 * e["valid_top1"] for e in front], "-", color=style.MUTED,
                  linewidth=1.2, label="front", zorder=1)  # fmt: skip
        axes.plot(result.chosen["ms"], 100 * result.chosen["valid_top1"], "o", markersize=14, fillstyle="none",
                  color="#d55e00", linestyle="", label="chosen")  # fmt: skip
        axes.set_xlim(left=0)
        axes.set_xlabel("latency, ms per image")
        axes.set_ylabel("top-1 on validation images, %")
        axes.grid(axis="both")
        axes.tick_params(length=0)
        axes.legend(loc="lower right")
        return style.png(made)


def _front_table(result: SearchResult) -> Table:
    base = result.about["conventional"]
    columns = ("top-1 valid. %", "loss, points", "ms", "× over CMSIS-style", "× over best dense", "divergence, nats",
               "flash KiB", *(("ext. flash KiB", "waits for it M") if uses_external(result.front) else ()), "SRAM KiB",
               "epochs", "predicted ms", "predicted loss")  # fmt: skip
    rows = tuple(_front_row(entry, base, uses_external(result.front)) for entry in result.front)
    return Table("Front", (Column("reused layers", words=True), *(Column(c) for c in columns)), rows)


def _front_row(entry: Mapping[str, Any], base: Mapping[str, Any], external: bool) -> tuple[str, ...]:
    guess = entry.get("predicted")
    outside = (kibibytes(entry["external_bytes"]), millions(entry["external_wait_cycles"])) if external else ()
    return (
        f"{len(entry['patterns'])} of {sum('conv' in v['kernel'] for v in base['layers'].values())}"
        if entry["patterns"] else "conventional",
        f"{100 * entry['valid_top1']:.2f}", f"{entry['loss_points']:.2f}", f"{entry['ms']:.2f}",
        f"{base['cmsis_cycles'] / entry['cycles']:.2f}", f"{base['cycles'] / entry['cycles']:.2f}",
        f"{entry['kl']:.4f}", f"{entry['flash_bytes'] / 1024:.0f}", *outside, f"{entry['sram_bytes'] / 1024:.0f}",
        str(entry["epochs"]),
        MISSING if guess is None else f"{guess['ms']:.2f}", MISSING if guess is None else f"{guess['loss_points']:.2f}",
    )  # fmt: skip


def _chosen_table(result: SearchResult) -> Table:
    rows = tuple((layer, str(read_pattern(fields))) for layer, fields in result.chosen["patterns"].items())
    notes = () if result.chosen["meets_budgets"] else ("No measured network meets all budgets; this is the nearest.",)
    columns = (Column("layer", words=True), Column("pattern", words=True))
    return Table("Chosen", columns, rows or (("all", "conventional"),), notes)


def _errors_table(result: SearchResult) -> Table:
    rows = tuple(
        (family, str(found["samples"]), f"{100 * found['mean']:.1f}", f"{100 * found['largest']:.1f}")
        for family, found in result.about["latency_errors_on_unseen_layers"].items()
    )
    columns = (Column("kernel", words=True), Column("simulated"), Column("mean error %"), Column("largest %"))
    return Table("Latency model on layers it was not fitted to", columns, rows)


def _seconds_table(result: SearchResult) -> Table:
    cpu = result.about["cpu_seconds"]
    rows = tuple((phase, f"{wall:.1f}", f"{cpu[phase]:.1f}") for phase, wall in result.seconds.items())
    columns = (Column("phase", words=True), Column("seconds"), Column("of processor"))
    return Table("Time, of all workers together", columns, rows)


def _tables(result: SearchResult) -> tuple[Table, ...]:
    return _front_table(result), _chosen_table(result), _errors_table(result), _seconds_table(result)


def _remarks(result: SearchResult) -> list[str]:
    return [f"{result.candidates} candidates were profiled.", *(f"Dropped: {line}" for line in result.about["drops"]),
            *result.about["notes"]]  # fmt: skip


def _html(result: SearchResult, picture: bytes) -> str:
    about = result.about
    title = f"Search: {about['network']} on {about['data']}, {about['board']}"
    parts = [f"<h1>{escape(title)}</h1>", figure_html(_PLOT, picture, _CAPTIONS)]
    for table in _tables(result):
        parts += [f"<h2>{escape(table.title)}</h2>", table_html(table)]
    parts.append('<ul class="notes">' + "".join(f"<li>{escape(line)}</li>" for line in _remarks(result)) + "</ul>")
    return page(title, parts)


def _markdown(result: SearchResult) -> str:
    about = result.about
    parts = [f"# Search: {about['network']} on {about['data']}, {about['board']}", f"![front](plots/{_PLOT})"]
    for table in _tables(result):
        heads = [column.heading for column in table.columns]
        lines = [heads, ["---" if c.words else "---:" for c in table.columns], *table.rows]
        parts += [f"## {table.title}", "\n".join("| " + " | ".join(cells) + " |" for cells in lines), *table.notes]
    parts.append("\n".join(f"* {line}" for line in _remarks(result)))
    return "\n\n".join(parts) + "\n"
