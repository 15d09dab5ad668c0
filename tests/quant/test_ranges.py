"""Ranges, their scales, and what calibration observes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quant_helpers import convolutional, images, reused
from torch import nn

from ostinato.errors import DataError, ModelError, QuantizationError
from ostinato.quant.calibrate import calibrate, observed_at
from ostinato.quant.evaluate import run
from ostinato.quant.frontend import from_module
from ostinato.quant.graph import INPUT
from ostinato.quant.passes import prepare
from ostinato.quant.ranges import METHODS, Observer, Range
from ostinato.reuse import Pattern

reals = st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-6)


@given(reals, reals)
def test_int8_covers_the_range_and_zero_is_exact(a: float, b: float) -> None:
    low, high = min(a, b, 0.0), max(a, b, 0.0)
    scale, zero = Range(min(a, b), max(a, b)).parameters()
    assert -128 <= zero <= 127
    assert scale > 0
    # Rounding the zero point shifts the ends by at most half a step.
    assert scale * (-128 - zero) <= low + 0.5001 * scale
    assert scale * (127 - zero) >= high - 0.5001 * scale


@given(st.floats(1e-6, 1e6))
def test_after_relu_the_zero_point_is_exactly_minus_128(high: float) -> None:
    assert Range(0.0, high).parameters() == (high / 255.0, -128)
    assert Range(0.1 * high, high).parameters()[1] == -128


def test_a_range_of_zeros_has_a_scale() -> None:
    assert Range(0.0, 0.0).parameters() == (1.0, -128)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_ranges_are_finite(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Range(0.0, bad)


def observer_of(values: torch.Tensor, batches: int = 1) -> Observer:
    observer = Observer(batches)
    for part in values.chunk(batches):
        observer.see(part)
    return observer


def squared_error(values: torch.Tensor, found: Range) -> float:
    scale, zero = found.parameters()
    made = ((values / scale).round() + zero).clamp(-128, 127).sub(zero) * scale
    return float((made - values).square().mean())


def test_methods_see_outliers_differently() -> None:
    torch.manual_seed(0)
    values = torch.randn(100_000).relu()
    values[5] = 50.0
    found = {name: METHODS[name](observer_of(values, 4)) for name in METHODS}
    assert found["minmax"] == Range(0.0, 50.0)
    assert found["percentile"].high < 5.0
    assert found["percentile"].low == found["mse"].low == 0.0
    errors = {name: squared_error(values, one) for name, one in found.items()}
    assert errors["mse"] < errors["minmax"]


def test_thinned_samples_keep_exact_extremes() -> None:
    values = torch.linspace(-3, 5, 3_000_001)
    observer = observer_of(values, 3)
    assert (observer.low, observer.high) == (-3.0, 5.0)
    assert len(observer.sample) <= 1 << 19
    assert float(observer.sample.mean()) == pytest.approx(1.0, abs=0.01)


def test_pooling_decides_the_range_of_what_it_pools() -> None:
    graph = prepare(from_module(convolutional(), images(1)))
    assert observed_at(graph, "3") == "6"
    assert observed_at(graph, "0") == "0"
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 2, 3))
    graph = prepare(from_module(model, images(1)))
    assert observed_at(graph, "0") == "0"


def test_every_layer_with_a_scale_has_the_range_of_its_values() -> None:
    graph, x = prepare(from_module(convolutional(), images(1))), images(20, seed=4)
    ranges = calibrate(graph, x, "minmax").ranges
    assert set(ranges) == {INPUT, "0", "3", "8"}
    values = run(graph, x)
    assert ranges["0"].high == pytest.approx(float(values["0"].max()))
    assert ranges["3"].high == pytest.approx(float(values["6"].max()))
    assert ranges["8"].low == pytest.approx(min(0.0, float(values["8"].min())))


def test_relu6_limits_the_range() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6())
    with torch.no_grad():
        model[0].weight.mul_(100)
    ranges = calibrate(prepare(from_module(model, images(1))), images(8), "minmax").ranges
    assert ranges["0"] == Range(0.0, 6.0)


def test_image_scope_notes_the_largest_partial_sum() -> None:
    graph = prepare(from_module(reused(Pattern(16, 4, init="pca")), images(1)))
    found = calibrate(graph, images(8)).reuse["3"]
    final = graph.op("3")
    assert found.peak >= float(run(graph, images(8))["3"].max()) - 1e-5
    assert final.name == found.op.name


@pytest.mark.parametrize("sharing", ["slice", "block"])
def test_compiled_scope_notes_ids_that_rebuild_the_output(sharing: str) -> None:
    graph = prepare(from_module(reused(Pattern(8, 3, scope="compiled", sharing=sharing, init="pca")), images(1)))
    x = images(2, seed=9)
    found = calibrate(graph, x).reuse["3"]
    layer = graph.op("3")
    assert found.ids.shape == (2 * 144, 18)
    weights = layer.weight.permute(0, 2, 3, 1).reshape(24, 18, 8)
    centroids = layer.centroids[torch.arange(18) % len(layer.centroids)]
    rebuilt = torch.stack(
        [sum(centroids[s, row[s]] @ weights[:, s].T for s in range(18)) + layer.bias for row in found.ids]
    )
    expected = run(graph, x)["3"].permute(0, 2, 3, 1).reshape(-1, 24)
    assert torch.allclose(rebuilt.clamp(min=0).float(), expected, atol=1e-4)


def test_unusable_calibration_is_refused() -> None:
    graph = prepare(from_module(convolutional(), images(1)))
    with pytest.raises(DataError, match=r"shape \(0, 3, 12, 12\); the network needs at least one, \(N, 3, 12, 12\)"):
        calibrate(graph, images(1)[:0])
    with pytest.raises(DataError, match=r"shape \(2, 3, 9, 9\)"):
        calibrate(graph, images(2, side=9))
    with pytest.raises(QuantizationError, match="'best' is not known; known: minmax, percentile, mse"):
        calibrate(graph, images(1), "best")
    broken = images(2)
    broken[1, 0, 3, 3] = math.nan
    with pytest.raises(ModelError, match="the calibration images have NaN or infinite values"):
        calibrate(graph, broken)


def test_overflowing_activations_name_their_layer() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    with torch.no_grad():
        model[0].weight.fill_(1e30)
        model[1].weight.fill_(1e30)
    with pytest.raises(ModelError, match="layer '1': calibration gave NaN or infinite values"):
        calibrate(prepare(from_module(model, images(1))), images(2))
