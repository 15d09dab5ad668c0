"""Labels beside points that do not cover each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import matplotlib.patheffects as effects
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from ostinato.report.style import DPI, PAPER

_Horizontal = Literal["left", "center", "right"]
_Vertical = Literal["top", "center", "bottom"]

_GAP = 9.0  # points between a marker and its label
_PLACES: tuple[tuple[float, float, _Horizontal, _Vertical], ...] = (
    (1, 0, "left", "center"),
    (-1, 0, "right", "center"),
    (0.7, 0.7, "left", "bottom"),
    (0.7, -0.7, "left", "top"),
    (-0.7, 0.7, "right", "bottom"),
    (-0.7, -0.7, "right", "top"),
    (0, 1, "center", "bottom"),
    (0, -1, "center", "top"),
)
"""Where a label may stand: direction from the point, and the label's own alignment, best first."""


def label_points(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    colours: Sequence[str],
    verticals: Sequence[float] = (),
) -> list[Annotation]:
    """Write each text beside its point (data coordinates), in the first free place; limits must be final.

    Greedy: each label in turn takes the place, near before far, that overlaps least with labels already there, with
    all markers, with vertical lines at `verticals`, and with what lies outside the axes.
    """
    centres = [axes.transData.transform(point) for point in points]
    reach = 6.0 * DPI / 72
    taken = [Bbox.from_extents(x - reach, y - reach, x + reach, y + reach) for x, y in centres]
    for x in verticals:
        (position, _) = axes.transData.transform((x, points[0][1]))
        taken.append(Bbox.from_extents(position - reach / 2, axes.bbox.y0, position + reach / 2, axes.bbox.y1))
    placed: list[Annotation] = []
    for point, text, colour in zip(points, texts, colours, strict=True):
        label = axes.annotate(
            text, point, xytext=(0, 0), textcoords="offset points", color=colour, fontsize=9, linespacing=1.35,
            path_effects=[effects.withStroke(linewidth=3, foreground=PAPER)],
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.5, "shrinkA": 1, "shrinkB": 4},
        )  # fmt: skip
        best: tuple[float, int] | None = None
        trials = [(far, place) for far in (1.0, 2.5, 5.0) for place in _PLACES]
        boxes: list[Bbox] = []
        for index, (far, place) in enumerate(trials):
            _move(label, far, place)
            label.get_window_extent()  # moves the text to its place; counts the leader line too, so
            box = Text.get_window_extent(label)
            boxes.append(box)
            cost = sum(_overlap(box, other) for other in taken) + 4 * _outside(box, axes.bbox)
            if best is None or cost < best[0] - 1.0:
                best = (cost, index)
        assert best is not None
        _move(label, *trials[best[1]])
        taken.append(boxes[best[1]])
        placed.append(label)
    return placed


def _move(label: Annotation, far: float, place: tuple[float, float, _Horizontal, _Vertical]) -> None:
    dx, dy, horizontal, vertical = place
    label.set_position((dx * _GAP * far, dy * _GAP * far))
    label.set_horizontalalignment(horizontal)
    label.set_verticalalignment(vertical)
    if label.arrow_patch is not None:
        label.arrow_patch.set_visible(far > 1.0)  # a leader line only where the label is not beside its point


def _overlap(a: Bbox, b: Bbox) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return width * height if width > 0 and height > 0 else 0.0


def _outside(box: Bbox, frame: Bbox) -> float:
    return box.width * box.height - _overlap(box, frame)
