import pytest
import torch
from meta_networks import macs, on_meta
from torch import nn

from ostinato import models
from ostinato.errors import ModelError


def test_has_the_layers_of_the_artifact():
    model = models.cifarnet()
    assert [name for name, _ in model.named_children()] == [
        "conv1", "bn1", "conv2", "bn2", "fc1", "fc2", "fc3", "dropout",
    ]  # fmt: skip
    shapes = {name: tuple(m.weight.shape) for name, m in model.named_modules() if hasattr(m, "weight")}
    assert shapes["conv1"] == (64, 3, 5, 5)
    assert shapes["conv2"] == (64, 64, 5, 5)
    assert [shapes[f"fc{i}"] for i in (1, 2, 3)] == [(384, 1600), (192, 384), (10, 192)]
    assert model.conv1.padding == model.conv2.padding == (0, 0)


def test_costs_14_7_million_macs():
    cost = macs(models.cifarnet(), 32)
    assert cost == 28 * 28 * 64 * 75 + 100 * 64 * 1600 + 1600 * 384 + 384 * 192 + 192 * 10
    assert round(cost / 1e6, 1) == 14.7


@pytest.mark.parametrize(("size", "channels", "classes"), [(32, 3, 10), (16, 1, 2), (33, 3, 7), (64, 3, 200)])
def test_output_shape_for_other_sizes(size, channels, classes):
    model = models.create("cifarnet", num_classes=classes, in_channels=channels, image_size=size).eval()
    assert model(torch.zeros(3, channels, size, size)).shape == (3, classes)


def test_is_exported_by_torch_and_computes_the_same():
    torch.manual_seed(0)
    model = models.cifarnet().eval()
    x = torch.randn(2, 3, 32, 32)
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x))


def test_architecture_makes_the_same_network_again():
    model = models.cifarnet(num_classes=7, image_size=20, dropout=0.1)
    again = models.create(model.architecture["model"], **model.architecture["kwargs"])
    again.load_state_dict(model.state_dict())
    assert again.architecture == model.architecture
    assert again.dropout.p == 0.1


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"image_size": 15}, ["image_size=15", "16"]),
        ({"num_classes": 1}, ["num_classes=1", "2"]),
        ({"in_channels": 0}, ["in_channels=0"]),
        ({"dropout": 1.0}, ["dropout=1.0"]),
    ],
)
def test_refuses_impossible_sizes_with_the_numbers(kwargs, words):
    with pytest.raises(ModelError) as error:
        models.create("cifarnet", **kwargs)
    assert all(word in str(error.value) for word in words)


def test_unknown_name_lists_the_close_ones():
    with pytest.raises(ModelError, match=r"Unknown model 'cifarnt'.*did you mean 'cifarnet'"):
        models.create("cifarnt")
    with pytest.raises(ModelError, match=r"known: alexnet, cifarnet, .*squeezenet"):
        models.create("transformer")


def test_unknown_argument_lists_the_known_ones():
    with pytest.raises(ModelError, match=r"no argument 'classes'.*num_classes"):
        models.create("cifarnet", classes=3)


def test_names_can_all_be_created():
    for name in models.names():
        assert isinstance(on_meta(lambda name=name: models.create(name)), nn.Module)
