"""Patterns beyond plain vertical reuse, as layers: calibration, checkpoints, float32 against float64."""

import pytest
import torch
from torch import nn

from ostinato.nn import ReuseConv2d, calibrate, measure_reuse
from ostinato.reuse import Pattern

TREE = {"clustering": "tree", "init": "pca", "gradient": "frozen"}
PATTERNS = [
    Pattern(6, 2, "c:3.kw.kh", init="pca", block_rows=2, row_order="b.oh:2.ow:2"),
    Pattern(6, 2, scope="compiled", block_rows=2, row_order="b.ow.oh", **TREE),
    Pattern(6, 2, init="itq", similarity="angular"),
    Pattern(2, 3, "c.kh.kw", direction="horizontal", sharing="layer", block_rows=8, **TREE),
    Pattern(
        1, 3, "kw.kh.c", "batch", "layer", direction="horizontal", block_rows=6, row_order="oh.ow.b", init="median"
    ),
    Pattern(9, 3, clustering="kmeans", gradient="frozen"),
    Pattern(6, 2, clustering="hypercube", gradient="frozen", bins=3),
]


def images(seed=0, batch=6):
    small = torch.randn(batch, 6, 4, 4, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(small, size=(8, 8), mode="bilinear").relu()


def original():
    torch.manual_seed(0)
    return nn.Conv2d(6, 4, 3, padding=1).eval()


def error(layer):
    with torch.no_grad():
        return float((layer(images()) - original()(images())).square().mean())


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_refit_lowers_the_output_error_of_every_pattern(pattern):
    layer = ReuseConv2d.from_conv(original(), pattern, "conv1").eval()
    calibrate(layer, images(), refit=False)
    before = error(layer)
    calibrate(layer, images())
    assert 0 < error(layer) < before


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_checkpoint_holds_all_that_a_pattern_needs(pattern):
    layer = calibrate(ReuseConv2d.from_conv(original(), pattern, "conv1").eval(), images())
    again = ReuseConv2d(layer.geometry, pattern).eval()
    again.load_state_dict(layer.state_dict())
    with torch.no_grad():
        assert torch.equal(again(images(1)), layer(images(1)))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_float32_is_float64_but_for_rounding(pattern):
    layer = calibrate(ReuseConv2d.from_conv(original(), pattern, "conv1").eval(), images())
    with torch.no_grad():
        single = layer(images(1))
        double = layer.double()(images(1).double())
    wrong = ((single - double).abs() > 1e-4).double().mean()  # a bit may flip where a vector lies on a hyperplane
    assert wrong < 0.05


def test_every_pattern_is_measured_in_its_own_blocks():
    vectors = []
    for pattern in PATTERNS[:4]:
        layer = calibrate(ReuseConv2d.from_conv(original(), pattern, "conv1").eval(), images(), refit=False)
        with torch.no_grad(), measure_reuse(layer) as stats:
            layer(images(1))
        vectors.append(stats["(model)"].vectors)
        assert 0 < stats["(model)"].r_t < 1
    # 6 images of 64 pixels, K = 54: halves of 9 slices; the same; 9 slices; 8 panels of 27 blocks.
    assert vectors == [6 * 32 * 9, 6 * 32 * 9, 6 * 64 * 9, 6 * 8 * 27]
