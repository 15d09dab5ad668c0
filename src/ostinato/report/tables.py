"""The report's tables on a terminal (rich), in a log (plain text) and in Markdown."""

from __future__ import annotations

import io
import re
import textwrap

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ostinato.report import cells
from ostinato.report.schema import Report

WIDE = 132
"""From so many columns on, method, kernel and scope have a column each; below, they share one."""

NARROWEST = 96
"""Below this the main table cannot go without losing digits; a narrower terminal has to wrap."""

PLAIN_WIDTH = 140
"""Width where there is no terminal: logs and files do not wrap."""


_SPECIAL = re.compile(r"[\\`*\[\]<>|]|(?<!\w)_|_(?!\w)")
"""What Markdown might take for markup inside a line."""


def print_report(report: Report, console: Console | None = None, layers: bool = True) -> None:
    """Print the main table and, with `layers`, one table of layers for each method.

    Colours are left away, and the width is fixed, where the console is not a terminal.
    """
    console = console or Console()
    _print(report, console, layers, max(console.width, NARROWEST) if console.is_terminal else PLAIN_WIDTH)


def to_text(report: Report, layers: bool = True, width: int = PLAIN_WIDTH) -> str:
    """What `print_report` prints where there is no terminal; at least `NARROWEST` characters wide."""
    file = io.StringIO()
    _print(report, Console(file=file, color_system=None, force_terminal=False), layers, max(width, NARROWEST))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).rstrip() + "\n"


def _print(report: Report, console: Console, layers: bool, width: int) -> None:
    usual = console.width
    console.width = width  # `print(width=...)` would not go beyond what the console believes to have
    try:
        for index, table in enumerate(_tables(report, layers)):
            if index:
                console.print()
            console.print(to_rich(table, width))
            for note in table.notes:
                console.print(Text(note, style="dim"))
    finally:
        console.width = usual


def to_markdown(report: Report, layers: bool = True) -> str:
    """The tables as GitHub-flavoured Markdown, with their notes and where the numbers come from."""
    lines: list[str] = []
    for index, table in enumerate(_tables(report, layers)):
        level = "##" if index == 0 else "###"
        lines += [f"{level} {_inline(table.title)}", "", *_markdown_rows(table), ""]
        if table.notes:
            lines += [*(f"* {_inline(note)}" for note in table.notes), ""]
        if index == 0:
            lines += [*(f"* {name}: {_code(value)}" for name, value in cells.facts(report)), ""]
    return "\n".join(lines).rstrip() + "\n"


def to_rich(table: cells.Table, width: int) -> RichTable:
    """A rich table for a console of that width, without the notes."""
    if table.columns[0].heading == "method" and width < WIDE:
        table = _folded(table)
    rich = RichTable(
        title=Text(table.title),
        title_style="bold",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1 if width >= WIDE else 0, 0, 0),
        pad_edge=False,
        header_style="bold",
    )
    headings = [_broken(column) for column in table.columns]
    height = max(map(len, headings))
    for column, lines in zip(table.columns, headings, strict=True):
        heading = Text("\n" * (height - len(lines)) + "\n".join(lines))  # headings stand on the rule
        if column.words:
            rich.add_column(heading, overflow="fold")
        else:
            rich.add_column(heading, justify="right", no_wrap=True)
    for row in table.rows:
        rich.add_row(*(Text(cell) for cell in row))
    return rich


def _tables(report: Report, layers: bool) -> list[cells.Table]:
    by_layer = [cells.layer_table(report, row) for row in report.rows if row.layers] if layers else []
    return [cells.main_table(report), *by_layer]


def _folded(table: cells.Table) -> cells.Table:
    """The main table with kernel and scope below the method."""
    first = cells.Column("method", words=True)
    rows = tuple(
        (f"{method}\n  {kernel}" + ("" if scope == cells.MISSING else f" · {scope}"), *rest)
        for method, kernel, scope, *rest in table.rows
    )
    return cells.Table(table.title, (first, *table.columns[3:]), rows, table.notes)


def _broken(column: cells.Column) -> list[str]:
    """A heading in short lines: numbers are narrow, and what stands above them should be too."""
    return textwrap.wrap(column.heading, width=6 if "×" in column.heading else 7, break_long_words=False)


def _markdown_rows(table: cells.Table) -> list[str]:
    heads = [_inline(column.heading) for column in table.columns]
    rules = ["---" if column.words else "---:" for column in table.columns]
    body = [[_inline(cell) for cell in row] for row in table.rows]
    return ["| " + " | ".join(line) + " |" for line in (heads, rules, *body)]


def _inline(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    first, *rest = _SPECIAL.sub(r"\\\g<0>", text).splitlines() or [""]
    return first + (f" ({' '.join(rest)})" if rest else "")


def _code(text: str) -> str:
    """Text as code, fenced by more backticks than it holds in a row."""
    line = " ".join(text.split())
    fence = "`"
    while fence in line:
        fence += "`"
    return f"{fence} {line} {fence}" if "`" in line else f"`{line}`"
