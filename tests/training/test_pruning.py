"""Structured pruning: channels that matter to nothing go first, networks stay plain, refusals name the layer."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato import models
from ostinato.errors import ModelError
from ostinato.models import parameters
from ostinato.pipeline.networks import load_network
from ostinato.training import prune_channels, save_model

IMAGE = torch.zeros(1, 3, 16, 16)


class Joined(nn.Module):
    """A residual sum behind a concatenation: conv `d` makes channels of both branches `b` and `c`."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.b = nn.Conv2d(16, 8, 1)
        self.c = nn.Conv2d(16, 24, 3, padding=1)
        self.d = nn.Conv2d(16, 32, 1)
        self.head = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.a(x)).relu()
        joined = torch.cat([self.b(x), self.c(x)], 1) + self.d(x)
        out: torch.Tensor = self.head(nn.functional.adaptive_avg_pool2d(joined, 1).flatten(1))
        return out


def silence(model: Joined) -> None:
    """Nothing makes, and nothing reads, every other channel of `a`, and of each branch of the sum."""
    with torch.no_grad():
        for layer in (model.a, model.b, model.c, model.d):
            layer.weight[::2] = 0
            layer.bias[::2] = 0
        model.norm.weight[::2] = 0
        model.norm.bias[::2] = 0
        for layer in (model.b, model.c, model.d):
            layer.weight[:, ::2] = 0
        model.head.weight[:, ::2] = 0


@pytest.fixture
def joined() -> Joined:
    torch.manual_seed(0)
    return Joined().eval()


def test_channels_that_matter_to_nothing_go_first(joined: Joined) -> None:
    silence(joined)
    keep = dict.fromkeys(("a", "b", "c", "d"), 0.5)
    smaller, report = prune_channels(joined, IMAGE, size=0.9, keep=keep)
    x = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(smaller(x), joined(x), rtol=1e-5, atol=1e-6)
    assert {layer.name: (layer.kept, layer.of) for layer in report.layers} == {
        "a": (8, 16), "b": (4, 8), "c": (12, 24), "d": (16, 32), "head": (5, 5),
    }  # fmt: skip
    assert smaller.norm.num_features == 8
    assert smaller.head.in_features == 16


def test_a_chain_with_a_flattened_map_keeps_its_outputs() -> None:
    torch.manual_seed(0)
    model = models.cifarnet(image_size=16).eval()
    with torch.no_grad():
        model.conv2.weight[10:] = 0
        for tensor in (model.conv2.bias, model.bn2.weight, model.bn2.bias):
            tensor[10:] = 0
        model.fc1.weight.view(384, 64, 1)[:, 10:] = 0
    smaller, _ = prune_channels(
        model, IMAGE, size=0.99, keep={"conv1": 1.0, "conv2": 0.25, "fc1": 1.0, "fc2": 1.0}
    )
    assert smaller.conv2.out_channels == 16
    x = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(smaller(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [("resnet8", {}), ("squeezenet", {"bypass": "complex"}), ("squeezenet", {"bypass": "simple"}), ("cifarnet", {})],
)
def test_a_network_of_ours_is_made_again_by_its_architecture(name: str, kwargs: dict[str, str]) -> None:
    torch.manual_seed(0)
    model = models.create(name, image_size=16, **kwargs).eval()
    before = copy.deepcopy(model.state_dict())
    smaller, report = prune_channels(model, IMAGE, size=0.4)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert "sizes" not in model.architecture["kwargs"]
    assert 0.25 < report.size <= 0.4
    assert report.parameters == parameters(smaller)
    assert report.macs < report.macs_before == models.macs(model, IMAGE)
    assert all(layer.kept % 4 == 0 for layer in report.layers[:-1])
    assert all(parameter.grad is None and parameter.requires_grad for parameter in smaller.parameters())
    again = models.create(smaller.architecture["model"], **smaller.architecture["kwargs"]).eval()
    again.load_state_dict(smaller.state_dict())
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(again(x), smaller.eval()(x))


def test_every_layer_keeps_the_common_share_but_those_named(joined: Joined) -> None:
    _, report = prune_channels(joined, IMAGE, size=0.6, keep={"c": 1.0})
    kept = {layer.name: layer.kept / layer.of for layer in report.layers}
    assert kept["c"] == 1.0
    assert kept["a"] == kept["b"] < 1.0
    assert kept["d"] == pytest.approx((8 * kept["b"] + 24) / 32)  # it is added to both branches
    assert report.size <= 0.6


def test_pruning_twice_starts_from_what_is_left() -> None:
    torch.manual_seed(0)
    once, _ = prune_channels(models.resnet8(image_size=16), IMAGE, size=0.6)
    twice, report = prune_channels(once, IMAGE, size=0.5)
    assert report.parameters_before == parameters(once)
    again = models.create("resnet8", **twice.architecture["kwargs"])
    again.load_state_dict(twice.state_dict())


def test_a_pruned_network_is_fine_tuned_saved_and_loaded(tmp_path) -> None:
    dataset = ost.data.load("digits")
    torch.manual_seed(0)
    smaller, _ = prune_channels(models.resnet8(), torch.zeros(1, 3, 32, 32), size=0.3)
    ost.fit(smaller, dataset, epochs=1, train_limit=128, run_dir=tmp_path, progress=False)
    loaded, meta = load_network(tmp_path / "model.pt")
    assert parameters(loaded) == parameters(smaller)
    assert meta["kwargs"]["sizes"]["conv1"] == [smaller.conv1.out_channels, 3]
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded(x), smaller.eval()(x))
    save_model(tmp_path / "again.pt", loaded, meta={"classes": list(dataset.classes)})
    assert torch.equal(load_network(tmp_path / "again.pt")[0](x), loaded(x))


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"size": 0.0}, ["size=0.0"]),
        ({"size": 1.0}, ["size=1.0"]),
        ({"size": 0.5, "round_to": 0}, ["round_to=0"]),
        ({"size": 0.5, "keep": {"e": 0.5}}, ["'e'", "a, b, c, d, head"]),
        ({"size": 0.5, "keep": {"a": 0.0}}, ["'a'", "0.0"]),
        ({"size": 0.5, "keep": {"b": 0.5, "d": 0.25}}, ["b 0.5", "d 0.25", "sum"]),
        ({"size": 0.1, "keep": {"c": 1.0}}, ["10.0%", "c"]),
    ],
)
def test_nonsense_is_refused(joined: Joined, kwargs, words: list[str]) -> None:
    with pytest.raises(ModelError) as error:
        prune_channels(joined, IMAGE, **kwargs)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_layers_that_cannot_be_pruned_are_named() -> None:
    grouped = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(8 * 144, 3))
    with pytest.raises(ModelError, match="'1' has 8 groups"):
        prune_channels(grouped, IMAGE, size=0.5)
    reuse = ost.convert(models.cifarnet(image_size=16), {"conv2": ost.Pattern(8, 4)})
    with pytest.raises(ModelError, match=r"'conv2' reuses computation"):
        prune_channels(reuse, IMAGE, size=0.5)
    with pytest.raises(ModelError, match="nothing to prune"):
        prune_channels(nn.BatchNorm2d(3), IMAGE, size=0.5)


def test_a_concatenation_that_is_flattened_with_its_pixels_is_refused() -> None:
    whole = nn.Sequential(ConcatenatedPixels(), nn.Linear(12 * 256, 3))
    with pytest.raises(ModelError, match=r"concatenation behind layer '0\.a'"):
        prune_channels(whole, IMAGE, size=0.5)


class ConcatenatedPixels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.a(x).relu(), self.b(x)], 1).flatten(1)


def test_outputs_are_never_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Conv2d(3, 64, 3)
            self.a, self.b = nn.Linear(64, 8), nn.Linear(64, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.features(x).mean((2, 3))
            return torch.cat([self.a(x), self.b(x)], 1)

    smaller, report = prune_channels(TwoHeads(), IMAGE, size=0.5)
    assert [layer.kept for layer in report.layers] == [smaller.features.out_channels, 8, 8]

    def clumsy(model: nn.Module, *_: object) -> None:
        model.a = nn.Linear(64, 4, device=model.a.weight.device)

    monkeypatch.setattr("ostinato.training.pruning._remove", clumsy)
    with pytest.raises(ModelError, match="changes the network's outputs"):
        prune_channels(TwoHeads(), IMAGE, size=0.7)
