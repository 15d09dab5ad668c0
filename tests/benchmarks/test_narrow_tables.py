"""The program of fewer channels and tables together, on a tiny network."""

import json

import pytest
import torch

import narrow_tables
import ostinato as ost
from narrow_cases import Narrow, Tables
from ostinato.checkpoints import save_model
from recipe_rows import free_tree


@pytest.fixture
def case(tmp_path, monkeypatch):
    torch.manual_seed(0)
    digits = ost.data.load("digits")
    network = ost.models.resnet8(num_classes=10, image_size=digits.image_size).eval()
    path = tmp_path / "whole.pt"
    save_model(path, network, meta={"classes": digits.classes, "dataset": "digits", "seed": 0})
    tables = (Tables("one layer", {"stack2.conv1": free_tree(4, 3)}, epochs=1, images=40),)
    monkeypatch.setattr(narrow_tables, "CASES", {"tiny": Narrow(0.5, 1, 0.01, tables)})
    monkeypatch.setattr(narrow_tables, "checkpoint_path", lambda name: path)
    monkeypatch.setattr(narrow_tables, "RESULTS", tmp_path)
    arguments = ["tiny", "--out", str(tmp_path / "runs"), "--precision", "float32"]
    monkeypatch.setattr("sys.argv", ["narrow_tables.py", *arguments])
    return tmp_path


def test_a_network_is_pruned_compiled_trained_and_told(case):
    narrow_tables.main()
    rows = json.loads((case / "narrow-tables-tiny.json").read_text())["rows"]
    assert [r["row"].partition(",")[0] for r in rows] == ["conventional", "narrower", "and one layer", "and one layer"]
    whole, narrow, *tables = rows
    assert narrow["cycles"] < whole["cycles"]
    assert all(0 <= r["int8_test_top1"] <= 1 and r["flash_bytes"] > 0 for r in rows)
    assert len({tuple(r["layers"]) for r in tables}) == 1
    page = (case / "narrow-tables-tiny.md").read_text()
    assert "`stack2.conv1`: L=4 H=3" in page
    assert f"{narrow['cycles'] / 1e6:.2f} | {whole['cycles'] / narrow['cycles']:.2f}" in page
