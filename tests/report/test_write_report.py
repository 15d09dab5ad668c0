from __future__ import annotations

import dataclasses
import html.parser
import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from report_samples import reports, sample_report

from ostinato.report import Report, ReportError, TilePicture, to_html, write_report
from ostinato.report.cells import main_table

TILES = TilePicture(
    image=np.full((16, 16, 3), 90, np.uint8), ids=[np.arange(196).reshape(14, 14) // 5], kernel=(3, 3),
    redundancy_ratio=0.8, scope="image",
)  # fmt: skip
FILES = {
    "plots/accuracy_latency.png", "plots/latency_by_layer.png", "plots/similar_tiles.png", "report.md", "report.html",
    "report.json",
}  # fmt: skip


class Page(html.parser.HTMLParser):
    """What a page holds: addresses it refers to, the text of its cells, and whether its tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.cells: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open:
            self.cells[-1] += data


def found(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_writes_all_files_and_nothing_else(tmp_path):
    report = sample_report()
    paths = write_report(tmp_path, report, TILES)
    assert {str(path.relative_to(tmp_path)) for path in paths} == FILES == found(tmp_path)
    assert Report.read(tmp_path / "report.json") == report
    for path in (tmp_path / "plots").iterdir():
        image = Image.open(path)
        image.load()
        assert image.format == "PNG"
        assert min(image.size) > 400


def test_the_same_report_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_report(tmp_path / name, sample_report(), TILES)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_writing_again_keeps_the_tiles_and_drops_what_has_no_numbers(tmp_path):
    write_report(tmp_path, sample_report(), TILES)
    page = (tmp_path / "report.html").read_text()
    write_report(tmp_path, sample_report())
    assert (tmp_path / "report.html").read_text() == page
    write_report(tmp_path, dataclasses.replace(sample_report(), rows=()))
    assert found(tmp_path) == FILES - {"plots/accuracy_latency.png", "plots/latency_by_layer.png"}


def test_a_bad_picture_writes_nothing(tmp_path):
    with pytest.raises(ReportError):
        write_report(tmp_path, sample_report(), dataclasses.replace(TILES, kernel=(9, 9)))
    assert found(tmp_path) == set()


def test_a_page_needs_no_network(tmp_path):
    write_report(tmp_path, sample_report(), TILES)
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    written = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert len(written) < len(text) / 4
    assert not re.search(r"https?:|//|@import|url\(|<script|<link|<iframe", written)
    assert len(page.addresses) == 3
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert page.open == []


def test_the_page_has_the_tables_cells():
    report = sample_report()
    cells = Page(to_html(report, {})).cells
    expected = [cell.replace("\n", "") for row in main_table(report).rows for cell in row]
    assert cells[: len(expected)] == expected


@settings(max_examples=40, deadline=None)
@given(reports)
def test_names_cannot_break_the_page(report: Report):
    page = Page(to_html(report, {}))
    assert page.open == []
    assert page.addresses == []
    methods = page.cells[: 14 * len(report.rows) : 14]
    # A line break inside a name becomes an element of its own; all else must be there as it was.
    assert ["".join(text.split()) for text in methods] == ["".join(row.method.split()) for row in report.rows]


def test_plots_are_made_before_anything_is_written(tmp_path, monkeypatch):
    write_report(tmp_path, sample_report(), TILES)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}

    def broken(_report, _pictures):
        raise RuntimeError("no page")

    monkeypatch.setattr("ostinato.report.write.to_html", broken)
    with pytest.raises(RuntimeError, match="no page"):
        write_report(tmp_path, sample_report(seed=3))
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == before
    assert Image.open(io.BytesIO(before["plots/similar_tiles.png"])).format == "PNG"
