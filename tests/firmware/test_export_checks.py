from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_networks import NetworkBuilder

from ostinato.errors import OstinatoError, QuantizationError, UnsupportedError
from ostinato.firmware import deploy_graph
from ostinato.firmware.export_checks import check_export
from ostinato.quant.ops import QGraph


def graph() -> QGraph:
    net = NetworkBuilder((8, 8, 3), seed=2).conv("conv", 8).reuse_compiled("tables", 16, length=8, hashes=4)
    return net.reuse_image("clusters", 8, length=8, hashes=3).linear("head", 4).graph()


def changed(layer: str, **fields: Any) -> QGraph:
    whole = graph()
    return replace(whole, ops=tuple(replace(op, **fields) if op.name == layer else op for op in whole.ops))


def field(layer: str, name: str) -> Any:
    return getattr(graph().op(layer), name)


def test_a_sound_network_passes() -> None:
    check_export(graph())


@pytest.mark.parametrize(
    ("layer", "name", "value", "bits"),
    [
        ("conv", "weight", 128, 8),
        ("conv", "bias", -(2**31) - 1, 32),
        ("head", "multiplier", 2**31, 32),
        ("tables", "table", -129, 8),
        ("tables", "offset", 2**15, 16),
        ("clusters", "offset", -(2**15) - 1, 16),
        ("clusters", "multiplier", 2**31, 32),
    ],
)
def test_a_value_beyond_its_type_is_named(layer: str, name: str, value: int, bits: int, tmp_path: Path) -> None:
    values = field(layer, name).astype(np.int64)
    values.reshape(-1)[1] = value
    with pytest.raises(QuantizationError, match=rf"Layer {layer}: its {name} has the value {value:,}, which int{bits}"):
        deploy_graph(changed(layer, **{name: values}), np.zeros((1, 8, 8, 3), np.int8), out_dir=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_real_numbers_are_refused() -> None:
    with pytest.raises(QuantizationError, match="float64"):
        check_export(changed("tables", table=field("tables", "table") * 0.5))


def test_ids_beyond_their_table_are_refused() -> None:
    table = field("tables", "table")
    with pytest.raises(QuantizationError, match="ids of 4 bits go up to 15, but its table has 8 entries"):
        check_export(changed("tables", table=table[:, :8]))
    hashing = field("tables", "hash")
    narrow = replace(hashing, vectors=hashing.vectors[:, :3], offset=hashing.offset[:, :3])
    with pytest.raises(QuantizationError, match="go up to 7, but its table has 16"):
        check_export(changed("tables", hash=narrow))
    with pytest.raises(QuantizationError, match="need 4 of each"):
        check_export(changed("tables", hash=replace(hashing, offset=hashing.offset[:, :3])))


def test_more_bits_than_an_id_has_are_refused() -> None:
    """uint16 holds ids times 16 up to 12 bits."""
    hashing = field("tables", "hash")
    vectors = np.zeros((hashing.vectors.shape[0], 13, 8), np.int8)
    table = np.zeros((field("tables", "rows"), 1 << 13, 16), np.int8)
    offset = np.zeros(vectors.shape[:2], np.int32)
    wide = changed("tables", table=table, hash=replace(hashing, vectors=vectors, offset=offset))
    with pytest.raises((UnsupportedError, QuantizationError), match="Layer tables") as caught:
        deploy_graph(wide, np.zeros((1, 8, 8, 3), np.int8))
    assert isinstance(caught.value, OstinatoError)
