"""Tables, plots and the HTML page of a run, from plain data (`Report`); the last room before the command line."""

from __future__ import annotations

from ostinato.report.decode import ReportError
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
]
