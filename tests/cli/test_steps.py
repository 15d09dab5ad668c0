"""train, convert, deploy, simulate: each a command, the output of one the input of the next."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ostinato.cli.main import main

Command = Callable[..., dict[str, Any]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command line with --json and return what it printed."""

    def run(*arguments: str | Path) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["ostinato", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code in (0, None)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run


def test_the_steps_one_after_another(command: Command, tmp_path: Path) -> None:
    net, reuse, firmware = tmp_path / "net", tmp_path / "reuse", tmp_path / "firmware"
    trained = command("train", "--epochs", 1, "--train-limit", 200, "--out", net, "--quiet")
    assert 0 <= trained["test_top1"] <= 1
    again = command("train", "--epochs", 1, "--train-limit", 200, "--out", net, "--quiet")
    assert again == trained  # finished: not trained again

    patterns = tmp_path / "patterns.toml"
    patterns.write_text('[conv2]\nL = 16\nH = 4\nscope = "compiled"\nsharing = "block"\ninit = "itq"\n')
    converted = command(
        "convert", net, "--patterns", patterns, "--fine-tune-epochs", 0, "--calibration-images", 32, "--out", reuse
    )
    assert [(layer["name"], layer["converted"]) for layer in converted["layers"]] == [("conv1", False), ("conv2", True)]

    planned = command("deploy", reuse, "--dry-run", "--calibration-images", 32)
    assert planned["fits"]
    assert planned["arena_bytes"] == planned["lower_bound"]

    sizes = command("deploy", reuse, "--board", "stm32f469i", "--calibration-images", 32, "--out", firmware, "--verify")
    assert sizes["verification"]["agrees"]
    assert {layer["name"] for layer in sizes["verification"]["layers"]} >= {"conv1", "conv2", "fc3"}
    assert 0 < sizes["sram_bytes"] < 320 * 1024
    assert planned["sram_bytes"] <= sizes["sram_bytes"]
    assert (firmware / "model.c").exists()

    simulated = command("simulate", firmware)
    assert {layer["name"] for layer in simulated["layers"]} >= {"conv1", "conv2", "fc3"}
    assert sum(layer["cycles"] for layer in simulated["layers"]) == simulated["cycles"]
    plain = command("simulate", firmware, "--plain-c")
    assert plain["logits"] == simulated["logits"]
    assert plain["cycles"] > simulated["cycles"]


def test_boards(command: Command) -> None:
    assert {board["name"] for board in command("boards")["boards"]} >= {"stm32f469i", "stm32f767zi"}


@pytest.mark.parametrize("name", ["run", "train", "prune", "convert", "deploy", "simulate", "report", "boards", "zoo"])
def test_every_command_explains_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ostinato", name, "--help"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    assert "Usage" in capsys.readouterr().out
