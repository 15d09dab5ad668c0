"""Whole networks: integer executor = C on the host = simulated plain C = simulated DSP code."""

from __future__ import annotations

import numpy as np
import pytest
from random_networks import NetworkBuilder

from ostinato.firmware import Firmware, deploy_graph
from ostinato.quant.reference import execute


def conventional() -> NetworkBuilder:
    net = NetworkBuilder((12, 10, 3), seed=1)
    net.conv("stem", 8, padding=(1, 1)).pool("pool").conv("body.0", 6, (3, 2), stride=(2, 1), relu=False)
    return net.pool("average", average=True, kernel=(2, 3), stride=(1, 1)).linear("head", 5)


def image_scope() -> NetworkBuilder:
    net = NetworkBuilder((11, 11, 3), seed=2, zero_point=0)
    net.reuse_image("stem", 8, length=7, hashes=3, order="c.kh.kw", padding=(1, 1)).pool("pool")
    return net.reuse_image("body", 12, length=8, hashes=4).linear("head", 4)


def compiled_scope() -> NetworkBuilder:
    net = NetworkBuilder((12, 12, 3), seed=3, zero_point=-5)
    net.conv("stem", 16).pool("pool").reuse_compiled("aligned", 16, length=8, hashes=4, padding=(1, 1))
    return net.reuse_compiled("ragged", 16, length=5, hashes=3, order="c.kh.kw").linear("head", 10)


def mixed() -> NetworkBuilder:
    net = NetworkBuilder((14, 14, 3), seed=4)
    net.reuse_compiled("stem", 16, length=3, hashes=5, stride=(2, 2), padding=(1, 1))
    net.reuse_image("body", 16, length=16, hashes=2, padding=(1, 1)).pool("pool", average=True)
    return net.reuse_compiled("tail", 32, length=4, hashes=4).conv("classes", 3, (1, 1), relu=False)


NETWORKS = {f.__name__: f for f in (conventional, image_scope, compiled_scope, mixed)}


@pytest.fixture(scope="module", params=NETWORKS)
def deployed(request: pytest.FixtureRequest) -> Firmware:
    net = NETWORKS[request.param]()
    return deploy_graph(net.graph(request.param), net.images(3), verify_images=0)


def test_all_executions_agree_in_every_layer(deployed: Firmware) -> None:
    result = deployed.verify()
    assert result.images == 3
    assert len(result.executions) == 4


@pytest.mark.parametrize("plain_c", [False, True])
def test_what_is_reported_is_what_the_executor_computes(deployed: Firmware, plain_c: bool) -> None:
    report = deployed.simulate(deployed.samples, plain_c=plain_c)
    graph = deployed.graph
    expected = np.stack([execute(graph, image)[graph.output.name] for image in deployed.samples])
    assert np.array_equal(report.logits, expected)
    assert len(np.unique(expected)) > 2  # a network that saturates everywhere would prove nothing


def test_layers_sum_to_the_totals(deployed: Firmware) -> None:
    report = deployed.simulate()
    assert report.cycles == sum(layer.cycles for layer in report.layers)
    assert report.instructions == sum(layer.instructions for layer in report.layers)
    assert [layer.name for layer in report.layers] == [op.name for op in deployed.graph.ops]
    for layer in report.layers:
        assert layer.cycles == sum(layer.phases.values()) > 0
    profile = deployed._simulator(plain_c=False).run(deployed.samples[0])[1]
    assert report.cycles == profile.total.cycles
    assert report.instructions == profile.total.instructions


def test_reuse_layers_have_the_phases_of_the_papers_table(deployed: Firmware) -> None:
    report = deployed.simulate()
    for layer in report.layers:
        if "reuse" in layer.kernel:
            assert layer.phases.get("clustering", 0) > 0
            assert layer.phases.get("recovering", 0) > 0


def test_the_host_gives_the_same_for_many_images_and_threads(deployed: Firmware) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(-128, 128, (150, *deployed.graph.input.shape)).astype(np.int8)
    seen: list[tuple[int, int]] = []
    outputs = deployed.predict_int8(images, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (150, 150)
    for i in (0, 63, 64, 149):
        assert np.array_equal(outputs[i], execute(deployed.graph, images[i])[deployed.graph.output.name])


def test_nothing_is_written_but_the_arena_and_the_output(deployed: Firmware) -> None:
    elf = deployed._simulator(plain_c=False).simulator.elf
    assert elf.size.data_bytes == 0
    variables = {name for name, (section, _) in elf.size.by_symbol.items() if section in (".data", ".bss")}
    assert variables == {"model_arena", "model_output"}


def test_memory_is_accounted_as_linked(deployed: Firmware) -> None:
    report = deployed.simulate()
    plan = deployed.project.plan
    assert plan.lower_bound <= plan.arena_bytes
    assert report.sram_bytes == deployed.sizes.static_bytes + report.stack_bytes
    assert deployed.sizes.static_bytes >= plan.arena_bytes + deployed.graph.output.size
    assert report.flash_bytes == deployed.flash_bytes > deployed.sizes.const_bytes
    assert 0 < report.stack_bytes <= deployed.sram_bytes - deployed.sizes.static_bytes


def test_the_cmsis_baseline_gives_the_same_logits() -> None:
    net = conventional()
    graph, images = net.graph(), net.images(2)
    dense = deploy_graph(graph, images, kernel="dense", verify_images=0).simulate(images)
    baseline = deploy_graph(graph, images, kernel="cmsis").simulate(images)
    assert np.array_equal(dense.logits, baseline.logits)
    assert {layer.kernel for layer in baseline.layers} >= {"conv_s8_cmsis"}
    assert "conv_s8_cmsis" not in {layer.kernel for layer in dense.layers}


def test_the_report_prints_as_a_table(deployed: Firmware) -> None:
    text = str(deployed.simulate())
    for op in deployed.graph.ops:
        assert op.name in text
    assert "modelled" in text
    assert "SRAM" in text


def test_another_core_gives_the_same_logits() -> None:
    net = mixed()
    graph, images = net.graph(), net.images(1)
    m7 = deploy_graph(graph, images, "stm32f767zi", verify_images=1).simulate(images)
    assert np.array_equal(m7.logits[0], execute(graph, images[0])[graph.output.name])
    assert "M7" in m7.cycle_model
