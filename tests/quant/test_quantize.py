"""Whole networks and single layers: integers stay close to floats, proofs hold, the unprovable is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quant_helpers import convolutional, decibels, fidelity, images, settle
from torch import Tensor, nn

from ostinato.errors import DataError, QuantizationError
from ostinato.quant import QGraph, QTensor, dequantize, outputs, predictions, quantize, quantize_input, top1
from ostinato.quant.graph import Clamp, FloatLinear
from ostinato.quant.ops import QConv2d, QLinear, QMaxPool2d
from ostinato.quant.quantize_dense import activation_limits, dense_parameters, symmetric_weights
from ostinato.quant.reference import execute

NETWORKS = {
    "batch norm, pooling, linear": convolutional,
    "no batch norm, stride, dilation": lambda: nn.Sequential(
        nn.Conv2d(3, 12, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(12, 8, (3, 1), dilation=2), nn.ReLU6(),
        nn.Flatten(), nn.Dropout(), nn.Linear(8 * 2 * 6, 5),
    ),
    "signed activations": lambda: nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.MaxPool2d(2), nn.Conv2d(12, 8, 3), nn.Hardtanh(-0.2, 0.3), nn.Flatten(),
        nn.Linear(72, 4),
    ),
    "padded pooling, averages": lambda: nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Conv2d(16, 7, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    ),
    "a map as output": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 3, bias=False)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", ["minmax", "mse", "percentile"])
def test_integer_networks_are_close_to_float(name: str, method: str) -> None:
    torch.manual_seed(0)
    model = settle(NETWORKS[name]())
    graph = quantize(model, images(32, seed=3), method=method)
    x = images(8, seed=7)
    with torch.no_grad():
        real = model(x).double().numpy()
    made = dequantize(outputs(graph, x), graph.output)
    if made.ndim == 4:
        made = made.transpose(0, 3, 1, 2)
    # Four layers of about 7 effective bits each leave well over 25 dB; a wrong zero point or order leaves under 10.
    assert decibels(real, made.reshape(real.shape)) > 25


def test_one_layer_is_within_its_rounding_errors() -> None:
    """|integer − float| ≤ half an output step + the weights' and input's rounding, summed over the row."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1)).eval()
    x = quantised_images(6)
    graph = quantize(model, x, input_scale=1 / 128, method="minmax")
    (op,) = graph.ops
    assert isinstance(op, QConv2d)
    with torch.no_grad():
        real = model(x).permute(0, 2, 3, 1).double().numpy()
    made = dequantize(outputs(graph, x), graph.output)
    weight_step = np.abs(model[0].weight.detach().numpy()).reshape(6, -1).max(axis=1) / 127
    bound = 0.5 * weight_step * 27 * 1.0 + graph.output.scale  # |x| ≤ 1; the input has no rounding error
    assert (np.abs(real - made) <= bound).all()


def quantised_images(count: int) -> Tensor:
    return (images(count) * 128).round().clamp(-128, 127) / 128


def test_names_shapes_and_sharing_of_scales() -> None:
    graph = quantize(convolutional(), images(16), input_scale=1 / 128, name="net", classes=[str(i) for i in range(10)])
    assert graph.name == "net"
    assert graph.classes == tuple("0123456789")
    assert (graph.input.shape, graph.input.scale, graph.input.zero_point) == ((12, 12, 3), 1 / 128, 0)
    assert [op.name for op in graph.ops] == ["0", "3", "6", "8"]
    assert [type(op) for op in graph.ops] == [QConv2d, QConv2d, QMaxPool2d, QLinear]
    pool = graph.op("6")
    assert (pool.input.scale, pool.input.zero_point) == (pool.output.scale, pool.output.zero_point)
    assert graph.op("8").input is pool.output
    assert graph.output.shape == (10,)
    first = graph.op("0")
    assert isinstance(first, QConv2d)
    assert first.output.zero_point == first.activation_min == -128
    assert first.activation_max == 127
    assert first.weight.shape == (16, 3, 3, 3)
    assert np.abs(first.weight).max() == 127
    assert first.weight.dtype == np.int8
    assert first.bias.dtype == first.multiplier.dtype == first.shift.dtype == np.int32


def test_relu6_is_a_limit_or_the_end_of_the_range() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6()).eval()
    with torch.no_grad():
        model[0].weight.mul_(40)
    graph = quantize(model, images(16), method="minmax")
    values = dequantize(outputs(graph, images(4)), graph.output)
    assert values.min() == 0.0
    assert values.max() == pytest.approx(6.0)


def test_limits_of_a_clamp_inside_the_range() -> None:
    assert activation_limits(Clamp(0.0, 1.0), QTensor("y", (4,), 0.1, -20)) == (-20, -10)
    assert activation_limits(Clamp(), QTensor("y", (4,), 0.1, -20)) == (-128, 127)


def test_softmax_is_noted_in_the_metadata() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(432, 5), nn.Softmax(1)).eval()
    assert "softmax" in quantize(model, images(4)).metadata["notes"]


def test_a_dead_channel_keeps_its_bias() -> None:
    """After BN folding a channel can have weights near zero and a bias: the bias must survive int32."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 1)).eval()
    with torch.no_grad():
        model[0].weight[1] *= 1e-12
        model[0].weight[2] = 0
        model[0].bias[1:3] = torch.tensor([0.7, -0.4])
    graph = quantize(model, images(16))
    first = execute(graph, quantize_input(images(1), graph.input)[0])["0"]
    real = dequantize(first, graph.op("0").output)
    assert np.allclose(real[..., 1], 0.7, atol=graph.op("0").output.scale)
    assert np.allclose(real[..., 2], -0.4, atol=graph.op("0").output.scale)


def test_a_network_of_zeros() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.zero_()
    graph = quantize(model, images(4))
    assert (dequantize(outputs(graph, images(2)), graph.output) == 0).all()


def test_symmetric_weights() -> None:
    weight = np.array([[0.5, -1.0, 0.25], [0.0, 0.0, 0.0]])
    integers, scale = symmetric_weights(weight)
    assert integers.tolist() == [[64, -127, 32], [0, 0, 0]]
    assert scale[0] == 1 / 127
    assert scale[1] > 0
    assert np.abs(integers[0] * scale[0] - weight[0]).max() <= scale[0] / 2


def test_int32_is_proven() -> None:
    ones = torch.ones(1, 70_000, dtype=torch.float64)
    op = FloatLinear(name="wide", input="x", shape=(1,), weight=ones, bias=torch.zeros(1, dtype=torch.float64))
    source, target = QTensor("x", (70_000,), 1.0, -128), QTensor("wide", (1,), 1e6, 0)
    with pytest.raises(QuantizationError, match=r"layer 'wide': sums of output channel 0 can reach .*beyond int32"):
        dense_parameters(op, ones.numpy(), source, target)
    dense_parameters(op, ones.numpy()[:, :60_000], source, target)  # 60,000 · 127 · 255 < 2^31


def test_a_left_shift_counts_in_the_proof() -> None:
    """TFLite shifts left before multiplying: 3,000 · 127 · 255 is safe alone and not times 64."""
    ones = torch.ones(1, 3000, dtype=torch.float64)
    op = FloatLinear(name="fc", input="x", shape=(1,), weight=ones, bias=torch.zeros(1, dtype=torch.float64))
    source = QTensor("x", (3000,), 1.0, -128)
    dense_parameters(op, ones.numpy(), source, QTensor("fc", (1,), 1.0, 0))
    with pytest.raises(QuantizationError, match="layer 'fc'"):
        dense_parameters(op, ones.numpy(), source, QTensor("fc", (1,), 1 / 127 / 33, 0))


ARGUMENTS = {
    r"2 class names are given for a network with 10 outputs": {"classes": ("a", "b")},
    r"input_zero_point is given without input_scale": {"input_zero_point": 0},
    r"input_scale=0 and input_zero_point=0 are not usable": {"input_scale": 0},
    r"input_scale=nan and": {"input_scale": float("nan")},
    r"input_zero_point=200 are not usable": {"input_scale": 0.1, "input_zero_point": 200},
    r"calibration method 'x' is not known": {"method": "x"},
}


@pytest.mark.parametrize("message", ARGUMENTS)
def test_unusable_arguments_are_refused(message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        quantize(convolutional(), images(2), **ARGUMENTS[message])


def test_no_calibration_images_are_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(0, 3, 12, 12\); at least one is needed"):
        quantize(convolutional(), images(1)[:0])


def graph_with_input(scale: float, zero: int) -> QGraph:
    return quantize(convolutional(), images(4), input_scale=scale, input_zero_point=zero)


def test_input_quantisation() -> None:
    graph = graph_with_input(1 / 128, 0)
    x = torch.zeros(1, 3, 12, 12)
    x[0, :, 2, 5] = torch.tensor([0.5, -2.0, 2.0])
    q = quantize_input(x, graph.input)
    assert q.shape == (1, 12, 12, 3)
    assert q.dtype == np.int8
    assert q[0, 2, 5].tolist() == [64, -128, 127]
    assert int(np.abs(q.astype(int)).sum()) == 64 + 128 + 127
    assert quantize_input(x, graph_with_input(0.5, 10).input)[0, 2, 5].tolist() == [11, 6, 14]


def test_unusable_images_are_refused() -> None:
    graph = graph_with_input(1 / 128, 0)
    with pytest.raises(DataError, match=r"shape \(1, 3, 9, 9\); the network's input needs \(N, 3, 12, 12\)"):
        quantize_input(images(1, side=9), graph.input)
    with pytest.raises(DataError, match="NaN or infinite pixels"):
        quantize_input(images(1) * float("nan"), graph.input)


def test_predictions_and_accuracy() -> None:
    model, x = convolutional(), images(16, seed=8)
    graph = quantize(model, images(32, seed=3))
    labels = torch.from_numpy(predictions(graph, x))
    assert top1(graph, x, labels) == 1.0
    labels[:4] = (labels[:4] + 1) % 10
    assert top1(graph, x, labels) == 0.75
    assert fidelity(model, graph, x) > 25


def separable() -> nn.Module:
    """A depthwise separable block and a convolution in groups, with batch norms."""
    torch.manual_seed(0)
    return settle(
        nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
            nn.Conv2d(12, 12, 3, stride=2, padding=1, groups=12, bias=False), nn.BatchNorm2d(12), nn.ReLU6(),
            nn.Conv2d(12, 16, 1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 24, 3, groups=4), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5),
        )
    )  # fmt: skip


def test_convolutions_in_groups() -> None:
    model = separable()
    graph = quantize(model, images(32))
    depthwise, grouped = graph.op("3"), graph.op("9")
    assert isinstance(depthwise, QConv2d)
    assert isinstance(grouped, QConv2d)
    assert (depthwise.groups, depthwise.weight.shape) == (12, (12, 3, 3, 1))
    assert (grouped.groups, grouped.weight.shape) == (4, (24, 3, 3, 4))
    assert fidelity(model, graph, images(16, seed=5)) > 25
