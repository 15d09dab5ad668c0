import math

import pytest
import torch
from torch import nn

from ostinato.errors import ModelError, OstinatoError
from ostinato.nn import convert
from ostinato.reuse import Pattern
from ostinato.training import MODERN, TREC, Recipe
from ostinato.training.optimisation import clip_gradients, make_optimizer, set_learning_rates, training_loss
from ostinato.training.recipes import resolve


def test_trec_is_the_papers():
    assert (TREC.lr, TREC.momentum, TREC.weight_decay, TREC.batch_size) == (1e-3, 0.9, 1e-4, 256)
    assert (TREC.clip_norm, TREC.augment, TREC.nesterov) == (5.0, False, False)
    factors = [TREC.lr_factor(epoch * 10, 10, 50) for epoch in (0, 14, 15, 29, 30, 45)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.001])


def test_cosine_warms_up_peaks_once_and_ends_near_zero():
    factors = [MODERN.lr_factor(step, 20, 10) for step in range(200)]
    peak = factors.index(max(factors))
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert peak / 200 == pytest.approx(MODERN.warmup_share, abs=0.01)
    assert max(factors) == pytest.approx(1.0)
    assert 0 < factors[0] < 0.05
    assert 0 < factors[-1] < 0.001


def test_one_step_trainings_have_a_learning_rate():
    assert MODERN.lr_factor(0, 1, 1) > 0


def test_unknown_recipe_lists_the_known():
    assert resolve("trec") is TREC
    with pytest.raises(OstinatoError, match=r"'classic'; known: modern, trec"):
        resolve("classic")


@pytest.mark.parametrize(
    "change",
    [{"lr": 0.0}, {"lr": math.nan}, {"hash_lr": -1.0}, {"batch_size": 0}, {"momentum": 1.5}, {"schedule": "x"}],
)
def test_nonsense_is_refused_with_the_field(change):
    values = {"name": "mine", "lr": 0.1, "hash_lr": 0.1, "batch_size": 8, **change}
    with pytest.raises(OstinatoError, match=next(iter(change))):
        Recipe(**values)


def names_of(model, group):
    return {name for name, p in model.named_parameters() if any(p is member for member in group["params"])}


def test_hashes_have_their_own_group(net):
    model = net()
    recipe = Recipe("mine", lr=0.1, hash_lr=0.02, batch_size=8, weight_decay=0.5)
    groups = make_optimizer(model, recipe).param_groups
    table = {name: (g["lr"], g["weight_decay"]) for g in groups for name in names_of(model, g)}
    assert table == {
        "conv.weight": (0.1, 0.5),
        "fc.weight": (0.1, 0.5),
        "conv.bias": (0.1, 0.0),
        "bn.weight": (0.1, 0.0),
        "bn.bias": (0.1, 0.0),
        "fc.bias": (0.1, 0.0),
        "hash.hash_vectors": (0.02, 0.0),
        "hash.thresholds": (0.02, 0.0),
    }


def test_decay_all_spares_the_hashes_only(net):
    model = net()
    groups = make_optimizer(model, TREC).param_groups
    undecayed = {name for g in groups if g["weight_decay"] == 0 for name in names_of(model, g)}
    assert undecayed == {"hash.hash_vectors", "hash.thresholds"}


def test_frozen_parameters_are_left_out(net):
    model = net()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name == "fc.bias")
    assert [names_of(model, g) for g in make_optimizer(model, MODERN).param_groups] == [{"fc.bias"}]
    model.fc.bias.requires_grad_(False)
    with pytest.raises(ModelError, match="nothing to train"):
        make_optimizer(model, MODERN)


def test_schedule_keeps_the_ratio_of_learning_rates(net):
    optimizer = make_optimizer(net(), Recipe("mine", lr=0.1, hash_lr=0.02, batch_size=8))
    set_learning_rates(optimizer, 0.5)
    set_learning_rates(optimizer, 0.25)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == pytest.approx([0.005, 0.025])


def test_clips_are_separate(net):
    model = net()
    for name, parameter in model.named_parameters():
        parameter.grad = torch.full_like(parameter, 100.0 if "hash." in name else 1e-3)
    before = model.fc.weight.grad.clone()
    clip_gradients(model, Recipe("mine", lr=0.1, hash_lr=0.1, batch_size=8, clip_norm=5.0, hash_clip_norm=2.0))
    assert model.fc.weight.grad.equal(before), "the weights' gradient was scaled because of the hash's"
    hashes = torch.cat([model.hash.hash_vectors.grad.flatten(), model.hash.thresholds.grad])
    assert float(hashes.norm()) == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [("bn.weight", math.nan, "(lr)"), ("fc.bias", math.inf, "(lr)"), ("hash.thresholds", math.nan, "(hash_lr)")],
)
def test_non_finite_gradient_is_named(net, name, value, advice):
    model = net()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    model.get_parameter(name).grad[0] = value
    with pytest.raises(ModelError) as error:
        clip_gradients(model, MODERN)
    assert repr(name) in str(error.value)
    assert advice in str(error.value)


def test_distillation_equals_the_formula():
    generator = torch.Generator().manual_seed(0)
    logits, taught = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 1])
    recipe = Recipe("mine", lr=0.1, hash_lr=0.1, batch_size=8, teacher_share=0.3, temperature=2.0)
    p, q = (torch.softmax(x / 2.0, 1) for x in (taught, logits))
    divergence = (p * (p / q).log()).sum(1).mean()
    hard = -torch.log_softmax(logits, 1)[torch.arange(5), labels].mean()
    expected = 0.7 * hard + 0.3 * 4 * divergence
    assert float(training_loss(logits, labels, taught, recipe)) == pytest.approx(float(expected))
    assert float(training_loss(logits, labels, None, recipe)) == pytest.approx(float(hard))


@pytest.mark.parametrize(("power", "times"), [(1.0, 8.0), (0.5, 8**0.5), (0.0, 1.0)])
def test_rows_of_tables_have_their_own_rate_and_one_decay(power, times):
    pattern = Pattern(4, 3, scope="compiled", sharing="block", table="free")
    model = convert(nn.Sequential(nn.Conv2d(4, 2, 3)), {"0": pattern})
    recipe = Recipe("mine", lr=0.1, hash_lr=0.02, batch_size=8, weight_decay=0.5, table_lr_power=power)
    table = {name: g for g in make_optimizer(model, recipe).param_groups for name in names_of(model, g)}
    group = table["0.table_offsets"]
    assert group["lr"] == pytest.approx(0.1 * times)
    assert group["lr"] * group["weight_decay"] == pytest.approx(table["0.weight"]["lr"] * 0.5)
