from __future__ import annotations

import dataclasses
import html
import re

import pytest
from hypothesis import given, settings
from report_samples import layer, reports, row, sample_report, with_external
from rich.console import Console

from ostinato.report import BEST_DENSE, CONVENTIONAL, Report, print_report, to_markdown, to_text
from ostinato.report.cells import (
    CMSIS_HEADING,
    DENSE_HEADING,
    EXTERNAL_HEADING,
    MISSING,
    layer_table,
    main_table,
    millions,
    percent,
    speedup,
    times,
)
from ostinato.report.html import to_html


def column(table, heading: str) -> list[str]:
    position = [column.heading for column in table.columns].index(heading)
    return [cells[position] for cells in table.rows]


def test_ratios_are_those_of_the_rows():
    report = sample_report()
    table = main_table(report)
    for heading, baseline in ((CMSIS_HEADING, report.rows[0]), (DENSE_HEADING, report.rows[1])):
        for text, entry in zip(column(table, heading), report.rows, strict=True):
            assert float(text) == pytest.approx(baseline.cycles / entry.cycles, abs=0.051)
        assert float(column(table, heading)[report.rows.index(baseline)]) == 1


def test_layer_ratios_are_those_of_the_same_layer():
    report = sample_report()
    table = layer_table(report, report.rows[-1])
    for name, text in zip(column(table, "layer"), column(table, DENSE_HEADING), strict=True):
        expected = report.rows[1].layer(name).cycles / report.rows[-1].layer(name).cycles
        assert float(text) == pytest.approx(expected, abs=0.051)
    assert any("conv2: L=8 H=4" in note for note in table.notes)


def test_without_a_baseline_there_is_no_ratio():
    report = sample_report()
    report = dataclasses.replace(report, rows=report.rows[2:])
    assert set(column(main_table(report), CMSIS_HEADING)) == {MISSING}
    assert set(column(main_table(report), DENSE_HEADING)) == {MISSING}
    assert speedup(None, report.rows[0]) is None


def test_external_flash_has_a_column_only_where_it_is_used():
    report = with_external(sample_report())
    assert column(main_table(report), EXTERNAL_HEADING) == ["0.0"] * 4 + ["1200.0"]
    notes = layer_table(report, report.rows[-1]).notes
    assert "fc1: 600.0 KiB in external flash, 0.10 M cycles waiting for it" in notes
    for text in (to_text(report), to_markdown(report), to_html(report, {})):
        assert "1200.0" in text
        assert "600.0 KiB in external flash" in text
        assert "constants in the board's external flash" in " ".join(html.unescape(text).split())
    other = sample_report()
    assert EXTERNAL_HEADING not in [column.heading for column in main_table(other).columns]
    assert not any("external flash" in text for text in (to_text(other), to_markdown(other), to_html(other, {})))


def test_missing_numbers_are_dashes():
    empty = dict.fromkeys(
        ("top1_float", "top1_int8", "redundancy_ratio", "flops_remaining", "instructions", "cycles", "ms",
         "sram_bytes", "flash_bytes")
    )  # fmt: skip
    bare = dataclasses.replace(sample_report().rows[2], layers=(), **empty)
    table = main_table(dataclasses.replace(sample_report(), rows=(bare,)))
    assert set(table.rows[0][3:]) == {MISSING}


def test_numbers_as_text():
    assert times(9.994) == "9.99"
    assert times(12.06) == "12.1"
    assert percent(0.7684) == "76.8"
    assert (millions(0), millions(5), millions(12_340_000)) == ("0", "<0.01", "12.34")


@pytest.mark.parametrize("make", [sample_report, lambda: with_external(sample_report())], ids=["inside", "external"])
@pytest.mark.parametrize("width", [96, 100, 120, 140])
def test_text_fits_its_width_and_loses_no_number(width, make):
    report = make()
    text = to_text(report, layers=False, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for cells in main_table(report).rows:
        for cell in cells[3:]:
            for line in cell.split("\n"):
                assert line in text
    assert "\x1b" not in text


def test_what_is_modelled_is_said_under_the_table():
    report = sample_report()
    for text in (" ".join(to_text(report).split()), to_markdown(report)):
        assert "Cycles are modelled (cortex-m4, 5 wait states); instructions are exact." in text
        assert "180 MHz" in text
        assert "Made up." in text


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_terminal_keeps_every_number(width, capsys):
    console = Console(force_terminal=True, width=width, color_system=None, legacy_windows=False)
    print_report(sample_report(), console)
    printed = capsys.readouterr().out
    assert console.width == width
    for cells in main_table(sample_report()).rows:
        for cell in cells[3:]:
            assert cell.split("\n")[0] in printed


def test_logs_are_not_squeezed_into_80_columns(capsys):
    print_report(sample_report(), layers=False)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert re.search(r"conventional +cmsis-style +– +77\.0 +76\.8 ", printed)


@settings(max_examples=40, deadline=None)
@given(reports)
def test_markdown_has_one_line_of_equal_cells_for_each_row(report: Report):
    lines = to_markdown(report).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("|"))
    bars = re.compile(r"(?<!\\)(?:\\\\)*\|")
    heads = len(bars.findall(lines[start]))
    body = lines[start + 2 : start + 2 + len(report.rows)]
    assert all(len(bars.findall(line)) == heads for line in body)
    assert len(body) == len(report.rows)


@settings(max_examples=40, deadline=None)
@given(reports)
def test_any_report_can_be_printed(report: Report):
    assert "Cycles are modelled" in to_text(report)


def test_markup_in_names_is_shown_as_it_is():
    bad = row("a|b *c* [red]d[/red]", None, "k", [layer("x_y", "k", None, 10)])
    report = dataclasses.replace(sample_report(), rows=(bad,))
    assert r"a\|b \*c\* \[red\]d\[/red\]" in to_markdown(report)
    assert "[red]d[/red]" in to_text(report)
    assert "x_y" in to_markdown(report)


def test_names_of_the_baselines_are_exact():
    report = sample_report()
    other = dataclasses.replace(report.rows[1], method=CONVENTIONAL + ", half as wide")
    assert dataclasses.replace(report, rows=(other,)).best_dense is None
    assert report.best_dense is not None
    assert report.best_dense.kernel == BEST_DENSE
