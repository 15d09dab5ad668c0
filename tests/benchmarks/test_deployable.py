"""The program that proves networks deployable, on a tiny one."""

import json

import torch

import deployable
import ostinato as ost
from ostinato.checkpoints import save_model


def test_a_network_is_proved_and_told(tmp_path, monkeypatch):
    torch.manual_seed(0)
    digits = ost.data.load("digits")
    network = ost.models.resnet8(num_classes=10, image_size=digits.image_size).eval()
    (tmp_path / "net").mkdir()
    save_model(tmp_path / "net" / "model.pt", network, meta={"classes": digits.classes, "dataset": "digits", "seed": 0})
    monkeypatch.setattr(deployable, "RESULTS", tmp_path)
    arguments = [str(tmp_path / "net"), "--data-root", str(tmp_path), "--images", "2", "--out", str(tmp_path / "kept")]
    monkeypatch.setattr("sys.argv", ["deployable.py", *arguments])
    deployable.main()
    (kept,) = (json.loads(path.read_text()) for path in (tmp_path / "kept").glob("*.json"))
    assert kept["verified"] == 2
    assert 0 <= kept["int8_top1"] <= 1
    assert len(kept["executions"]) == 4
    page = (tmp_path / "deployable.md").read_text()
    assert f"| net | stm32f469i | {100 * kept['int8_top1']:.2f} |" in page
    assert "2 images, " in page


def test_what_does_not_fit_is_said_in_the_words_of_deploy():
    problem = "layer fc1 needs 9 MB"
    lines = [{"network": "runs/big", "board": "stm32f469i", "problem": problem}]
    page = deployable.page(lines, "python benchmarks/deployable.py")
    assert "| big | stm32f469i | – | – | does not fit | – | – | – |" in page
    assert f"* big: {problem}" in page
