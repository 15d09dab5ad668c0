"""Networks that are no chains, on the firmware's whole way: bits, memory, saving, the papers' networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_networks import DagBuilder
from torch import nn

import ostinato as ost
from ostinato.firmware import Firmware, deploy, deploy_graph
from ostinato.firmware.graph_io import graph_from_document, graph_to_document
from ostinato.models import create
from ostinato.quant.ops import QAdd, QConcat, QGraph
from ostinato.quant.reference import execute


@pytest.mark.parametrize("seed", range(3))
def test_all_executions_agree_in_every_layer(seed: int) -> None:
    net = DagBuilder(seed).grow(14)
    firmware = deploy_graph(net.graph(f"dag {seed}"), net.images(2), verify_images=0)
    assert len(firmware.verify().executions) == 4
    expected = [execute(firmware.graph, image)[firmware.graph.output.name] for image in firmware.samples]
    assert np.array_equal(firmware.simulate(firmware.samples).logits, expected)


def test_the_sampled_networks_have_every_kind_of_join() -> None:
    ops = [op for seed in range(3) for op in DagBuilder(seed).grow(14).ops]
    assert sum(isinstance(op, QAdd) for op in ops) > 5
    assert sum(isinstance(op, QConcat) for op in ops) > 5
    assert any(len({source.name for source in op.inputs}) < len(op.inputs) for op in ops)  # a tensor read twice at once


def test_a_saved_graph_is_the_same_graph() -> None:
    graph = DagBuilder(3).grow(12).graph()
    document, arrays = graph_to_document(graph)
    loaded = graph_from_document(document, arrays)
    assert [type(op) for op in loaded.ops] == [type(op) for op in graph.ops]
    assert [op.inputs for op in loaded.ops] == [op.inputs for op in graph.ops]
    x = np.random.default_rng(0).integers(-128, 128, graph.input.shape).astype(np.int8)
    values, again = execute(graph, x), execute(loaded, x)
    assert all(np.array_equal(values[name], again[name]) for name in values)


def images(count: int, side: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, side // 4, side // 4, generator=generator)
    smooth = nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return (0.6 * smooth + 0.1 * torch.randn(count, 3, side, side, generator=generator)).clamp(-1, 127 / 128)


def settled(model: nn.Module, side: int) -> nn.Module:
    """Random weights, with the batch-norm statistics that they give."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(images(32, side, seed=1))
    return model.eval()


@pytest.fixture(scope="module")
def squeezenet() -> nn.Module:
    torch.manual_seed(0)
    return settled(create("squeezenet", bypass="simple"), 32)


@pytest.fixture(scope="module")
def conventional(squeezenet: nn.Module) -> Firmware:
    return deploy(squeezenet, images(8, 32, seed=2), "stm32f469i", input_scale=1 / 128, verify_images=0)


def test_squeezenet_fits_the_board_and_runs_there(conventional: Firmware, tmp_path) -> None:
    report = conventional.simulate()
    graph: QGraph = conventional.graph
    assert np.array_equal(report.logits[0], execute(graph, conventional.samples[0])[graph.output.name])
    convolutions, pools, concatenations, sums, means = 26, 2, 8, 4, 1  # conv1 does the pooling behind it
    assert len(graph.ops) == convolutions + pools + concatenations + sums + means
    assert len({op.name for op in graph.ops}) == len(graph.ops)
    joins = sum(layer.cycles for layer in report.layers if layer.kernel in ("add_s8", "concat_s8"))
    assert joins < 0.03 * report.cycles
    assert conventional.plan.arena_bytes == conventional.plan.lower_bound
    assert report.sram_bytes < conventional.board.sram_bytes
    assert report.flash_bytes < conventional.board.flash_bytes
    conventional.save(tmp_path / "project")
    loaded = Firmware.load(tmp_path / "project")
    assert np.array_equal(loaded.predict_int8(conventional.samples), conventional.predict_int8(conventional.samples))


def test_squeezenet_with_a_reused_expand_layer(squeezenet: nn.Module, conventional: Firmware) -> None:
    """Inside a concatenation, one part of which is reused and the other is not."""
    layer = "fire4.expand3x3"
    model = ost.convert(squeezenet, {layer: ost.Pattern(8, 4, scope="compiled", sharing="block", init="median")})
    model = ost.calibrate(model, images(24, 32, seed=3)).eval()
    firmware = deploy(model, images(8, 32, seed=2), "stm32f469i", input_scale=1 / 128, verify_images=1)
    reused = {r.name: r for r in firmware.simulate().layers}
    dense = {r.name: r for r in conventional.simulate().layers}
    assert reused[layer].kernel.startswith("reuse_")
    assert reused[layer].cycles < dense[layer].cycles / 3
    assert dense["fire4.cat"].kernel == reused["fire4.cat"].kernel == "none"  # written where they belong


def test_a_thin_resnet_fits_the_board() -> None:
    torch.manual_seed(0)
    model = settled(create("resnet18", width=0.125, image_size=32), 32)
    firmware = deploy(model, images(8, 32, seed=2), "stm32f469i", input_scale=1 / 128, verify_images=1)
    kernels = [layer.kernel for layer in firmware.simulate().layers]
    assert kernels.count("add_s8") == 8
    assert kernels.count("conv_s8_dense") == 19
    assert kernels.count("conv_s8_dense_pooled") == 1  # the stem, with its pooling
