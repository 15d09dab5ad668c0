from __future__ import annotations

import dataclasses
import io

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from report_samples import layer, reports, row, sample_report

from ostinato.report import BEST_DENSE, CONVENTIONAL, Report, accuracy_latency, latency_by_layer
from ostinato.report.labels import label_points
from ostinato.report.plots import _bars, _shown_layers
from ostinato.report.style import DPI, PHASE_COLOURS, applied, figure


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def has_colour(image: np.ndarray, colour: str) -> bool:
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((image == rgb).all(axis=2).any())


def test_accuracy_latency_has_its_size_and_points():
    image = pixels(accuracy_latency(sample_report()))
    assert image.shape == (int(5.2 * DPI), int(8.6 * DPI), 3)
    for colour in ("#d55e00", "#0b5fa5", "#4b5563"):  # image scope, compiled scope, conventional
        assert has_colour(image, colour)


def test_plots_are_reproducible():
    report = sample_report()
    assert accuracy_latency(report) == accuracy_latency(report)
    assert latency_by_layer(report) == latency_by_layer(report)


def test_latency_by_layer_shows_every_phase():
    image = pixels(latency_by_layer(sample_report()))
    for colour in PHASE_COLOURS.values():
        assert has_colour(image, colour)


def test_nothing_to_draw_is_none():
    report = dataclasses.replace(sample_report(), rows=())
    assert accuracy_latency(report) is None
    assert latency_by_layer(report) is None
    bare = dataclasses.replace(sample_report().rows[0], layers=(), top1_int8=None)
    report = dataclasses.replace(report, rows=(bare,))
    assert accuracy_latency(report) is None
    assert latency_by_layer(report) is None


def test_many_layers_are_gathered_and_nothing_is_lost():
    layers = [layer(f"fire{i}.expand", "k", None, 1_000_000 + i) for i in range(30)]
    entry = row(CONVENTIONAL, None, BEST_DENSE, layers)
    report = dataclasses.replace(sample_report(), rows=(entry,))
    names, others = _shown_layers(report.rows)
    assert len(names) + others == 30
    assert names == [f"fire{i}.expand" for i in range(others, 30)]
    bars = _bars(report, entry, names, others)
    assert sum(bar.phases.total for bar in bars) == sum(entry.cycles for entry in layers)
    assert latency_by_layer(report)


@pytest.mark.filterwarnings("ignore:Glyph")
@settings(max_examples=6, deadline=None)
@given(reports)
def test_any_report_can_be_drawn(report: Report):
    for png in (accuracy_latency(report), latency_by_layer(report)):
        assert png is None or pixels(png).size


def test_a_dollar_sign_is_no_formula():
    odd = row("costs $ or \\frac{", None, "k", [layer("$x_$", "k", None, 10_000)])
    report = dataclasses.replace(sample_report(), rows=(odd,))
    assert accuracy_latency(report)
    assert latency_by_layer(report)


def test_the_callers_matplotlib_stays_as_it_was():
    before = dict(matplotlib.rcParams)
    accuracy_latency(sample_report())
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("count", [1, 6])
def test_labels_do_not_cover_each_other(count):
    with applied():
        made = figure(8, 5)
        axes = made.add_subplot()
        axes.set_xlim(0, 10)
        axes.set_ylim(0, 10)
        points = [(5.0, 2.0 + index) for index in range(count)]
        labels = label_points(axes, points, ["two\nlines"] * count, ["black"] * count)
        # A text's own box, without the leader line.
        boxes = [matplotlib.text.Text.get_window_extent(label) for label in labels]
    for index, box in enumerate(boxes):
        assert axes.bbox.contains(box.x0, box.y0)
        assert axes.bbox.contains(box.x1, box.y1)
        assert not any(box.overlaps(other) for other in boxes[:index])
