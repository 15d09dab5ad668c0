"""The report as one HTML file that needs nothing else: style and pictures are inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from ostinato.report import cells
from ostinato.report.schema import Report
from ostinato.report.style import DPI

_STYLE = """
:root { --ink: #22272e; --muted: #6b7280; --rule: #d5d9df; --tint: #f6f7f9; --blue: #0b5fa5; color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.75rem 0 .4rem; }
.about { color: var(--muted); margin: .25rem 0 1.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; font-variant-numeric: tabular-nums; }
th { vertical-align: bottom; color: var(--muted); font-weight: 600; line-height: 1.25;
  border-bottom: 1.5px solid var(--ink); }
th, td { padding: .42rem .5rem; text-align: right; }
th.words, td.words { text-align: left; }
td { border-bottom: 1px solid var(--rule); white-space: nowrap; vertical-align: top; }
td.words:first-child { white-space: normal; min-width: 9rem; }
td small { display: block; color: var(--muted); }
tbody tr:hover { background: var(--tint); }
tr.reuse td:first-child { color: var(--blue); font-weight: 600; }
ul.notes { color: var(--muted); font-size: .85rem; margin: .75rem 0 0; padding-left: 1.1rem; }
figure { margin: 1.25rem 0; }
img { max-width: 100%; height: auto; border: 1px solid var(--rule); border-radius: 6px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.25rem; font-size: .87rem; margin: 0; }
dt { color: var(--muted); }
dd { margin: 0; }
code { font: .92em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
@media print { main { max-width: none; padding: 0; } figure, tr { break-inside: avoid; } }
""".strip()

_CAPTIONS = {
    "accuracy_latency.png": "Top-1 of the int8 firmware code against latency; dashed, the two conventional baselines.",
    "latency_by_layer.png": "Latency by layer and phase, one panel for each method, all on one scale.",
    "similar_tiles.png": "One test image, and its tiles coloured by the cluster they share.",
}


def to_html(report: Report, pictures: Mapping[str, bytes]) -> str:
    """One self-contained page: tables, notes, and the PNG `pictures` (by file name) as data URIs."""
    title = f"Ostinato: {report.network} on {report.data}"
    by_layer = [cells.layer_table(report, row) for row in report.rows if row.layers]
    reused = [row.is_reuse for row in report.rows]
    parts = [
        f"<h1>{escape(report.network)} on {escape(report.data)}</h1>",
        f'<p class="about">{escape(report.board)} · seed {report.seed} · cycles are modelled, instructions exact</p>',
        table_html(cells.main_table(report), reused),
        *(figure_html(name, content) for name, content in pictures.items()),
    ]
    if by_layer:
        parts += ["<h2>Layers and phases</h2>", "<p>Phases are in millions of modelled cycles.</p>"]
        for table in by_layer:
            parts += [f"<h3>{escape(table.title)}</h3>", table_html(table)]
    parts += ["<h2>How this was made</h2>", _facts(report)]
    return page(title, parts)


def page(title: str, parts: Sequence[str]) -> str:
    """A self-contained HTML page of these pieces of HTML."""
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        "</body>\n</html>\n"
    )


def table_html(table: cells.Table, reused: list[bool] | None = None) -> str:
    """A table in the page's style; `reused`: which rows are of reuse."""
    kinds = [' class="words"' if column.words else "" for column in table.columns]
    heads = "".join(
        f'<th scope="col"{kind}>{escape(column.heading)}</th>'
        for kind, column in zip(kinds, table.columns, strict=True)
    )
    lines = []
    for index, row in enumerate(table.rows):
        data = "".join(f"<td{kind}>{_cell(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        mark = ' class="reuse"' if reused and reused[index] else ""
        lines.append(f"<tr{mark}>{data}</tr>")
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    below = f'\n<ul class="notes">{notes}</ul>' if notes else ""
    head, body = f"<thead><tr>{heads}</tr></thead>", "\n".join(lines)
    return f'<div class="wide"><table>\n{head}\n<tbody>\n{body}\n</tbody>\n</table></div>{below}'


def _cell(text: str) -> str:
    first, *rest = text.split("\n")
    return escape(first) + "".join(f"<small>{escape(line)}</small>" for line in rest)


def figure_html(name: str, content: bytes, captions: Mapping[str, str] = _CAPTIONS) -> str:
    """A PNG as a data URI, with what `captions` says of it."""
    data = base64.b64encode(content).decode("ascii")
    caption = captions.get(name, name)
    width = int.from_bytes(content[16:20], "big") * 96 // DPI  # PNG's IHDR; shown so, all plots' letters are one size
    return f'<figure><img alt="{escape(caption)}" width="{width}" src="data:image/png;base64,{data}"></figure>'


def _facts(report: Report) -> str:
    rows = (f"<dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd>" for name, value in cells.facts(report))
    return f"<dl>{''.join(rows)}</dl>"
