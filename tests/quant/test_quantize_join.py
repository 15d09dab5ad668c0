"""Networks that are not chains: sums and concatenations from the module to the integers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quant_helpers import decibels, images, settle
from torch import Tensor, nn
from torch.nn import functional as F

import ostinato.nn as onn
from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.models import create
from ostinato.quant import QGraph, QTensor, dequantize, outputs, quantize, quantize_input
from ostinato.quant.calibrate import calibrate
from ostinato.quant.evaluate import run
from ostinato.quant.frontend import from_module
from ostinato.quant.graph import Clamp, FloatAdd
from ostinato.quant.ops import QAdd, QConcat
from ostinato.quant.passes import prepare
from ostinato.quant.quantize_join import quantize_add
from ostinato.quant.reference import execute, execute_op
from ostinato.reuse import Pattern

ReLU = nn.ReLU


class Branches(nn.Module):
    """Three convolutions of one stem, joined by the given function of (stem, a, b, c)."""

    def __init__(self, join, signed: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), ReLU())
        self.a = nn.Sequential(nn.Conv2d(8, 8, 1), ReLU())
        self.b = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.Identity() if signed else ReLU())
        self.c = nn.Conv2d(8, 8, 1)
        self.head = nn.LazyConv2d(6, 1)
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        return self.head(self.join(stem, self.a(stem), self.b(stem), self.c(stem)))


def changed(x: Tensor) -> Tensor:
    F.relu_(x)
    return F.max_pool2d(x, 1)


def copied(x: Tensor) -> Tensor:
    before = x.clone()
    return F.relu_(x) + before


JOINS = {
    "sum": lambda s, a, b, c: a + b + c,
    "residual": lambda s, a, b, c: F.relu(c + s) + a + F.relu6(b + c),
    "in place": lambda s, a, b, c: F.relu_(c.add_(s)) + (a + b),
    "changed in place, then read": lambda s, a, b, c: changed(c) + c + a + b,
    "twice itself": lambda s, a, b, c: a + a + (b + c),
    "concat": lambda s, a, b, c: torch.cat([a, b, c], 1),
    "concat of a pooled value": lambda s, a, b, c: torch.cat(
        [F.max_pool2d(a, 3, 1, 1), b, F.avg_pool2d(c, 1)], 1
    ),
    "dense": lambda s, a, b, c: torch.cat([torch.cat([s, a], 1) , torch.cat([torch.cat([s, b], -3), c], 1)], 1),
    "pooled concat": lambda s, a, b, c: F.max_pool2d(torch.cat([a, b + c], 1), 2),
    "positive concat": lambda s, a, b, c: torch.cat([a, b, F.relu(c + s)], 1),
    "one part": lambda s, a, b, c: torch.concat([a + b + c], 1),
}  # fmt: skip


def branches(name: str, signed: bool = False) -> nn.Module:
    torch.manual_seed(0)
    model = Branches(JOINS[name], signed)
    model(images(1))  # the head's channels
    return settle(model)


def test_a_copy_is_not_changed_in_place() -> None:
    torch.manual_seed(0)
    model = Branches(lambda s, a, b, c: copied(c) + a + b)
    model(images(1))
    model, x = model.double().eval(), images(3).double()
    graph = from_module(model, x[:1])
    with torch.no_grad():
        assert torch.allclose(run(graph, x)[graph.output], model(x), atol=1e-10)
    with pytest.raises(UnsupportedError, match=r"layer 'relu': .* a sum that only it reads"):
        prepare(graph)


@pytest.mark.parametrize("name", JOINS)
def test_the_graph_and_its_passes_compute_what_the_module_does(name: str) -> None:
    model, x = branches(name).double(), images(3).double()
    graph = from_module(model, x[:1])
    with torch.no_grad():
        expected = model(x)
    for each in (graph, prepare(graph)):
        assert torch.allclose(run(each, x)[each.output].reshape(expected.shape), expected, atol=1e-10)


def map_fidelity(model: nn.Module, graph: QGraph, x: Tensor) -> float:
    """Signal-to-noise ratio of what differs between images: a constant error would hide in the size of the mean."""
    with torch.no_grad():
        real = model(x).double().numpy()
    made = dequantize(outputs(graph, x), graph.output).transpose(0, 3, 1, 2)
    return decibels(real - real.mean(0), made - real.mean(0))


@pytest.mark.parametrize("name", JOINS)
@pytest.mark.parametrize("signed", [False, True])
def test_integer_networks_are_close_to_float(name: str, signed: bool) -> None:
    model = branches(name, signed)
    assert map_fidelity(model, quantize(model, images(32, seed=3)), images(16, seed=7)) > 20


def test_a_relu_behind_a_sum_is_the_sums() -> None:
    graph = prepare(from_module(branches("residual"), images(1)))
    sums = [op.clamp for op in graph.ops if isinstance(op, FloatAdd)]
    assert sorted((c.low, c.high) for c in sums) == [(-math.inf, math.inf)] * 2 + [(0, 6), (0, math.inf)]


@pytest.mark.parametrize("method", ["minmax", "mse", "percentile"])
@pytest.mark.parametrize("name", ["concat", "concat of a pooled value", "dense", "pooled concat"])
def test_what_is_concatenated_shares_its_scale(name: str, method: str) -> None:
    graph = quantize(branches(name, signed=True), images(16), method=method)
    joins = [op for op in graph.ops if isinstance(op, QConcat)]
    assert joins
    for op in joins:
        assert {(part.scale, part.zero_point) for part in op.parts} == {(op.output.scale, op.output.zero_point)}
    values = execute(graph, np.zeros(graph.input.shape, np.int8))
    for op in joins:
        assert np.array_equal(values[op.output.name], np.concatenate([values[p.name] for p in op.parts], -1))
    if name == "dense":  # a value in two concatenations ties them
        assert len({op.output.scale for op in joins}) == 1


def test_the_shared_range_covers_all_parts() -> None:
    graph, x = prepare(from_module(branches("concat", signed=True), images(1))), images(20, seed=4)
    ranges, values = calibrate(graph, x, "minmax").ranges, run(graph, x)
    parts = [torch.as_tensor(values[name]) for name in ("a.0", "b.0", "c")]
    assert {ranges[name] for name in ("a.0", "b.0", "c", "cat")} == {ranges["cat"]}
    assert ranges["cat"].low == pytest.approx(min(float(v.min()) for v in parts))
    assert ranges["cat"].high == pytest.approx(max(float(v.max()) for v in parts))


def test_a_concatenation_with_the_input_is_refused() -> None:
    class WithInput(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([F.max_pool2d(x, 1), self.conv(x)], 1)

    with pytest.raises(UnsupportedError, match=r"layer 'cat': a concatenation with the network's input"):
        quantize(WithInput(), images(4))


def test_an_activation_behind_a_concatenation_is_refused() -> None:
    torch.manual_seed(0)
    model = Branches(lambda s, a, b, c: F.relu(torch.cat([a, b, c], 1)))
    model(images(1))
    with pytest.raises(UnsupportedError, match=r"layer 'relu': this activation does not follow a convolution"):
        quantize(model.eval(), images(4))


scales = st.floats(1e-4, 1.0)


@given(scales, scales, scales, st.integers(-128, 127), st.integers(-128, 127), st.integers(-128, 127), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_sum_is_within_a_rounding_of_the_real_one(s0, s1, s2, z0, z1, z2, relu) -> None:
    """For all pairs of some values, against float64 arithmetic on the dequantised terms."""
    first, second, target = QTensor("a", (64,), s0, z0), QTensor("b", (64,), s1, z1), QTensor("y", (64,), s2, z2)
    join = FloatAdd(name="sum", sources=("a", "b"), shape=(64,), clamp=Clamp(0.0) if relu else Clamp())
    op = quantize_add(join, first, second, target)
    a, b = (g.astype(np.int8).ravel() for g in np.meshgrid(np.linspace(-128, 127, 8), np.linspace(-128, 127, 8)))
    made = execute_op(op, a, b).astype(float)
    real = (dequantize(a, first) + dequantize(b, second)) / s2 + z2
    low = max(-128, z2) if relu else -128
    slack = 2 * 255 * 2.0 ** -(op.fraction_bits + 1)
    assert (np.abs(made - np.clip(real, low, 127)) <= 0.5 + slack + 1e-9).all()
    assert op.fraction_bits == 14 or max(s0, s1) >= 2 * s2 * (1 - 1e-4)


def test_the_bits_of_a_sum_by_hand() -> None:
    a, b, y = QTensor("a", (3,), 1.0, 0), QTensor("b", (3,), 1.0, 0), QTensor("y", (3,), 1.0, 0)
    op = QAdd(
        name="s", output=y, terms=(a, b), multipliers=(3, 5), offset=-1 + 4, fraction_bits=3, activation_min=-10,
        activation_max=9,
    )  # fmt: skip
    terms = [np.array(v, np.int8) for v in ([1, -128, 7], [2, 0, 100])]
    # (3 + 10 + 3) / 8, (−384 + 3) / 8 and (21 + 500 + 3) / 8, rounded down and limited
    assert execute_op(op, *terms).tolist() == [2, -10, 9]


def test_a_term_far_larger_than_the_sum_is_refused() -> None:
    a, y = QTensor("a", (1,), 1.0, 0), QTensor("y", (1,), 1e-6, 0)
    with pytest.raises(QuantizationError, match=r"layer 'sum': a term's scale is 1e\+06 times the sum's"):
        quantize_add(FloatAdd(name="sum", sources=("a", "a"), shape=(1,)), a, a, y)


def test_two_reuse_layers_of_one_input_each_keep_their_statistics() -> None:
    pattern = Pattern(8, 3, scope="compiled", sharing="block")
    model = onn.convert(branches("positive concat"), {"a.0": pattern, "b.0": pattern})
    model = onn.calibrate(model, images(32, seed=3)).eval()
    graph = prepare(from_module(model, images(1)))
    found = calibrate(graph, images(8)).reuse
    assert set(found) == {"a.0", "b.0"}
    assert found["a.0"].ids.shape[1] == 1
    assert found["b.0"].ids.shape[1] == 9
    assert map_fidelity(model, quantize(model, images(32, seed=3)), images(8, seed=5)) > 15


def test_a_reuse_layer_whose_relu_would_be_lost_is_refused() -> None:
    """Concatenated with a signed map its zero point is not −128, so that saturation is no ReLU."""
    model = onn.convert(branches("concat"), {"a.0": Pattern(8, 3, scope="compiled", sharing="block")})
    model = onn.calibrate(model, images(32, seed=3)).eval()
    with pytest.raises(QuantizationError, match=r"layer 'a\.0': its activation limits outputs to -?\d+ … 127 of"):
        quantize(model, images(16))


def standardised(model: nn.Module, side: int) -> nn.Module:
    """Statistics of one batch, exactly: in a deep network outdated ones let all signals die out."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(images(32, side=side, seed=10))
    return model.eval()


@pytest.mark.parametrize(
    ("name", "kwargs", "side"),
    [
        ("squeezenet", {"bypass": "none"}, 16),
        ("squeezenet", {"bypass": "complex"}, 16),
        ("resnet18", {"width": 0.25}, 64),
    ],
)
def test_no_layer_of_the_papers_networks_loses_more_than_its_own_rounding(name: str, kwargs: dict, side: int) -> None:
    """Signal-to-noise ratio after each layer against that of its inputs.

    Random weights amplify noise from layer to layer, so that the logits say little; a wrong scale, order or zero point
    at one layer would cost tens of decibels there.
    """
    torch.manual_seed(0)
    model = standardised(create(name, **kwargs, image_size=side), side)
    graph = quantize(model, images(16, side=side, seed=3), input_scale=1 / 128)
    x = images(4, side=side, seed=7)
    exact = run(prepare(from_module(model, x[:1])), x)
    made = [execute(graph, image) for image in quantize_input(x, graph.input)]
    ratios = {graph.input.name: 40.0}
    for op in graph.ops:
        real = exact[op.name].double().numpy()
        real = real.transpose(0, 2, 3, 1) if real.ndim == 4 else real
        mine = np.stack([dequantize(values[op.name], op.output) for values in made]).reshape(real.shape)
        ratios[op.name] = decibels(real - real.mean(0), mine - real.mean(0))
        assert ratios[op.name] > min(ratios[source.name] for source in op.inputs) - 7, op.name
    assert ratios[graph.output.name] > 6
