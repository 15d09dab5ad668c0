"""ZfNet, AlexNet, VGG and MLPerf Tiny's ResNet-8: layers, costs and sizes as published."""

from __future__ import annotations

import pytest
import torch
from meta_networks import macs, on_meta
from torch import nn

from ostinato import models
from ostinato.errors import ModelError
from ostinato.models import parameters

IMAGENET = {"num_classes": 1000, "image_size": 224}


def convolutions(model: nn.Module) -> list[tuple[int, int]]:
    """(K, M) of every convolution, in order."""
    return [(m.weight[0].numel(), m.out_channels) for m in model.modules() if isinstance(m, nn.Conv2d)]


def test_zfnet_has_the_columns_of_the_papers():
    """TREC Table 3 slices conv1 by its whole K of 147; GR Table 1 (b) prints K and M of conv1 and conv2."""
    assert convolutions(on_meta(models.zfnet)) == [(147, 96), (2400, 256), (2304, 384), (3456, 384), (3456, 256)]


def test_zfnet_has_the_fully_connected_layers_of_the_artifact():
    model = on_meta(models.zfnet)
    assert [tuple(layer.weight.shape) for layer in (model.fc1, model.fc2, model.fc3)] == [
        (4096, 9216), (4096, 4096), (10, 4096),
    ]  # fmt: skip


def test_zfnets_costs_follow_from_its_maps():
    fully = 9216 * 4096 + 4096 * 4096 + 4096 * 10
    expected = 110**2 * 96 * 147 + 26**2 * 256 * 2400 + 13**2 * (384 * 2304 + 384 * 3456 + 256 * 3456) + fully
    assert macs(on_meta(models.zfnet), 224) == expected
    assert round(expected / 1e9, 2) == 1.16
    small = on_meta(lambda: models.zfnet(image_size=64))
    fully = 256 * 4096 + 4096 * 4096 + 4096 * 10
    expected = 30**2 * 96 * 147 + 6**2 * 256 * 2400 + 3**2 * (384 * 2304 + 384 * 3456 + 256 * 3456) + fully
    assert macs(small, 64) == expected
    assert round(expected / 1e6, 1) == 80.6


def test_alexnet_has_the_columns_of_deep_reuse():
    """DR Table II."""
    assert convolutions(on_meta(models.alexnet)) == [(363, 64), (1600, 192), (1728, 384), (3456, 384), (3456, 256)]


def test_alexnet_has_as_many_parameters_as_tf_slims():
    assert parameters(on_meta(lambda: models.alexnet(**IMAGENET))) == 50_303_912


@pytest.mark.parametrize(
    ("name", "convs", "numbers", "giga"), [("vgg16", 13, 138_357_544, 15.47), ("vgg19", 16, 143_667_240, 19.63)]
)
def test_vgg_counts_are_the_published_ones(name, convs, numbers, giga):
    """Parameters and multiply-accumulates as torchvision's model table has them; DR's VGG has 16 convolutions."""
    model = on_meta(lambda: models.create(name, **IMAGENET))
    assert parameters(model) == numbers
    assert round(macs(model, 224) / 1e9, 2) == giga
    assert len(convolutions(model)) == convs


def test_vgg19_has_the_columns_of_deep_reuse():
    """DR Table II, which prints 4068 for 4608 = 9·512."""
    columns = [27, 576, 576, 1152, 1152, *[2304] * 4, *[4608] * 7]
    channels = [64, 64, 128, 128, *[256] * 4, *[512] * 8]
    assert convolutions(on_meta(models.vgg19)) == list(zip(columns, channels, strict=True))


def test_vgg_with_batch_norm_has_torchvisions_names():
    keys = on_meta(lambda: models.vgg16(batch_norm=True, **IMAGENET)).state_dict().keys()
    assert {"features.0.weight", "features.1.running_mean", "features.40.weight", "classifier.6.bias"} <= keys
    assert "features.44.weight" not in keys
    assert parameters(on_meta(lambda: models.vgg16(batch_norm=True, **IMAGENET))) == 138_365_992


def test_resnet8_counts_are_mlperf_tinys():
    """12.5 M multiply-accumulates; Keras counts 78,666 numbers, 480 of which are running statistics."""
    model = models.resnet8()
    statistics = sum(buffer.numel() for name, buffer in model.named_buffers() if "running" in name)
    assert parameters(model) + statistics == 78_666
    assert macs(model, 32) == 12_501_632
    assert len(convolutions(model)) == 9


def test_resnet8_adds_what_its_blocks_say():
    torch.manual_seed(0)
    model = models.resnet8().eval()
    x = torch.randn(2, 16, 8, 8)
    block = model.stack1
    y = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
    torch.testing.assert_close(block(x), (x + y).relu())
    assert block.shortcut is None
    assert model.stack2.shortcut.kernel_size == (1, 1)
    assert model.stack2(x).shape == (2, 32, 4, 4)


@pytest.mark.parametrize(
    ("name", "kwargs", "side"),
    [
        ("zfnet", {"hidden": 32}, 53),
        ("zfnet", {"hidden": 32}, 64),
        ("alexnet", {"hidden": 32, "num_classes": 3}, 67),
        ("vgg16", {"hidden": 32, "batch_norm": True}, 32),
        ("vgg19", {"hidden": 32}, 32),
        ("resnet8", {"num_classes": 4}, 32),
        ("resnet8", {"in_channels": 1}, 5),
    ],
)
def test_architecture_makes_the_same_network_again(name, kwargs, side):
    torch.manual_seed(0)
    model = models.create(name, image_size=side, **kwargs).eval()
    again = models.create(model.architecture["model"], **model.architecture["kwargs"]).eval()
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, kwargs.get("in_channels", 3), side, side)
    assert model(x).shape == (2, kwargs.get("num_classes", 10))
    torch.testing.assert_close(again(x), model(x))
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), model(x))


@pytest.mark.parametrize(("name", "side"), [("zfnet", 224), ("alexnet", 224), ("vgg16", 224), ("vgg19", 64)])
def test_images_of_imagenets_size_go_through(name, side):
    model = on_meta(lambda: models.create(name, image_size=side, num_classes=1000)).eval()
    assert model(torch.zeros(2, 3, side, side, device="meta")).shape == (2, 1000)


@pytest.mark.parametrize(
    ("name", "kwargs", "words"),
    [
        ("zfnet", {"image_size": 52}, ["image_size=52", "53"]),
        ("zfnet", {"dropout": 1.0}, ["dropout=1.0"]),
        ("alexnet", {"image_size": 66}, ["image_size=66", "67"]),
        ("alexnet", {"hidden": 0}, ["hidden=0"]),
        ("vgg16", {"image_size": 31}, ["vgg16", "image_size=31", "32"]),
        ("vgg19", {"num_classes": 1}, ["num_classes=1"]),
        ("resnet8", {"image_size": 3}, ["image_size=3", "4"]),
        ("resnet8", {"in_channels": 0}, ["in_channels=0"]),
    ],
)
def test_impossible_sizes_are_refused_with_the_numbers(name, kwargs, words):
    with pytest.raises(ModelError) as error:
        models.create(name, **kwargs)
    assert all(word in str(error.value) for word in words)


def test_smallest_images_are_the_smallest():
    """One pixel less leaves nothing of the last map, by PyTorch's own arithmetic."""
    for name, side in (("zfnet", 53), ("alexnet", 67)):
        model = on_meta(lambda name=name, side=side: models.create(name, image_size=side)).eval()
        with pytest.raises(RuntimeError, match=r"[Oo]utput size is too small|too small"):
            model(torch.zeros(1, 3, side - 1, side - 1, device="meta"))


@pytest.mark.parametrize(("name", "side"), [("zfnet", 64), ("alexnet", 67), ("vgg16", 32)])
def test_images_reach_the_last_layer_of_networks_without_normalisation(name, side):
    """The fresh network tells images apart: its logits vary over images about as much as the images' own values do."""
    torch.manual_seed(0)
    model = models.create(name, image_size=side, hidden=256).eval()
    with torch.no_grad():
        logits = model(torch.randn(16, 3, side, side))
    assert 0.05 < float(logits.std(0).mean()) < 5
