from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import NetworkBuilder

from ostinato.firmware import BitMismatchError, Firmware, deploy_graph
from ostinato.firmware.host import HostNetwork
from ostinato.firmware.verify import checksum, verify
from ostinato.quant.reference import execute


@given(st.binary(max_size=300))
def test_checksum_is_the_recurrence_of_trace_c(data: bytes) -> None:
    expected = 1
    for byte in data:
        expected = (expected * 16777619 + byte) % 2**32
    assert checksum(np.frombuffer(data, np.int8)) == expected


def network() -> NetworkBuilder:
    return NetworkBuilder((8, 8, 3), seed=5).conv("first", 8).conv("second", 8).pool("pool").linear("head", 4)


def test_a_wrong_weight_is_found_in_its_layer(tmp_path: Path) -> None:
    net = network()
    firmware = deploy_graph(net.graph(), net.images(2), out_dir=tmp_path / "out", verify_images=0)
    assert firmware.verify().images == 2
    source = tmp_path / "out" / "weights.c"
    text = source.read_text()
    start = text.index("second_bias[8] = {") + len("second_bias[8] = {")
    source.write_text(text[:start] + "90000 + " + text[start:].lstrip())
    with pytest.raises(BitMismatchError, match=r"Layer second .*image 0"):
        Firmware.load(tmp_path / "out").verify()


def test_an_output_that_differs_from_its_trace_is_found() -> None:
    net = network()
    graph, images = net.graph(), net.images(1)

    def liar(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        tensors = execute(graph, image)
        sums = np.array([checksum(tensors[op.output.name]) for op in graph.ops], np.uint32)
        return tensors[graph.output.name] + np.int8(1), sums

    with pytest.raises(BitMismatchError, match="output of liar"):
        verify(graph, images, {"liar": liar})


def test_a_network_that_refuses_its_parameters_is_an_error(tmp_path: Path) -> None:
    net = network()
    firmware = deploy_graph(net.graph(), net.images(1), out_dir=tmp_path / "out", verify_images=0)
    source = tmp_path / "out" / "model.c"
    source.write_text(source.read_text().replace(".weights = second_weights", ".weights = NULL"))
    library = firmware._builder.host_library()
    host = HostNetwork(library, firmware.graph, firmware.project.plan.arena_bytes)
    with pytest.raises(RuntimeError, match="status -1"):
        host.predict_int8(net.images(1))
