"""Tables, plots and the HTML page of a run, from plain data (`Report`) that knows not how it was measured."""

from __future__ import annotations

from ostinato.report.decode import ReportError
from ostinato.report.html import to_html
from ostinato.report.plots import accuracy_latency, latency_by_layer
from ostinato.report.schema import (
    BEST_DENSE,
    CMSIS_STYLE,
    CONVENTIONAL,
    PHASES,
    SCHEMA_VERSION,
    Layer,
    Phases,
    Report,
    Row,
    Spread,
)
from ostinato.report.search_page import write_search_report
from ostinato.report.tables import print_report, to_markdown, to_text
from ostinato.report.tiles import TilePicture, similar_tiles
from ostinato.report.write import write_report

__all__ = [
    "BEST_DENSE",
    "CMSIS_STYLE",
    "CONVENTIONAL",
    "PHASES",
    "SCHEMA_VERSION",
    "Layer",
    "Phases",
    "Report",
    "ReportError",
    "Row",
    "Spread",
    "TilePicture",
    "accuracy_latency",
    "latency_by_layer",
    "print_report",
    "similar_tiles",
    "to_html",
    "to_markdown",
    "to_text",
    "write_report",
    "write_search_report",
]
