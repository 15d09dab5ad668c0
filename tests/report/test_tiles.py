from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from ostinato.report import ReportError, TilePicture, similar_tiles
from ostinato.report.style import CLUSTER_COLOURS
from ostinato.report.tiles import cluster_colours


def picture(**more) -> TilePicture:
    generator = np.random.default_rng(0)
    fields = {
        "image": generator.integers(0, 256, (32, 32, 3), dtype=np.uint8),
        "ids": [generator.integers(0, 40, (28, 28))],
        "kernel": (5, 5),
        "redundancy_ratio": 0.95,
        "scope": "image",
    }
    return TilePicture(**(fields | more))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"ids": [np.zeros((28, 28), np.int64), np.arange(784).reshape(28, 28)]},
        {"ids": [np.zeros((32, 32), np.uint8)] * 4, "padding": (2, 2), "slices": ("a", "b", "c", "d")},
        {"ids": [np.arange(49, dtype=np.int32).reshape(7, 7) // 3], "kernel": (5, 5), "stride": (4, 4)},
        {"ids": [np.zeros((1, 1), int)], "kernel": (32, 32)},
        {"image": np.zeros((20, 50, 3), np.uint8), "ids": [np.zeros((18, 48), int)], "kernel": (3, 3)},
    ],
)
def test_draws(more):
    shown = picture(**more)
    image = Image.open(io.BytesIO(similar_tiles(shown)))
    assert image.format == "PNG"
    assert image.width > image.height / 2
    assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 10


def test_equal_colours_exactly_where_the_largest_clusters_are():
    ids = np.array([[7, 7, 7, 2], [2, 5, 9, 9]])
    colours = cluster_colours(ids)
    assert np.allclose(colours[ids == 7], to_rgb(CLUSTER_COLOURS[0]))
    assert np.allclose(colours[ids == 2], to_rgb(CLUSTER_COLOURS[1]))
    assert np.allclose(colours[ids == 9], to_rgb(CLUSTER_COLOURS[2]))
    assert np.allclose(colours[ids == 5], 1), "a tile without a like is white"


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_a_cluster_has_one_colour_and_large_ones_have_it_alone(clusters, seed):
    ids = np.random.default_rng(seed).integers(0, clusters, (12, 12))
    colours = cluster_colours(ids)
    named = {to_rgb(colour) for colour in CLUSTER_COLOURS}
    seen = {}
    for value in np.unique(ids):
        own = {tuple(colour) for colour in colours[ids == value]}
        assert len(own) == 1
        (colour,) = own
        if colour in named:
            assert colour not in seen
        seen[colour] = value


def test_a_cell_is_the_step_around_its_tiles_centre():
    shown = picture(ids=[np.zeros((28, 28), int)])
    assert shown.cell(0, 0) == (2, 2, 1, 1)
    padded = picture(ids=[np.zeros((16, 16), int)], kernel=(4, 4), stride=(2, 2), padding=(1, 1))
    assert padded.cell(1, 0) == (0, 2, 2, 2)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"image": np.zeros((32, 32, 3))}, r"image: expected uint8 \(H, W, 3\), found float64 \(32, 32, 3\)"),
        ({"image": np.zeros((32, 32), np.uint8)}, "image: expected uint8"),
        ({"ids": []}, "ids: expected the ids of 1 to 4 slices, found 0"),
        ({"ids": [np.zeros((28, 28))]}, r"ids\[0\]: expected integers"),
        ({"ids": [np.zeros(784, int)]}, r"ids\[0\]: expected integers"),
        ({"ids": [np.zeros((28, 28), int), np.zeros((27, 28), int)]}, r"ids\[1\]: has shape"),
        ({"ids": [np.zeros((29, 28), int)]}, r"ids\[0\]: .* do not lie within"),
        ({"stride": (0, 1)}, "do not lie within"),
        ({"slices": ("a", "b")}, "slices: 2 titles for 1 slices"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(more, message):
    with pytest.raises(ReportError, match=message):
        picture(**more)
