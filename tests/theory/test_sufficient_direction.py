import copy
import json
import math

import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato.data import Augmentation, ImageDataset, Split
from ostinato.errors import DataError, ModelError, OstinatoError, PatternError
from ostinato.theory import SufficientDirection, sufficient_direction
from ostinato.training import Recipe

FAST = Recipe("fast", lr=0.05, hash_lr=0.01, batch_size=16)
PATTERNS = {
    "image": ost.Pattern(6, 2),
    "compiled": ost.Pattern(3, 2, scope="compiled", sharing="block"),
    "fine": ost.Pattern(54, 16, gradient="frozen"),
    "coarse": ost.Pattern(54, 1, gradient="frozen"),
}


class TwoConvolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn, self.conv2 = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3)
        self.dropout, self.fc = nn.Dropout(0.5), nn.Linear(4, 3)

    def forward(self, x):
        x = self.conv2(torch.relu(self.bn(self.conv1(x))))
        return self.fc(self.dropout(torch.relu(x).mean((2, 3))))


def network(pattern=None, layer="conv2"):
    torch.manual_seed(0)
    model = TwoConvolutions()
    return model if pattern is None else ost.convert(model, {layer: PATTERNS[pattern]})


def split(n, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    images = torch.randint(0, 140, (n, 3, 8, 8), generator=generator) + 40 * labels[:, None, None, None]
    return Split(images.to(torch.uint8), labels)


def dataset():
    return ImageDataset("tiny", ("a", "b", "c"), split(60, 0), split(18, 1), split(18, 2), Augmentation())


def images(n=20):
    part = split(n, 3)
    return ost.data.to_input(part.images), part.labels


def probe(reference=ost.revert, **options):
    return SufficientDirection(*images(), reference, batch_size=8, **options)


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 1.0), (0.5, 0.5), (-2.0, -2.0)])
def test_along_the_gradient_mu_is_the_factor(scale, expected):
    gradient = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    found = sufficient_direction(gradient, scale * gradient)
    assert found.mu == pytest.approx(expected)
    assert found.mu_g == pytest.approx(abs(expected))


def test_what_is_orthogonal_to_the_gradient_changes_mu_g_only():
    found = sufficient_direction(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 3.0]))
    assert found.mu == pytest.approx(0.5)
    assert found.mu_g == pytest.approx(math.sqrt(10) / 2)
    assert sufficient_direction(torch.zeros(2), torch.ones(2)) is None


@pytest.mark.parametrize("model", [network(), network("image")])
def test_against_itself_every_network_has_mu_1(model):
    """Taken literally, Assumption 2(b) holds with μ = μ_G = 1: mean gradients are the gradient of the mean."""
    for found in probe(lambda same: same).measure(model).values():
        assert found.mu == pytest.approx(1)
        assert found.mu_g == pytest.approx(1)


def test_without_redundancy_reuse_has_the_conventional_gradient():
    """With 16 hashes of whole rows hardly two of an image's 16 vectors share a cluster; with one hash, many do."""

    def distance(pattern):  # ‖E[g] − ∇F‖/‖∇F‖
        found = probe().measure(network(pattern))["conv2"]
        return math.sqrt(found.mu_g**2 - 2 * found.mu + 1)

    assert distance("fine") < 0.1 * distance("coarse")


def test_mu_is_the_ratio_of_gradients_taken_by_hand():
    model = network("image")
    x, y = images()
    gradients = []
    for net in (ost.revert(model), copy.deepcopy(model)):
        net.train()
        net.dropout.eval()
        sum(
            torch.nn.functional.cross_entropy(net(x[i : i + 8]), y[i : i + 8], reduction="sum") / len(x)
            for i in range(0, len(x), 8)
        ).backward()
        gradients.append(net.conv1.weight.grad.flatten())
    conventional, reuse = gradients
    found = probe().measure(model)
    assert list(found) == ["conv1", "conv2"]
    assert found["conv1"].mu == pytest.approx(float(conventional @ reuse / (conventional @ conventional)), rel=1e-4)
    assert found["conv1"].mu_g == pytest.approx(float(reuse.norm() / conventional.norm()), rel=1e-4)


@pytest.mark.parametrize("pattern", ["image", "compiled"])
def test_training_with_the_probe_is_the_same_training(pattern):
    plain, probed = network(pattern), network(pattern)
    ost.fit(plain, dataset(), epochs=2, recipe=FAST, progress=False)
    result = ost.fit(probed, dataset(), epochs=2, recipe=FAST, progress=False, probe=probe())
    for name, tensor in plain.state_dict().items():
        assert tensor.equal(probed.state_dict()[name]), name
    assert [sorted(record["mu"]) for record in result.history] == [["conv1", "conv2"]] * 2
    assert all(record["mu_g"]["conv2"] >= abs(record["mu"]["conv2"]) > 0 for record in result.history)


def test_the_curve_is_kept_on_disk_and_through_a_resumed_training(tmp_path):
    straight = ost.fit(network("image"), dataset(), epochs=3, recipe=FAST, progress=False, probe=probe())

    class PowerCutError(Exception):
        pass

    def cut(record):
        if record["epoch"] == 2:
            raise PowerCutError

    options = {"epochs": 3, "recipe": FAST, "progress": False, "run_dir": tmp_path}
    with pytest.raises(PowerCutError):
        ost.fit(network("image"), dataset(), probe=probe(), on_epoch=cut, **options)
    ost.fit(network("image"), dataset(), probe=probe(), **options)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["mu"] for record in records] == [record["mu"] for record in straight.history]


def test_a_probe_cannot_overwrite_the_record():
    with pytest.raises(OstinatoError, match="measures 'epoch'"):
        ost.fit(network(), dataset(), epochs=1, recipe=FAST, progress=False, probe=lambda model: {"epoch": 7})


def test_frozen_weights_are_measured_and_stay_frozen():
    model = network("image")
    model.conv1.weight.requires_grad_(False)
    found = probe(layers=["conv1"]).measure(model)
    assert list(found) == ["conv1"]
    assert found["conv1"].mu != 0
    assert not model.conv1.weight.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_layer_without_gradient_has_no_mu():
    model = network()
    nn.init.zeros_(model.fc.weight)
    assert probe(layers=["conv2"])(model) == {"mu": {"conv2": None}, "mu_g": {"conv2": None}}


def test_nonsense_is_refused():
    x, y = images()
    with pytest.raises(DataError, match="a label each"):
        SufficientDirection(x, y[:3], ost.revert)
    with pytest.raises(DataError, match="floating-point"):
        SufficientDirection(x[:0], y[:0], ost.revert)
    with pytest.raises(PatternError, match="batch_size"):
        SufficientDirection(x, y, ost.revert, batch_size=0)
    with pytest.raises(ModelError, match=r"no convolution 'conv3'.*conv1, conv2"):
        probe(layers=["conv3"]).measure(network())
    with pytest.raises(ModelError, match="no convolution"):
        probe().measure(nn.Linear(2, 2))
    with pytest.raises(ModelError, match=r"lacks the parameter 'conv1\.weight'"):
        probe(lambda model: nn.Sequential(model)).measure(network())
    with pytest.raises(PatternError, match="one shape"):
        sufficient_direction(torch.ones(2), torch.ones(3))
    with pytest.raises(ModelError, match="NaN"):
        sufficient_direction(torch.ones(2), torch.tensor([1.0, math.nan]))
