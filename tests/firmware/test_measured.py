"""What a board printed beside the model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from random_networks import NetworkBuilder

from ostinato.cli.main import main
from ostinato.errors import DataError
from ostinato.firmware import Firmware, compare_with_board, deploy_graph
from ostinato.firmware.measured import board_image


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    net = NetworkBuilder((8, 8, 3), seed=5).conv("stem", 8).pool("pool", stride=(1, 1)).linear("head", 4)
    out = tmp_path_factory.mktemp("measured") / "firmware"
    return deploy_graph(net.graph("built"), net.images(1), out_dir=out, verify_images=0, hot_code=False)


def printed(firmware: Firmware, factor: float = 1.0) -> str:
    """A table as the board program prints it, of what the model says times a factor."""
    report = firmware.simulate(board_image(firmware.graph.input), flash_wait_states=5)
    rows = [
        f"{layer.name:28} ost_{layer.kernel:24}{round(factor * layer.cycles):12}{7:12}\r" for layer in report.layers
    ]
    output = "".join(f" {n}" for n in report.logits.reshape(-1).tolist())
    return "\n".join(["layer    kernel   cycles   us\r", *rows, f"total {9:12} {9:12}\r", f"output{output}\r", ""])


def test_layers_stand_beside_the_model(firmware: Firmware) -> None:
    report = compare_with_board(firmware, printed(firmware, 1.25))
    assert [layer.name for layer in report.layers] == ["stem", "pool", "head"]
    assert all(layer.difference == pytest.approx(-0.2, abs=1e-3) for layer in report.layers)
    assert report.total.difference == pytest.approx(-0.2, abs=1e-3)
    assert report.same_output
    assert "5 flash wait states" in report.cycle_model
    text = str(report)
    assert "-20.0%" in text
    assert "bit for bit" in text


def test_only_the_last_complete_table_counts(firmware: Firmware) -> None:
    good = printed(firmware)
    noise = "\x00boot\nlayer kernel cycles us\nstem"
    report = compare_with_board(firmware, printed(firmware, 2) + noise + "\n" + good + "layer kernel cycles us\nst")
    assert report.total.measured == report.total.modelled


def test_another_output_is_said(firmware: Firmware) -> None:
    lines = printed(firmware).splitlines()
    report = compare_with_board(firmware, "\n".join([*lines[:-1], "output 1 2 3 4"]))
    assert not report.same_output
    assert "[1, 2, 3, 4]" in str(report)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: "", "no complete table"),
        (lambda text: text.replace("output", "oops"), "no complete table"),
        (lambda text: text.replace("pool ", "tool "), "not this firmware's: it has tool"),
        (lambda text: text.replace("pool ", "total "), "no complete table"),
        (lambda text: text.replace("output", "output x"), "'x' where a number"),
    ],
)
def test_text_that_is_no_table(firmware: Firmware, change: object, sentence: str) -> None:
    assert callable(change)
    with pytest.raises(DataError, match=sentence):
        compare_with_board(firmware, change(printed(firmware)))


def test_the_command(
    firmware: Firmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "port.txt").write_text(printed(firmware))

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["ostinato", "simulate", str(firmware.project_dir), *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)

    assert run("--measured", tmp_path / "port.txt", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["same_output"]
    assert found["total"]["measured"] == found["total"]["modelled"]
    assert run("--measured", tmp_path / "port.txt") == 0
    assert "measured" in capsys.readouterr().out
    assert run("--measured", tmp_path / "none.txt") == 2
    assert "none.txt cannot be read" in capsys.readouterr().err
