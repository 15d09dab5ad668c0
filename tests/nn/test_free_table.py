"""`table="free"`: rows of a compiled layer's table have offsets of their own, in torch and in the integer firmware."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ostinato.errors import PatternError
from ostinato.nn import ReuseConv2d, calibrate, convert
from ostinato.quant import dequantize, outputs, quantize
from ostinato.reuse import Pattern
from ostinato.reuse.accelerator import as_on_accelerator
from ostinato.training.optimisation import make_optimizer
from ostinato.training.recipes import MODERN

FREE = Pattern.compiled(4, 3, table="free")


def network(pattern: Pattern, seed: int = 0) -> nn.Module:
    """A calibrated layer between two others, with random offsets if it has any."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
    model.eval()[3].running_var.uniform_(0.5, 2.0)
    model = calibrate(convert(model, {"2": pattern}), images()).eval()
    if model[2].table_offsets is not None:
        nn.init.normal_(model[2].table_offsets, std=0.05)
    return model


def images(count: int = 12) -> torch.Tensor:
    return torch.rand(count, 3, 9, 9, generator=torch.Generator().manual_seed(1)) * 2 - 1


def by_hand(layer: ReuseConv2d, x: torch.Tensor) -> torch.Tensor:
    """Every output as the sum of the table's rows, one tap and one block of channels at a time."""
    batch, _, height, width = x.shape
    ids = layer.cluster_ids(x).view(batch, height + 2, width + 2, 2)
    y = layer.bias.detach().view(1, -1, 1, 1).repeat(batch, 1, height, width)
    for b in range(batch):
        for row in range(height):
            for col in range(width):
                for kh in range(3):
                    for kw in range(3):
                        for block in range(2):
                            i = int(ids[b, row + kh, col + kw, block])
                            part = layer.weight.detach()[:, block * 4 : block * 4 + 4, kh, kw]
                            y[b, :, row, col] += part @ layer.centroids[block, i]
                            y[b, :, row, col] += layer.table_offsets.detach()[:, block * 8 + i, kh, kw]
    return y


def test_an_output_is_a_sum_of_products_and_offsets() -> None:
    model = network(FREE).double()
    with torch.no_grad():
        x = model[:2](images(2).double())
        torch.testing.assert_close(model[2](x), by_hand(model[2], x), rtol=0, atol=1e-10)


def test_offsets_of_zero_change_nothing() -> None:
    free, products = network(FREE), network(Pattern.compiled(4, 3))
    nn.init.zeros_(free[2].table_offsets)
    torch.testing.assert_close(free(images()), products(images()), rtol=0, atol=0)


def test_calibration_begins_with_offsets_of_zero() -> None:
    model = network(FREE)
    assert model[2].table_offsets.abs().max() > 0
    assert not calibrate(model, images())[2].table_offsets.any()


def test_gradient_of_the_offsets() -> None:
    model = network(FREE).double()
    x, layer = model[:2](images(2).double()).detach(), model[2]
    offsets = layer.table_offsets.detach().requires_grad_()

    def output(values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"table_offsets": values}, (x,))

    assert torch.autograd.gradcheck(output, (offsets,), fast_mode=True)


def test_firmware_integers_have_the_offsets() -> None:
    model = network(FREE)
    graph = quantize(model, images(), input_scale=1 / 128)
    x = (images(4) * 128).round().clamp(-128, 127) / 128
    with torch.no_grad():
        wanted = model(x).numpy()
    got = dequantize(outputs(graph, x), graph.output).reshape(4, 7, 7, 6).transpose(0, 3, 1, 2)
    assert ((got - wanted) ** 2).mean() < 0.02 * wanted.var()
    without = copy.deepcopy(model)
    nn.init.zeros_(without[2].table_offsets)
    with torch.no_grad():
        assert ((without(x).numpy() - wanted) ** 2).mean() > 0.05 * wanted.var()  # the bound above can fail


def test_offsets_learn_faster_than_weights() -> None:
    groups = make_optimizer(network(FREE), MODERN).param_groups
    offsets = [g for g in groups if any(p.shape == (6, 16, 3, 3) for p in g["params"])]
    assert [g["lr"] for g in offsets] == [8 * MODERN.lr]


def test_other_scopes_and_sharing_refuse_it() -> None:
    with pytest.raises(PatternError, match="table='free' needs compiled scope with sharing='block'"):
        Pattern(4, 3, table="free")
    with pytest.raises(PatternError, match="table must be one of products, free"):
        Pattern.compiled(4, 3, table="other")


@pytest.mark.parametrize("pattern", [FREE, Pattern.compiled(4, 3), Pattern.compiled(8, 4, momentum=0.3)])
def test_the_form_for_accelerators_gives_the_same(pattern: Pattern) -> None:
    calibrated = network(pattern).double()

    def everything() -> list[torch.Tensor]:
        model = copy.deepcopy(calibrated)
        layer, x = model[2].train(), model[:2](images().double()).detach().requires_grad_()
        y = layer(x)
        y.square().sum().backward()
        gradients = [p.grad for p in (x, *layer.parameters()) if p.grad is not None]
        trained = [y, *gradients, layer.centroids, layer.centroid_counts]
        return [*trained, layer.eval()(x)]

    usual = everything()
    with as_on_accelerator():
        accelerated = everything()
    for a, b in zip(usual, accelerated, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
