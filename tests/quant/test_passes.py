"""Passes over the float graph change nothing in exact arithmetic."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quant_helpers import convolutional, images, reused, settle
from torch import nn

from ostinato.errors import UnsupportedError
from ostinato.quant.evaluate import run
from ostinato.quant.frontend import from_module
from ostinato.quant.graph import Clamp, FloatBatchNorm, FloatFlatten, FloatLinear, WeightedOp
from ostinato.quant.passes import channels_last, fold_batch_norm, fuse_activations, prepare
from ostinato.reuse import Pattern

bounds = st.sampled_from([-float("inf"), -1.0, 0.0, 1.0, 6.0, float("inf")])
clamps = st.tuples(bounds, bounds).filter(lambda b: b[0] < b[1]).map(lambda b: Clamp(*b))


@given(clamps, clamps, st.floats(-10, 10))
def test_clamps_compose(first: Clamp, second: Clamp, x: float) -> None:
    both = first.then(second)
    assert min(max(x, both.low), both.high) == min(max(min(max(x, first.low), first.high), second.low), second.high)


def assert_same(model: nn.Module, one_pass) -> None:
    model, x = model.double(), images(4, seed=5).double()
    before = from_module(model, x[:1])
    after = one_pass(before)
    expected = run(before, x)[before.output]
    assert torch.allclose(run(after, x)[after.output], expected, rtol=1e-10, atol=1e-10)


def test_batch_norm_folds_into_convolution_and_linear() -> None:
    model = settle(nn.Sequential(
        nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(500, 6),
        nn.BatchNorm1d(6, affine=False), nn.BatchNorm1d(6),
    ))  # fmt: skip
    assert_same(model, fold_batch_norm)
    graph = fold_batch_norm(from_module(model, images(1).double()))
    assert not any(isinstance(op, FloatBatchNorm) for op in graph.ops)


@pytest.mark.parametrize("scope", ["image", "compiled"])
def test_batch_norm_folds_into_reuse(scope: str) -> None:
    assert_same(reused(Pattern(8, 4, scope=scope, init="pca")), fold_batch_norm)


def test_all_passes_together() -> None:
    model = settle(nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.MaxPool2d(2), nn.ReLU6(), nn.AvgPool2d(2), nn.ReLU(), nn.Dropout(),
        nn.Flatten(), nn.Flatten(), nn.Linear(32, 9), nn.ReLU(), nn.Linear(9, 4),
    ))  # fmt: skip
    assert_same(model, prepare)
    graph = prepare(from_module(model, images(1).double()))
    assert [op.name for op in graph.ops] == ["0", "2", "4", "7", "9", "11"]


def test_activations_become_clamps() -> None:
    graph = fuse_activations(fold_batch_norm(from_module(convolutional(), images(1))))
    clamps_found = [op.clamp for op in graph.ops if isinstance(op, WeightedOp)]
    assert clamps_found == [Clamp(0.0), Clamp(0.0), Clamp()]


def test_flatten_permutes_the_linear_layer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(400, 5))
    assert_same(model, channels_last)
    graph = channels_last(from_module(model, images(1).double()))
    flatten, linear = graph.ops[1], graph.ops[2]
    assert isinstance(flatten, FloatFlatten)
    assert flatten.channels_last
    assert isinstance(linear, FloatLinear)
    # Column of (h, w, c) = (2, 3, 1) in firmware is column (c, h, w) in torch.
    assert torch.equal(linear.weight[:, (2 * 10 + 3) * 4 + 1], model[2].weight[:, (1 * 10 + 2) * 10 + 3])


REFUSED = {
    r"layer '0': this batch norm .* \(its input is the network's input\)": lambda: nn.Sequential(nn.BatchNorm2d(3)),
    r"layer '2': this batch norm .* \(its input is '1'\)":
        lambda: nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.BatchNorm2d(3)),
    r"layer '0': this activation does not follow a convolution": lambda: nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 3)),
    r"layer '2': an activation after average pooling":
        lambda: nn.Sequential(nn.Conv2d(3, 3, 3), nn.AvgPool2d(2), nn.ReLU()),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_folded_is_refused(message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        prepare(from_module(REFUSED[message](), images(1)))


def test_a_flattened_map_must_go_to_a_linear_layer() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(288, 3))
    graph = from_module(model, images(1))
    headless = type(graph)(graph.input_shape, graph.ops[:2], graph.ops[1].name)
    with pytest.raises(UnsupportedError, match=r"layer '1': a flattened 12×12 map is read by nothing"):
        channels_last(headless)
