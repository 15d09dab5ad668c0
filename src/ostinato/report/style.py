"""One look for all plots: colours that colour-blind readers can tell apart, quiet axes, PNG without a display."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ostinato.report.schema import Report

INK = "#22272e"
MUTED = "#6b7280"
RULE = "#d5d9df"
PAPER = "#ffffff"

PHASE_COLOURS = {
    "transformation": "#56b4e9",
    "clustering": "#e69f00",
    "gemm": "#0b5fa5",
    "recovering": "#009e73",
    "other": "#b4b9c1",
}
"""Okabe and Ito's palette, grey for what is no phase of GR Table 3."""

SCOPE_COLOURS = {
    None: "#4b5563",
    "image": "#d55e00",
    "batch": "#a6588a",
    "across_batches": "#7a6a00",
    "compiled": "#0b5fa5",
}

CLUSTER_COLOURS = ("#0b5fa5", "#e69f00", "#009e73", "#cc5a8a", "#56b4e9", "#d55e00", "#8a6fc4", "#b5a52a")
"""For the largest clusters of an image, in order of size."""

DPI = 160

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "text.color": INK,
    "text.parse_math": False,  # a name may hold a dollar sign
    "axes.labelcolor": INK,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.axisbelow": True,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "grid.color": "#eceef1",
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
}


@contextmanager
def applied() -> Iterator[None]:
    """Within it, figures are made and drawn in this style; nothing of the caller's matplotlib changes."""
    with matplotlib.rc_context(_RC):
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, drawn by Agg: no display, and none of pyplot's global state."""
    made = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(made)
    return made


def headline(made: Figure, title: str, subtitle: str) -> None:
    """A title at the upper left, what it is about below in grey."""
    height = made.get_figheight()
    made.text(0.18 / made.get_figwidth(), 1 - 0.16 / height, title, fontsize=13, fontweight="bold", va="top")
    made.text(0.18 / made.get_figwidth(), 1 - 0.44 / height, subtitle, fontsize=9, color=MUTED, va="top")


def subject(report: Report) -> str:
    """Network, data, board, and what the milliseconds are."""
    clock = f", {report.clock_hz / 1e6:g} MHz" if report.clock_hz else ""
    return f"{report.network} on {report.data} · {report.board}{clock} · cycles are modelled · one image"


def bare(axes: Axes) -> None:
    """No ticks, no frame: for pictures."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def png(made: Figure) -> bytes:
    """The figure as PNG; equal figures give equal bytes."""
    file = io.BytesIO()
    made.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()
