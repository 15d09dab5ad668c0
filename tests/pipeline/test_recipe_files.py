"""Recipe files: those that come along can all be followed; others are refused by file and field."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import ostinato as ost
from ostinato.errors import ModelError, OstinatoError
from ostinato.pipeline.networks import load_network
from ostinato.pipeline.recipe_files import network_of, read_recipe, recipe_names
from ostinato.pipeline.train import train_recipe
from ostinato.training import MODERN, prune_channels

SMALL = """
network = "resnet8"
data = "digits"
epochs = 1

[training]
lr = 0.02
batch_size = 64

[pruning]
size = 0.5
keep = { conv1 = 1.0 }
epochs = 1
"""


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_that_come_along_make_their_network(name: str) -> None:
    recipe = read_recipe(name)
    side = int(recipe.data.partition("@")[2] or {"tinyimagenet": 64}.get(recipe.data, 32))
    with torch.device("meta"):
        network = network_of(recipe, 10, side)
        assert network.eval()(torch.zeros(1, 3, side, side)).shape == (1, 10)
    assert recipe.name == name
    assert recipe.data.partition("@")[0] in ost.data.names()


def test_every_network_of_the_papers_has_a_recipe() -> None:
    assert {read_recipe(name).network for name in recipe_names()} == set(ost.models.names())


def test_a_pruning_recipe_leaves_what_it_says() -> None:
    recipe = read_recipe("zfnet-cifar10")
    network = network_of(recipe, 10, 64)
    _, report = prune_channels(network, torch.zeros(1, 3, 64, 64), size=recipe.pruning.size, keep=recipe.pruning.keep)
    assert report.size <= 0.08  # TREC §5.1: 7.6 %


def test_a_recipe_is_followed_to_the_pruned_network(tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    recipe = read_recipe(file)
    dataset = ost.data.load("digits")
    network = train_recipe(recipe, dataset, tmp_path / "run", train_limit=128, progress=False)
    loaded, meta = load_network(tmp_path / "run" / "model.pt")
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded(x), network(x))
    assert meta["recipe_file"] == "small"
    assert meta["recipe"]["lr"] == 0.02
    assert meta["kwargs"]["sizes"]["stack3.conv1"][0] < 64
    whole, _ = load_network(tmp_path / "run" / "unpruned" / "model.pt")
    assert ost.models.parameters(loaded) <= 0.5 * ost.models.parameters(whole)
    again = train_recipe(recipe, dataset, tmp_path / "run", train_limit=128, progress=False)
    assert torch.equal(again(x), network(x))  # finished: taken from the folder


def test_fields_of_the_training_table_go_over_its_base(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(SMALL)
    training = read_recipe(file).training
    assert (training.lr, training.batch_size, training.momentum) == (0.02, 64, MODERN.momentum)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('network = "resnet8"', "", "field 'network' is missing"),
        ('"resnet8"', '"resnet9"', "network is 'resnet9'; known: alexnet"),
        ("epochs = 1\n\n[training]", "epochs = 0\n\n[training]", "epochs is 0"),
        ("epochs = 1\n\n[training]", "epochs = true\n\n[training]", "epochs is True, expected int"),
        ("lr = 0.02", 'lr = "fast"', "training.lr is 'fast', expected float"),
        ("lr = 0.02", "lr = -1.0", "lr=-1.0; it must be a positive number"),
        ("lr = 0.02", "speed = 1", "unknown field 'training.speed'"),
        ("lr = 0.02", 'base = "old"', "Unknown recipe 'old'"),
        ("lr = 0.02", 'schedule = "saw"', "schedule='saw'"),
        ("size = 0.5", "", "field 'pruning.size' is missing"),
        ("size = 0.5", "share = 0.5", "unknown field 'pruning.share'"),
        ('data = "digits"', 'data = "digits"\ncolour = 1', "unknown field 'colour'"),
        ('data = "digits"', 'data = "digits"\nname = "x"', "called as its file is"),
        ('data = "digits"', 'data = "digits"\nprecision = "int8"', "precision is 'int8'"),
        ('data = "digits"', "data = ", "not valid TOML"),
    ],
)
def test_others_are_refused(tmp_path: Path, before: str, after: str, words: str) -> None:
    file = tmp_path / "bad.toml"
    assert before in SMALL
    file.write_text(SMALL.replace(before, after, 1))
    with pytest.raises(OstinatoError) as error:
        read_recipe(file)
    assert words in str(error.value)
    assert "bad.toml" in str(error.value)


def test_names_and_files_that_are_not_there() -> None:
    with pytest.raises(OstinatoError, match=r"Unknown recipe 'cifarnet-cifar100'; known: .*did you mean 'cifarnet"):
        read_recipe("cifarnet-cifar100")
    with pytest.raises(OstinatoError, match=r"Cannot read the recipe nowhere\.toml"):
        read_recipe("nowhere.toml")


def test_arguments_that_the_network_does_not_take(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(SMALL + "\n[arguments]\nwidth = 0.5\n")
    with pytest.raises(ModelError, match="Recipe 'bad': Model 'resnet8' has no argument 'width'"):
        network_of(read_recipe(file), 10, 32)
