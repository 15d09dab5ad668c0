"""train --recipe and --start, prune, zoo: networks made, made smaller, and taken by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ostinato.cli.main import main
from ostinato.models import load_network, parameters, zoo

RECIPE = 'network = "resnet8"\ndata = "digits"\nepochs = 1\n[training]\nlr = 0.02\n'


@pytest.fixture
def ostinato(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["ostinato", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        assert (stop.value.code or 0) == code, captured.err
        return captured.out if code == 0 else captured.err

    return run


def test_a_recipe_a_start_and_a_pruned_network(ostinato, tmp_path: Path) -> None:
    recipe, net, again, pruned = (tmp_path / name for name in ("r.toml", "net", "again", "pruned"))
    recipe.write_text(RECIPE)
    quick = ("--train-limit", 128, "--quiet", "--json")
    trained = json.loads(ostinato("train", "--recipe", recipe, "--out", net, *quick))
    assert 0 <= trained["test_top1"] <= 1
    assert load_network(net / "model.pt")[1]["recipe_file"] == "r"

    ostinato("train", "--recipe", recipe, "--start", net, "--epochs", 2, "--out", again, *quick)
    assert len((again / "metrics.jsonl").read_text().splitlines()) == 2
    first, started = (json.loads((f / "metrics.jsonl").read_text().splitlines()[0]) for f in (net, again))
    assert started["train_loss"] < first["train_loss"]

    options = ("--size", 0.5, "--keep", "conv1=1.0", "--epochs", 1)
    result = json.loads(ostinato("prune", net, *options, "--out", pruned, *quick))
    whole, smaller = (load_network(f / "model.pt")[0] for f in (net, pruned))
    assert result["parameters"] == parameters(smaller) <= 0.5 * parameters(whole)
    assert {"name": "conv1", "kept": 16, "of": 16} in result["layers"]


def test_recipes_name_their_network(ostinato, tmp_path: Path) -> None:
    error = ostinato("train", "--recipe", "cifarnet-digits", "--model", "resnet8", "--out", tmp_path, code=2)
    assert "the recipe says which network" in error
    error = ostinato("train", "--recipe", "cifarnet-digit", "--out", tmp_path, code=2)
    assert "did you mean 'cifarnet-digits'?" in error
    assert not list(tmp_path.iterdir())


def test_a_share_that_is_none(ostinato, tmp_path: Path) -> None:
    assert "is not LAYER=SHARE" in ostinato("prune", tmp_path, "--size", 0.5, "--keep", "conv1", "--out", "x", code=2)


def test_the_zoo_is_listed(ostinato) -> None:
    listed = json.loads(ostinato("zoo", "--json"))["networks"]
    assert [network["name"] for network in listed] == list(zoo.entries())
    table = ostinato("zoo")
    assert all(name in table for name in zoo.entries())


def test_a_name_is_taken_for_a_folder(ostinato, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, net = tmp_path / "r.toml", tmp_path / "net"
    recipe.write_text(RECIPE)
    ostinato("train", "--recipe", recipe, "--out", net, "--train-limit", 64, "--quiet")
    monkeypatch.setattr("ostinato.cli.common.checkpoint_path", {Path("our-net"): net / "model.pt"}.__getitem__)
    plan = json.loads(ostinato("deploy", "our-net", "--dry-run", "--calibration-images", 16, "--json"))
    assert plan["fits"]


def test_names_that_nothing_has(ostinato) -> None:
    assert "no trained network of this name" in ostinato("deploy", "nothing-here", "--dry-run", code=2)


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "ostinato", "zoo", "--json"]
    listed = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["networks"]
    assert [network["name"] for network in listed] == list(zoo.entries())
