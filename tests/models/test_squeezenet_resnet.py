"""SqueezeNet and ResNets: the shapes and costs of the papers' networks, and what `create` makes of bad sizes."""

from __future__ import annotations

import pytest
import torch
from meta_networks import macs
from torch import nn

from ostinato import models
from ostinato.errors import ModelError


@pytest.mark.parametrize("bypass", ["none", "simple"])
def test_squeezenet_costs_52_5_million_macs(bypass):
    """Of the two variants without 1×1 bypasses; identities multiply nothing."""
    assert round(macs(models.squeezenet(bypass=bypass), 32) / 1e6, 1) == 52.5


def test_complex_bypasses_cost_what_their_convolutions_do():
    pixels = {"fire2": 256, "fire4": 256, "fire6": 64, "fire8": 64}
    channels = {"fire2": (96, 128), "fire4": (128, 256), "fire6": (256, 384), "fire8": (384, 512)}
    extra = sum(pixels[name] * a * b for name, (a, b) in channels.items())
    model = models.squeezenet(bypass="complex")
    assert macs(model, 32) - macs(models.squeezenet(bypass="simple"), 32) == extra
    assert [n for n, m in model.named_modules() if n.endswith(".bypass") and m] == [f"{n}.bypass" for n in channels]


def test_squeezenet_has_the_layers_of_the_paper():
    model = models.squeezenet(num_classes=7)
    shapes = {name: tuple(m.weight.shape) for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    assert shapes["conv1"] == (96, 3, 3, 3)
    assert shapes["fire2.squeeze"] == (16, 96, 1, 1)
    assert shapes["fire5.expand1x1"] == (128, 32, 1, 1)
    assert shapes["fire9.expand3x3"] == (256, 64, 3, 3)
    assert shapes["conv10"] == (7, 512, 1, 1)
    assert len(shapes) == 26
    parameters = sum(m.weight.numel() + m.bias.numel() for m in model.modules() if isinstance(m, nn.Conv2d))
    assert parameters == sum(s[0] * s[1] * s[2] * s[3] + s[0] for s in shapes.values())


def test_a_simple_bypass_adds_the_input():
    torch.manual_seed(0)
    plain, simple = models.squeezenet(bypass="none").eval(), models.squeezenet(bypass="simple").eval()
    simple.load_state_dict(plain.state_dict())
    x = torch.randn(2, 128, 4, 4)
    torch.testing.assert_close(simple.fire3(x), plain.fire3(x) + x)
    y = torch.randn(2, 96, 4, 4)
    torch.testing.assert_close(simple.fire2(y), plain.fire2(y))


def test_a_fire_puts_the_1x1_half_first():
    torch.manual_seed(0)
    fire = models.squeezenet(bypass="none").eval().fire2
    x = torch.randn(1, 96, 4, 4)
    squeezed = fire.squeeze_bn(fire.squeeze(x)).relu()
    torch.testing.assert_close(fire(x)[:, :64], fire.expand1x1_bn(fire.expand1x1(squeezed)).relu())
    torch.testing.assert_close(fire(x)[:, 64:], fire.expand3x3_bn(fire.expand3x3(squeezed)).relu())


@pytest.mark.parametrize(("name", "blocks", "convolutions"), [("resnet18", 8, 20), ("resnet34", 16, 36)])
def test_resnets_have_the_columns_of_trec_table_3(name, blocks, convolutions):
    """K of conv2 to conv5: 576, 1152, 2304, 4608; ResNet-34 has 3, 4, 6 and 3 blocks."""
    model = models.create(name)
    shapes = {n: m.weight[0].numel() for n, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    assert [shapes[f"layer{i}.1.conv2"] for i in (1, 2, 3, 4)] == [576, 1152, 2304, 4608]
    assert len(shapes) == convolutions
    assert sum(n.endswith("conv2") for n in shapes) == blocks


def test_resnet_costs_follow_from_its_shapes():
    """Stem 32×32; stages of 16, 8, 4 and 2 pixels a side; every stage's later blocks cost the same."""
    block = 2 * 256 * 64 * 576
    assert macs(models.resnet18(), 64) == 1024 * 64 * 147 + 2 * block + _later(block) * 3 + 5120
    assert macs(models.resnet34(), 64) - macs(models.resnet18(), 64) == block * (1 + 2 + 4 + 1)


def _later(block: int) -> int:
    """A stage of two blocks behind the first: 1.75 blocks and the 1×1 shortcut, which has 1/9 of half a convolution."""
    return block * 7 // 4 + block // 36


@pytest.mark.parametrize(("name", "width"), [("resnet18", 0.25), ("resnet34", 0.5), ("resnet18", 1 / 16)])
def test_width_thins_all_layers(name, width):
    model = models.create(name, width=width, num_classes=6)
    assert model.conv1.out_channels == round(64 * width)
    assert model.fc.in_features == round(512 * width)
    assert model.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 6)


@pytest.mark.parametrize(
    ("name", "kwargs", "words"),
    [
        ("squeezenet", {"image_size": 7}, ["image_size=7", "8"]),
        ("squeezenet", {"num_classes": 1}, ["num_classes=1"]),
        ("squeezenet", {"in_channels": 0}, ["in_channels=0"]),
        ("squeezenet", {"bypass": "both"}, ["bypass='both'", "none, simple, complex"]),
        ("resnet18", {"image_size": 31}, ["resnet18", "image_size=31", "32"]),
        ("resnet34", {"width": 0.0}, ["resnet34", "width=0.0"]),
        ("resnet34", {"num_classes": 0}, ["num_classes=0"]),
        ("resnet18", {"in_channels": 0}, ["in_channels=0"]),
    ],
)
def test_impossible_sizes_are_refused_with_the_numbers(name, kwargs, words):
    with pytest.raises(ModelError) as error:
        models.create(name, **kwargs)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("name", "kwargs", "side"),
    [("squeezenet", {"bypass": "complex", "num_classes": 4}, 8), ("resnet18", {"width": 0.125, "num_classes": 3}, 32)],
)
def test_architecture_makes_the_same_network_again(name, kwargs, side):
    model = models.create(name, image_size=side, **kwargs).eval()
    again = models.create(model.architecture["model"], **model.architecture["kwargs"]).eval()
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, side, side)
    torch.testing.assert_close(again(x), model(x))
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x))
