"""Every mistake a user can make on the command line: one sentence, exit code 2, no half-written file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ostinato import models
from ostinato.cli.main import main
from ostinato.data import load
from ostinato.training import save_model

Run = Callable[..., str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line, expect exit code 2 and one line on stderr; returns that line."""

    def run(*arguments: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", ["ostinato", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        complaint = [line for line in err.splitlines() if line.startswith("ostinato: ")]
        assert stop.value.code == 2, err
        assert len(complaint) == 1, err
        assert "Traceback" not in err
        assert out == ""
        return complaint[0]

    return run


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained CifarNet for digits, saved as `train` saves it."""
    folder = tmp_path_factory.mktemp("net")
    torch.manual_seed(0)
    kwargs = {"num_classes": 10, "image_size": 32}
    meta = {"model": "cifarnet", "kwargs": kwargs, "classes": list("0123456789"), "dataset": "digits", "seed": 0}
    save_model(folder / "model.pt", models.create("cifarnet", **kwargs), meta=meta)
    return folder


def nothing_written(folder: Path) -> bool:
    return not folder.exists() or not any(folder.rglob("*"))


def test_unknown_model(refused: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert "cifarnett" in refused("run", "--model", "cifarnett", "--out", out)
    assert nothing_written(out)


def test_unknown_board(refused: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert "stm32f469i" in refused("run", "--board", "stm32f469", "--out", out)
    assert nothing_written(out)


def test_unknown_data_set(refused: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert "'digit'" in refused("run", "--data", "digit", "--out", out)
    assert nothing_written(out)


def test_missing_data(refused: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    message = refused("run", "--data", "cifar10", "--data-dir", tmp_path / "nowhere", "--out", out)
    assert "nowhere" in message
    assert nothing_written(out)


@pytest.mark.parametrize("name", ["train.parquet", "data_batch_1"])
def test_corrupt_data(refused: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(b"PAR1 but nothing that follows is parquet")
    out = tmp_path / "run"
    assert "data" in refused("train", "--data", "cifar10", "--data-dir", tmp_path / "data", "--out", out)
    assert nothing_written(out)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("conv3:L=8,H=4", "no layer 'conv3'"),
        ("bn1:L=8,H=4", "can be reused"),
        ("fc1:L=8,H=4", "use scope 'compiled'"),
        ("conv1:L=76,H=4", "K = 75"),
        ("conv1:L=38,H=4,direction=horizontal,sharing=layer", "K = 75"),
        ("conv2:L=7,H=4,scope=compiled,sharing=block", "length 7 does not divide its 64 input channels"),
        ("conv2:L=8,H=17", "from 1 to 16"),
        ("conv2:L=8,H=4,scope=video", "scope must be one of"),
    ],
)
def test_patterns_that_cannot_be(refused: Run, network: Path, tmp_path: Path, pattern: str, complaint: str) -> None:
    out = tmp_path / "reuse"
    assert complaint in refused("convert", network, "--pattern", pattern, "--out", out)
    assert nothing_written(out)


def test_truncated_checkpoint(refused: Run, network: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes((network / "model.pt").read_bytes()[:5000])
    assert "truncated" in refused("deploy", tmp_path / "model.pt", "--out", tmp_path / "fw")
    assert nothing_written(tmp_path / "fw")


def test_checkpoint_of_another_model(refused: Run, tmp_path: Path) -> None:
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    meta = {"model": "cifarnet", "kwargs": {"num_classes": 10}, "classes": [], "dataset": "digits", "seed": 0}
    save_model(tmp_path / "model.pt", other, meta={**meta, "patterns": {}})
    assert "conv1.weight" in refused("deploy", tmp_path / "model.pt", "--out", tmp_path / "fw")
    assert nothing_written(tmp_path / "fw")


def test_nan_weights(refused: Run, network: Path, tmp_path: Path) -> None:
    content = torch.load(network / "model.pt", weights_only=True)
    content["state"]["conv2.weight"][0, 0, 0, 0] = float("nan")
    from ostinato.checkpoints.tensors import save_tensors

    content.pop("digest")
    save_tensors(tmp_path / "model.pt", content)
    assert "'conv2.weight' has 1 NaN" in refused("deploy", tmp_path / "model.pt", "--out", tmp_path / "fw")
    assert nothing_written(tmp_path / "fw")


def test_no_network_there(refused: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "model.pt" in refused("deploy", tmp_path / "empty", "--out", tmp_path / "fw")


def test_no_firmware_there(refused: Run, tmp_path: Path) -> None:
    assert "nowhere" in refused("simulate", tmp_path / "nowhere")


def test_no_report_there(refused: Run, tmp_path: Path) -> None:
    assert "report.json" in refused("report", tmp_path)


def test_unknown_kernel(refused: Run, network: Path, tmp_path: Path) -> None:
    assert "'fast'" in refused("deploy", network, "--kernel", "fast", "--out", tmp_path / "fw")
    assert nothing_written(tmp_path / "fw")


@pytest.mark.parametrize(
    ("memory", "size", "largest"), [("sram_bytes", 20 * 1024, "conv2"), ("flash_bytes", 300 * 1024, "fc1")]
)
def test_a_board_that_is_too_small(
    refused: Run, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str, size: int, largest: str
) -> None:
    import dataclasses

    from ostinato.targets import boards

    small = dataclasses.replace(boards.get_board("stm32f469i"), name="small", **{memory: size})
    monkeypatch.setitem(boards.BOARDS, "small", small)
    message = refused("deploy", network, "--board", "small", "--out", tmp_path / "fw")
    assert "does not fit" in message
    assert largest in message
    assert nothing_written(tmp_path / "fw")


def test_no_compiler(refused: Run, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ziglang", None)  # what `import ziglang` finds without the package
    message = refused("deploy", network, "--out", tmp_path / "fw")
    assert "ziglang" in message
    assert nothing_written(tmp_path / "fw")


def test_output_folder_of_another_run(refused: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "config.toml").write_text('model = "cifarnet"\nseed = 7\n')
    before = sorted(out.iterdir())
    assert "seed = 7" in refused("run", "--seed", "1", "--out", out)
    assert sorted(out.iterdir()) == before


def test_output_folder_with_other_files(refused: Run, network: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    refused("deploy", network, "--out", out)
    assert (out / "thesis.tex").read_text() == "years of work"


def test_the_data_set_is_there_offline() -> None:
    assert len(load("digits").test) > 0


@pytest.mark.parametrize(
    "device",
    ["quantum", pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there"))],
)
def test_a_device_that_is_not_there(refused: Run, tmp_path: Path, device: str) -> None:
    out = tmp_path / "net"
    assert f"--device {device}: PyTorch cannot use it here" in refused("train", "--device", device, "--out", out)
    assert not out.exists()
