"""Averaged weights: the mean of the last epochs', tried on validation images, the same after a resumption."""

import contextlib
from dataclasses import replace

import torch

from ostinato.data import to_input
from ostinato.training import fit
from ostinato.training.averaging import WeightAverage, refresh_statistics
from ostinato.training.recipes import MODERN


def test_means_of_floats_and_the_last_of_others():
    average = WeightAverage()
    states = [{"w": torch.tensor([v]), "n": torch.tensor(int(v))} for v in (1.0, 2.0, 6.0)]
    for state in states:
        average.add(state)
    assert average.weights["w"].item() == 3.0
    assert average.weights["n"].item() == 6
    assert states[0]["w"].item() == 1.0


def test_statistics_are_those_of_the_images(net, dataset):
    model = net().eval()
    model.bn.running_mean.fill_(9.0)
    refresh_statistics(model, dataset.train, len(dataset.train))
    with torch.no_grad():
        means = model.conv(to_input(dataset.train.images)).mean((0, 2, 3))
    torch.testing.assert_close(model.bn.running_mean, means)
    assert model.bn.momentum == 0.1
    assert not model.training


def test_the_average_is_tried_and_survives_a_resumption(net, dataset, tmp_path):
    arguments = {"epochs": 4, "recipe": MODERN, "batch_size": 16, "seed": 1, "average_share": 0.5, "progress": False}
    whole = net()
    result = fit(whole, dataset, run_dir=tmp_path / "whole", **arguments)
    assert ["average_valid_top1" in record for record in result.history] == [False, False, False, True]
    best = max(result.history[-1]["average_valid_top1"], *(record["valid_top1"] for record in result.history))
    assert result.valid_top1 == best
    checkpoint = torch.load(tmp_path / "whole" / "checkpoint.pt", weights_only=True)
    assert checkpoint["average"]["epochs"] == 2

    stopped = net()

    def after_three(record):
        if record["epoch"] == 3:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        fit(stopped, dataset, run_dir=tmp_path / "stopped", on_epoch=after_three, **arguments)
    again = net()
    resumed = fit(again, dataset, run_dir=tmp_path / "stopped", **arguments)
    assert resumed.history[-1]["average_valid_top1"] == result.history[-1]["average_valid_top1"]
    for name, tensor in whole.state_dict().items():
        assert again.state_dict()[name].equal(tensor), name


def test_one_epoch_is_no_average():
    assert MODERN.averaged_epochs(10) == 0
    assert [replace(MODERN, average_share=0.3).averaged_epochs(n) for n in (3, 10)] == [0, 3]
