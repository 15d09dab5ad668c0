from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_networks import NetworkBuilder

from ostinato.errors import CheckpointError
from ostinato.firmware import Firmware, FolderError, deploy_graph
from ostinato.firmware.folder import MANIFEST
from ostinato.firmware.graph_io import graph_from_document, graph_to_document
from ostinato.firmware.storage import ARRAYS


def everything() -> NetworkBuilder:
    net = NetworkBuilder((10, 10, 4), seed=9)
    net.conv("conv", 8).pool("max").reuse_image("image", 8, length=6, hashes=2, kernel=(2, 2))
    net.reuse_compiled("compiled", 8, length=4, hashes=2, kernel=(2, 2))
    return net.pool("average", average=True).linear("head", 3)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def test_every_operator_survives_json() -> None:
    graph = everything().graph(classes=("a", "b", "ü"))
    document, arrays = graph_to_document(graph)
    back = graph_from_document(json.loads(json.dumps(document)), arrays)
    assert same(graph, back)
    assert not same(graph, everything().graph())


@pytest.mark.parametrize(
    "document", [{"type": "QTensor"}, {"type": "os.system"}, {"array": "x"}, [], 3, {"mapping": {}}]
)
def test_other_documents_are_refused(document: Any) -> None:
    with pytest.raises(CheckpointError):
        graph_from_document(document, {})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    net = NetworkBuilder((8, 8, 3), seed=5).conv("conv", 8).pool("pool").linear("head", 4)
    out = tmp_path_factory.mktemp("saved") / "out"
    return deploy_graph(net.graph(), net.images(2), out_dir=out, verify_images=0)


def copy(saved: Firmware, tmp_path: Path) -> Path:
    return saved.save(tmp_path / "copy")


def test_a_saved_project_loads_and_runs_the_same(saved: Firmware, tmp_path: Path) -> None:
    loaded = Firmware.load(copy(saved, tmp_path))
    assert same(loaded.graph, saved.graph)
    assert loaded.sizes == saved.sizes
    assert (loaded.board, loaded.kernel, loaded.toolchain) == (saved.board, saved.kernel, saved.toolchain)
    assert np.array_equal(loaded.samples, saved.samples)
    a, b = loaded.simulate(), saved.simulate()
    assert (a.cycles, a.flash_bytes, a.sram_bytes) == (b.cycles, b.flash_bytes, b.sram_bytes)
    assert np.array_equal(a.logits, b.logits)


def test_saving_twice_is_fine_and_saving_onto_itself_too(saved: Firmware, tmp_path: Path) -> None:
    folder = copy(saved, tmp_path)
    before = sorted(p.name for p in folder.iterdir())
    assert copy(saved, tmp_path) == folder
    assert Firmware.load(folder).save(folder) == folder
    assert sorted(p.name for p in folder.iterdir()) == before


def test_edits_are_not_overwritten(saved: Firmware, tmp_path: Path) -> None:
    folder = copy(saved, tmp_path)
    (folder / "main.c").write_text("int main(void) { return 42; }")
    with pytest.raises(FolderError, match=r"main\.c was edited"):
        copy(saved, tmp_path)


def test_loading_no_project_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="deploy"):
        Firmware.load(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", [b"", b"not a zip", None])
def test_damaged_arrays_are_refused(saved: Firmware, tmp_path: Path, damage: bytes | None) -> None:
    path = copy(saved, tmp_path) / ARRAYS
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(CheckpointError, match=ARRAYS):
        Firmware.load(path.parent)


@pytest.mark.parametrize("key", ["board", "kernel", "sizes", "graph", "files"])
def test_an_incomplete_manifest_is_refused(saved: Firmware, tmp_path: Path, key: str) -> None:
    path = copy(saved, tmp_path) / MANIFEST
    document = json.loads(path.read_text())
    del document[key]
    path.write_text(json.dumps(document))
    with pytest.raises(CheckpointError):
        Firmware.load(path.parent)
