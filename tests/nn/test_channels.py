import copy

import pytest
import torch
from torch import nn

from ostinato import models
from ostinato.errors import ConversionError, ModelError
from ostinato.nn import group_channels
from ostinato.nn.channels import ChannelPath, channel_paths
from ostinato.reuse import Pattern

COMPILED = Pattern(8, 4, scope="compiled", sharing="block", init="pca", clustering="tree", gradient="frozen")


def trained(model, size, seed=0):
    """Normalisation statistics that differ from channel to channel, as after training."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean):
                tensor.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "layer", "producer"),
    [("cifarnet", "conv2", "conv1"), ("squeezenet", "fire4.expand3x3", "fire4.squeeze")],
)
def test_any_permutation_leaves_the_outputs(name, layer, producer):
    model = trained(models.create(name), 32)
    x = torch.randn(4, 3, 32, 32)
    before = model(x)
    path = channel_paths(model, [layer], x[:1])[layer]
    assert isinstance(path, ChannelPath)
    assert path.producer == producer
    permutation = torch.randperm(model.get_submodule(layer).in_channels)
    unpermuted = copy.deepcopy(model)
    path.permute(model, permutation)
    torch.testing.assert_close(model(x), before, rtol=1e-4, atol=1e-4)
    weight = model.get_submodule(layer).weight
    assert torch.equal(weight, unpermuted.get_submodule(layer).weight[:, permutation])
    assert not torch.equal(weight, unpermuted.get_submodule(layer).weight)


def test_a_flattened_map_is_followed_into_a_linear_layer():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 1), nn.ReLU(), nn.Flatten(), nn.Linear(216, 5))
    x = torch.randn(2, 3, 8, 8)
    before = model(x)
    graph_path = channel_paths(model, ["2"], x[:1])["2"]
    assert graph_path == ChannelPath("0", (), ("2",))
    ChannelPath("2", (), ("5",)).permute(model, torch.randperm(6))
    torch.testing.assert_close(model(x), before, rtol=1e-4, atol=1e-5)


def test_layers_that_cannot_be_permuted_say_why():
    model = models.squeezenet().eval()
    paths = channel_paths(model, ["conv1", "fire3.squeeze", "fire4.squeeze"], torch.zeros(1, 3, 32, 32))
    assert paths["conv1"] == "its input is the network's"
    assert paths["fire3.squeeze"] == "its input comes from cat"
    assert paths["fire4.squeeze"] == "its input comes from add"


def test_other_readers_stop_a_permutation():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x):
            y = self.a(x).relu()
            return y + self.b(y)

    assert channel_paths(Residual(), ["b"], torch.zeros(1, 3, 8, 8))["b"] == "its channels are also read by add"


def test_a_convolution_used_twice_is_left():
    conv = nn.Conv2d(4, 4, 1)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), conv, conv)
    assert channel_paths(model, ["1"], torch.zeros(1, 3, 8, 8))["1"] == "it runs 2 times"


def test_grouping_brings_copies_of_a_channel_together():
    """Channels that come in identical pairs, scattered: with slices of 2, each pair must become one slice."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 5, 1)).eval()
    with torch.no_grad():
        model[0].weight[4:] = model[0].weight[:4]
        model[0].bias[4:] = model[0].bias[:4]
        model[0].bias.abs_()
    pattern = Pattern(length=2, hashes=2, scope="compiled", sharing="block")
    x = torch.randn(20, 3, 8, 8)
    grouped, report = group_channels(model, {"2": pattern}, x)
    filters = grouped[0].weight.view(4, 2, -1)
    assert torch.equal(filters[:, 0], filters[:, 1])
    assert [(entry.layer, entry.grouped, entry.reason) for entry in report] == [("2", True, "folded into '0'")]
    torch.testing.assert_close(grouped(x), model(x), rtol=1e-4, atol=1e-5)


def test_the_report_says_what_was_left():
    model = models.squeezenet().eval()
    patterns = {
        "conv1": Pattern(length=3, hashes=2, scope="compiled", sharing="block"),
        "fire2.expand1x1": COMPILED,
        "fire2.expand3x3": COMPILED,
        "fire3.expand3x3": Pattern(length=9, hashes=2, order="c.kh.kw"),
        "fire5.expand3x3": Pattern(length=32, hashes=2),
    }
    _, report = group_channels(model, patterns, torch.randn(2, 3, 32, 32))
    assert [entry.grouped for entry in report] == [False, True, False, False, False]
    assert [entry.reason for entry in report] == [
        "its input is the network's",
        "folded into 'fire2.squeeze'",
        "grouped for 'fire2.expand1x1', which reads the same channels",
        "in order c.kh.kw a slice is no block of channels",
        "slices of 32 do not divide 32 channels into blocks",
    ]


def test_refusals():
    model = models.cifarnet().eval()
    with pytest.raises(ConversionError, match="no layer 'conv9'"):
        group_channels(model, {"conv9": COMPILED}, torch.randn(1, 3, 32, 32))
    with pytest.raises(ModelError, match="needs images"):
        group_channels(model, {"conv2": COMPILED}, torch.empty(0, 3, 32, 32))
