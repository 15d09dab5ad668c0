import copy
import json
import math

import numpy as np
import pytest
import torch

from ostinato import data
from ostinato.data import ImageDataset, Split
from ostinato.errors import ModelError, OstinatoError
from ostinato.training import Recipe, evaluate, fit, load_checkpoint, load_model_state

FAST = Recipe("fast", lr=0.05, hash_lr=0.01, batch_size=16, nesterov=True, weight_decay=1e-4)


def test_learns(net, dataset):
    model = net()
    before = evaluate(model, dataset.test)
    result = fit(model, dataset, epochs=5, recipe=FAST)
    after = evaluate(model, dataset.test)
    assert after.top1 > max(0.8, before.top1)
    assert not result.stopped
    assert [record["epoch"] for record in result.history] == [1, 2, 3, 4, 5]


def test_ends_with_the_weights_that_are_best_on_validation(net, dataset):
    # A learning rate that grows until it spoils the network: the last epoch is not the best.
    spoil = Recipe("spoil", lr=1e-3, hash_lr=1e-3, batch_size=16, schedule="step", step_epochs=1, step_factor=60.0)
    model = net()
    result = fit(model, dataset, epochs=4, recipe=spoil)
    curve = [record["valid_top1"] for record in result.history]
    assert curve[-1] < max(curve)
    assert result.best_epoch == 1 + curve.index(max(curve))
    assert result.valid_top1 == max(curve)
    assert evaluate(model, dataset.valid).top1 == max(curve)


def test_never_reads_the_test_split(net, dataset):
    forbidden = ImageDataset("tiny", dataset.classes, dataset.train, dataset.valid, dataset.test)

    class Untouchable(Split):
        def __getattribute__(self, name):
            raise AssertionError("the test split was read")

    object.__setattr__(forbidden, "test", object.__new__(Untouchable))
    fit(net(), forbidden, epochs=1, recipe=FAST)


def test_same_seed_same_weights_and_another_seed_others(net, dataset):
    def train(seed):
        model = net()
        fit(model, dataset, epochs=2, recipe="modern", seed=seed, batch_size=16)
        return model.state_dict()

    first, again, other = train(4), train(4), train(5)
    assert all(first[name].equal(again[name]) for name in first)
    assert not first["fc.weight"].equal(other["fc.weight"])


def test_hash_lr_moves_only_the_hashes(net, dataset):
    model = net()
    start = copy.deepcopy(model.state_dict())
    fit(model, dataset, epochs=1, recipe=FAST, lr=1e-12, hash_lr=0.1)
    now = model.state_dict()
    assert not torch.allclose(now["hash.hash_vectors"], start["hash.hash_vectors"], atol=1e-3)
    assert not torch.allclose(now["hash.thresholds"], start["hash.thresholds"], atol=1e-3)
    for name in ("conv.weight", "fc.weight", "bn.bias"):
        torch.testing.assert_close(now[name], start[name], atol=1e-6, rtol=0)


def test_writes_metrics_and_model(net, dataset, tmp_path):
    model = net()
    seen = []
    result = fit(
        model, dataset, epochs=3, recipe=FAST, run_dir=tmp_path / "run", seed=9, meta={"patterns": {"conv": {"H": 4}}},
        on_epoch=seen.append,
    )  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint.pt", "metrics.jsonl", "model.pt",
    ]  # fmt: skip
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == result.history == seen
    meta = load_checkpoint(tmp_path / "run" / "model.pt").meta
    assert meta["patterns"] == {"conv": {"H": 4}}
    assert (meta["dataset"], meta["seed"], meta["classes"]) == ("tiny", 9, list(dataset.classes))
    assert (meta["epoch"], meta["valid_top1"]) == (result.best_epoch, result.valid_top1)
    assert meta["recipe"]["name"] == "fast"
    loaded = net(seed=1)
    load_model_state(tmp_path / "run" / "model.pt", loaded)
    for name, tensor in model.state_dict().items():
        assert tensor.equal(loaded.state_dict()[name])


def test_leaves_layout_and_modes_as_they_were(net, dataset):
    model = net().eval()
    model.bn.train()
    fit(model, dataset, epochs=1, recipe=FAST)
    assert not model.training
    assert model.bn.training
    assert all(parameter.is_contiguous() for parameter in model.parameters())


def test_teacher_is_used_and_left_alone(net, dataset):
    teacher = net(seed=7).train()
    before = copy.deepcopy(teacher.state_dict())
    alone, taught = net(), net()
    fit(alone, dataset, epochs=1, recipe=FAST)
    fit(taught, dataset, epochs=1, recipe=FAST, teacher=teacher)
    assert not alone.fc.weight.equal(taught.fc.weight)
    assert teacher.training
    assert all(parameter.grad is None for parameter in teacher.parameters())
    for name, tensor in teacher.state_dict().items():
        assert tensor.equal(before[name])
    with pytest.raises(ModelError, match="teacher is the model itself"):
        fit(taught, dataset, epochs=1, teacher=taught)


def test_pure_distillation_approaches_the_teacher(net, dataset):
    teacher = net(seed=7)
    fit(teacher, dataset, epochs=3, recipe=FAST)
    shifted = Split(dataset.train.images, (dataset.train.labels + 1) % 3)  # labels that are all wrong
    wrong = ImageDataset("tiny", dataset.classes, shifted, dataset.valid, dataset.test)
    student = net()
    only_teacher = Recipe("kd", lr=0.05, hash_lr=0.01, batch_size=16, teacher_share=1.0)
    fit(student, wrong, epochs=4, recipe=only_teacher, teacher=teacher)
    assert evaluate(student, dataset.test).top1 > 0.8


def test_train_limit_trains_on_that_many(net, dataset):
    counted = []
    model = net()
    model.register_forward_hook(lambda module, inputs, output: counted.append((module.training, len(output))))
    fit(model, dataset, epochs=2, recipe=FAST, train_limit=40, batch_size=16)
    sizes = [n for training, n in counted if training]
    assert sum(sizes) == 80
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 16


def test_bfloat16_trains_float32_weights(net, dataset):
    model = net()
    fit(model, dataset, epochs=3, recipe=FAST, precision="bfloat16")
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert evaluate(model, dataset.test).top1 > 0.6


def test_non_finite_gradient_stops_with_the_name_and_keeps_the_run(net, dataset, tmp_path):
    model = net()
    result = {}

    def poison(record):
        result.update(record)
        if record["epoch"] == 2:
            model.fc.bias.register_hook(lambda gradient: gradient * math.nan)

    with pytest.raises(ModelError, match=r"gradient of 'fc.bias'"):
        fit(model, dataset, epochs=4, recipe=FAST, run_dir=tmp_path, on_epoch=poison)
    assert result["epoch"] == 2
    resumed = net()
    assert len(fit(resumed, dataset, epochs=4, recipe=FAST, run_dir=tmp_path).history) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": 1, "recipe": "nope"}, "nope"),
        ({"epochs": 1, "lr": -1.0}, "lr=-1.0"),
        ({"epochs": 1, "batch_size": 0}, "batch_size=0"),
        ({"epochs": 1, "precision": "int8"}, "int8"),
        ({"epochs": 1, "train_limit": 151}, "151"),
    ],
)
def test_refuses_nonsense(net, dataset, arguments, words):
    with pytest.raises(OstinatoError, match=words):
        fit(net(), dataset, **arguments)


def test_refuses_nan_weights(net, dataset):
    model = net()
    model.conv.weight.data[0] = np.nan
    with pytest.raises(ModelError, match=r"'conv.weight'"):
        fit(model, dataset, epochs=1)


def test_is_silent_without_a_terminal(net, dataset, capfd):
    fit(net(), dataset, epochs=1, recipe=FAST, progress=True)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_digits_are_learned_but_never_mirrored(monkeypatch):
    from ostinato.training import trainer as trainer_module

    digits = data.load("digits")
    flips = []
    draw = trainer_module.EpochPlan.draw

    def watch(*arguments):
        plan = draw(*arguments)
        flips.append(bool(plan.flip.any()))
        return plan

    monkeypatch.setattr(trainer_module.EpochPlan, "draw", staticmethod(watch))
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, stride=2), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(8 * 14 * 14, 10),
    )  # fmt: skip
    fit(model, digits, epochs=3, batch_size=32)
    assert flips == [False] * 3
    assert evaluate(model, digits.test).top1 > 0.7
