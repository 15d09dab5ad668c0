"""Trained networks by name: what the index says of them is true, and damaged or unknown ones are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

import ostinato as ost
from ostinato import models
from ostinato.checkpoints import Checkpoint, load_checkpoint, save_half, save_model
from ostinato.errors import CheckpointError, ModelError
from ostinato.models import zoo
from ostinato.reuse import read_pattern

ENTRIES = zoo.entries()
ROOT = os.environ.get("OSTINATO_DATA", "")


def test_files_are_small_and_all_listed():
    assert {path.name for path in zoo.FOLDER.glob("*.pt")} == {entry.file for entry in ENTRIES.values()}
    assert all(entry.bytes == entry.path.stat().st_size <= 4_000_000 for entry in ENTRIES.values())
    assert sum(entry.bytes for entry in ENTRIES.values()) <= 20_000_000


@pytest.mark.parametrize("name", ENTRIES)
def test_a_trained_network_is_what_the_index_says(name):
    entry = ENTRIES[name]
    network = models.pretrained(name)
    assert not network.training
    assert models.parameters(network) == entry.parameters
    meta = load_checkpoint(entry.path).meta
    side = network.architecture["kwargs"]["image_size"]
    assert models.macs(network, torch.zeros(1, 3, side, side)) == entry.macs
    assert (meta["dataset"], meta["seed"], meta["model"]) == (entry.dataset, entry.seed, entry.model)
    assert meta["recipe"] == entry.recipe
    assert entry.reuse == {name: str(read_pattern(fields)) for name, fields in meta["patterns"].items()}
    programs = tuple(f"python benchmarks/{name}.py " for name in ("compile_tables", "narrow_tables"))
    assert entry.command.startswith(programs if entry.reuse else "ostinato train ")
    assert entry.commit


@pytest.mark.skipif(not ROOT, reason="OSTINATO_DATA is not set (a folder with cifar10/ inside)")
def test_trained_networks_reach_what_the_index_says():
    """On the first thousand test images: 3 standard deviations of a thousand draws around the whole set's accuracy."""
    dataset = ost.data.load("cifar10", Path(ROOT) / "cifar10")
    some = ost.data.Split(dataset.test.images[:1000], dataset.test.labels[:1000])
    for entry in ENTRIES.values():
        if entry.dataset == "cifar10":
            deviation = (entry.test_top1 * (1 - entry.test_top1) / 1000) ** 0.5
            top1 = ost.evaluate(models.pretrained(entry.name), some).top1
            assert top1 == pytest.approx(entry.test_top1, abs=3 * deviation), entry.name


@pytest.fixture
def own_zoo(tmp_path, monkeypatch):
    """A zoo of one untrained network."""
    torch.manual_seed(0)
    network = models.resnet8().eval()
    save_model(tmp_path / "whole.pt", network, meta={"classes": [str(i) for i in range(10)]})
    save_half(tmp_path / "tiny.pt", load_checkpoint(tmp_path / "whole.pt"))
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    monkeypatch.setattr(zoo, "INDEX", tmp_path / "index.json")
    entry = dict.fromkeys(("bytes", "parameters", "macs", "valid_top1", "test_top1", "int8_test_top1"), 0)
    entry |= dict.fromkeys(("model", "dataset", "data_note", "command", "commit"), "")
    digest = zoo.hashlib.sha256((tmp_path / "tiny.pt").read_bytes()).hexdigest()
    entry |= {"file": "tiny.pt", "sha256": digest, "epochs": 1, "seed": 0, "recipe": {}, "later": "ignored"}
    (tmp_path / "index.json").write_text(json.dumps({"tiny": entry}))
    return network


def test_matrices_are_rounded_once_and_vectors_kept(own_zoo, tmp_path):
    found = models.pretrained("tiny").state_dict()
    for name, tensor in own_zoo.state_dict().items():
        expected = tensor.half().float() if tensor.ndim > 1 else tensor
        assert torch.equal(found[name], expected), name
        assert found[name].dtype == tensor.dtype
    assert (tmp_path / "tiny.pt").stat().st_size < 0.7 * (tmp_path / "whole.pt").stat().st_size


def test_folders_files_and_names_are_all_found(own_zoo, tmp_path):
    assert zoo.checkpoint_path("tiny") == tmp_path / "tiny.pt"
    assert zoo.checkpoint_path(tmp_path / "whole.pt") == tmp_path / "whole.pt"
    assert zoo.checkpoint_path(tmp_path) == tmp_path / "model.pt"


def test_unknown_and_damaged_ones_are_refused(own_zoo, tmp_path):
    with pytest.raises(CheckpointError, match=r"no such folder.*known: tiny\); did you mean 'tiny'\?"):
        models.pretrained("tinny")
    with pytest.raises(CheckpointError, match=r"known: tiny\)\."):
        zoo.checkpoint_path(tmp_path / "nothing")
    content = bytearray((tmp_path / "tiny.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "tiny.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="not the file that the index describes"):
        models.pretrained("tiny")
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(CheckpointError, match="not a readable index"):
        zoo.entries()


def test_weights_too_large_for_half_are_refused(tmp_path):
    state = {"layer.weight": torch.full((2, 2), 1e6), "layer.bias": torch.full((2,), 1e6)}
    with pytest.raises(ModelError, match=r"'layer\.weight'"):
        save_half(tmp_path / "a.pt", Checkpoint({}, state))
    assert not list(tmp_path.iterdir())
