"""Fully connected layers in compiled scope: convolutions with the whole map as their kernel, to firmware."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ostinato as ost
from ostinato.errors import ConversionError, ModelError, UnsupportedError
from ostinato.nn import ReuseLinear, calibrate, convert, measure_reuse, revert
from ostinato.quant import dequantize, outputs, quantize
from ostinato.quant.accuracy import quantize_input
from ostinato.quant.ops import QReuseCompiled
from ostinato.reuse import Pattern
from ostinato.training import compile_tables

MAP = Pattern.compiled(8, 4)
VECTOR = Pattern.compiled(4, 3)


class Network(nn.Module):
    """As CifarNet: a flattened map, two linear layers, a batch normalisation between."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 16, 3)
        self.fc1 = nn.Linear(16 * 3 * 3, 24)
        self.norm = nn.BatchNorm1d(24)
        self.fc2 = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.conv(x)), 2)
        x = torch.relu(self.norm(self.fc1(nn.functional.dropout(x.flatten(1), 0.5, self.training))))
        return self.fc2(x)


def images(count: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 3, 3, generator=generator)
    return nn.functional.interpolate(coarse, (8, 8), mode="bilinear").clamp(-1, 127 / 128)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    model = Network()
    with torch.no_grad():
        for _ in range(20):
            model(images(64))
    return model.eval()


@pytest.fixture(scope="module")
def compiled(network) -> nn.Module:
    return compile_tables(network, images(800), {"fc1": MAP, "fc2": VECTOR}, group=False, metric="outputs").eval()


def test_it_is_the_linear_layer_of_quantised_inputs(compiled) -> None:
    layer = compiled.fc1
    x = torch.rand(7, 144)
    maps = x.view(7, 16, 3, 3).permute(0, 2, 3, 1).reshape(7, 9, 2, 8)  # pixels, blocks of channels
    ids = layer.cluster_ids(layer.as_image(x)).view(7, 9, 2)
    quantised = layer.centroids[torch.arange(2), ids].reshape(7, 3, 3, 16).permute(0, 3, 1, 2).flatten(1)
    assert quantised.shape == x.shape
    assert maps.shape[-1] == layer.pattern.length
    expected = nn.functional.linear(quantised, layer.weight.flatten(1), layer.bias)
    torch.testing.assert_close(layer(x), expected)


def test_geometry_is_the_flattened_maps(compiled) -> None:
    assert isinstance(compiled.fc1, ReuseLinear)
    assert (compiled.fc1.geometry.in_channels, compiled.fc1.geometry.kernel_size) == (16, (3, 3))
    assert (compiled.fc2.geometry.in_channels, compiled.fc2.geometry.kernel_size) == (24, (1, 1))


def test_finer_tables_come_nearer_to_the_conventional_layer(network, compiled) -> None:
    x = images(40, seed=9)
    fine = compile_tables(network, images(800), {"fc1": Pattern.compiled(2, 8, init="pca")}, group=False).eval()

    def error(model: nn.Module) -> float:
        return float((model(x) - network(x)).square().mean() / network(x).var())

    with torch.no_grad(), measure_reuse(compiled) as stats:
        assert error(fine) < 0.05 < error(compiled) < 0.5
    assert stats["fc1"].vectors == 40 * 9 * 2


def test_few_images_leave_the_weights_alone(network) -> None:
    few = compile_tables(network, images(100), {"fc1": MAP}, group=False)
    torch.testing.assert_close(few.fc1.weight.flatten(1), network.fc1.weight)


def test_revert_gives_linear_layers_back(network) -> None:
    back = revert(convert(network, {"fc1": MAP, "fc2": VECTOR}, example_input=images(1)))
    assert type(back.fc1) is nn.Linear
    torch.testing.assert_close(back(images(4)), network(images(4)))


def test_it_trains(compiled) -> None:
    model = deepcopy(compiled).train()
    model(images(32)).square().sum().backward()
    assert model.fc1.weight.grad.abs().sum() > 0
    assert model.conv.weight.grad.abs().sum() > 0


def test_integers_and_firmware(compiled) -> None:
    graph = quantize(compiled, images(64, seed=2), input_scale=1 / 128)
    first, second = graph.op("fc1"), graph.op("fc2")
    assert isinstance(first, QReuseCompiled)
    assert isinstance(second, QReuseCompiled)
    assert first.dims.kernel == (3, 3)
    assert second.dims.input == (1, 1, 24)
    x = images(16, seed=4)
    with torch.no_grad():
        real = compiled(x).numpy()
    made = dequantize(outputs(graph, x), graph.output)
    assert np.square(made - real).mean() < 0.02 * real.var()
    firmware = ost.deploy(compiled, images(64, seed=2), input_scale=1 / 128, verify_images=2)
    assert firmware.verification.agrees
    assert firmware.simulate().layers[-1].phases["recovering"] > 0
    np.testing.assert_array_equal(quantize_input(x, graph.input).shape, (16, 8, 8, 3))


def test_what_cannot_be_is_refused(network) -> None:
    with pytest.raises(ConversionError, match=r"'fc1' is fully connected .* within scope 'image'"):
        convert(network, {"fc1": replace(Pattern(8, 3), scope="image")})
    with pytest.raises(ConversionError, match="'fc1' is fully connected; a stem"):
        convert(network, {"fc1": ost.StemPattern(10, 6)})
    with pytest.raises(ModelError, match=r"'fc2' takes \(N, 24\) inputs"):
        convert(network, {"fc2": VECTOR}).fc2(torch.zeros(2, 23))
    without = calibrate(convert(network, {"fc1": MAP}), images(64)).eval()  # nobody said what it flattens
    with pytest.raises(UnsupportedError, match=r"flattened 3×3 map is read by 'fc1'.*example_input"):
        quantize(without, images(4))
