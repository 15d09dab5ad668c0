import pytest
import torch
from torch import nn

from ostinato.errors import ModelError
from ostinato.nn import calibrate, convert, group_channels
from ostinato.nn.sensitivity import output_metric, seen_weight
from ostinato.reuse import Pattern

COMPILED = Pattern.compiled(4, 3)


class HalfBlind(nn.Module):
    """A classifier that never looks at the second half of its second layer's outputs."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1)
        self.second = nn.Conv2d(8, 6, 3)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(3, 4)

    def forward(self, x):
        y = self.second(self.first(x).relu()).relu()
        return self.head(self.drop(y[:, :3].mean((2, 3))))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return HalfBlind().train()


IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_outputs_that_nothing_reads_cost_the_loss_nothing(network):
    metric = output_metric(network, network.second, IMAGES)
    assert float(metric[3:].abs().max()) == 0 < float(metric[:3, :3].diagonal().min())
    assert network.training
    assert network.drop.training  # looked at in evaluation mode, and left as it was


def test_the_metric_is_the_fisher_information(network):
    """F = E[g gᵀ], and for a softmax E over labels of g is zero: the expected KL divergence is ½ eᵀ F e."""
    network.eval()
    metric = output_metric(network, network.second, IMAGES.repeat(10, 1, 1, 1))
    direction = torch.zeros(6)
    direction[:3] = torch.tensor([1.0, -2.0, 0.5])
    step = 1e-2

    def shifted(_m, _a, y):
        moved = y.clone()
        moved[:, :, 2, 3] += step * direction
        return moved

    with torch.no_grad():
        before = network(IMAGES).double().log_softmax(1)
        handle = network.second.register_forward_hook(shifted)
        after = network(IMAGES).double().log_softmax(1)
        handle.remove()
    divergence = float((before.exp() * (before - after)).sum(1).mean())
    expected = 0.5 * step**2 * float(direction.double() @ metric @ direction.double())
    assert divergence == pytest.approx(expected, rel=0.5)  # one position stands for the mean of all


def test_weights_as_the_loss_sees_them(network):
    weight = network.second.weight.detach()
    assert seen_weight(network, network.second, weight, IMAGES, "outputs") is weight
    seen = seen_weight(network, network.second, weight, IMAGES, "loss")
    blind = seen[3:].norm() / weight[3:].norm()
    assert float(blind) == pytest.approx(0.5**0.5, rel=1e-5)  # only the half that is the plain square
    assert float(seen[:3].norm() / weight[:3].norm()) > 1.0


def test_an_encoder_in_the_losss_metric_spends_its_ids_on_what_the_loss_sees(network):
    network.eval()
    found = {}
    for metric in ("outputs", "loss"):
        reuse = calibrate(convert(network, {"second": COMPILED}), IMAGES, refit=False, metric=metric)
        with torch.no_grad():
            y, target = (m.second(m.first(IMAGES).relu()) for m in (reuse, network))
        found[metric] = float((y - target)[:, :3].square().mean())
    assert found["loss"] < found["outputs"]


def test_grouping_takes_the_metric_and_an_unknown_one_is_refused(network):
    grouped, report = group_channels(network.eval(), {"second": COMPILED}, IMAGES, metric="loss")
    assert report[0].grouped
    assert torch.allclose(grouped(IMAGES), network(IMAGES), atol=1e-5)
    with pytest.raises(ModelError, match="metric='fisher' is not known; known: 'outputs', 'loss'"):
        calibrate(convert(network, {"second": COMPILED}), IMAGES, metric="fisher")
