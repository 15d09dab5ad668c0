"""Choosing among the kernels that a layer could have."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import NetworkBuilder

from ostinato.errors import DoesNotFitError, UnsupportedError
from ostinato.firmware import Firmware, deploy_graph
from ostinato.firmware.choice import Option, fastest_that_fit
from ostinato.firmware.choosing import Chooser
from ostinato.firmware.conventional import conventional_twin
from ostinato.firmware.select import bind, candidates
from ostinato.quant.ops import ConvDims, QConv2d, QGraph, QHash, QLinear, QReuseImage, QTensor
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.views import column_indices
from ostinato.targets.boards import get_board

BOARD = get_board("stm32f469i")


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_the_choice_is_the_best_of_all(seed: int) -> None:
    """Every combination, tried."""
    rng = np.random.default_rng(seed)
    functions = {f"f{i}": int(rng.integers(0, 50)) for i in range(4)}

    def option() -> Option:
        used = rng.choice(list(functions), rng.integers(0, 3), replace=False)
        sizes = (int(n) for n in rng.integers(1, 100, 3))
        code = {str(f): functions[str(f)] for f in used}
        outside = int(rng.integers(0, 60) * (rng.random() < 0.5))
        return Option("o", "k", next(sizes), next(sizes), next(sizes), code, external_bytes=outside)

    layers = [[option() for _ in range(rng.integers(1, 4))] for _ in range(rng.integers(1, 5))]
    external = int(rng.integers(0, 100))
    flash, room = int(rng.integers(0, 400)), [int(n) for n in rng.integers(20, 120, len(layers))]

    def cost(picks: tuple[int, ...]) -> float:
        taken = [layer[j] for layer, j in zip(layers, picks, strict=True)]
        code = {name: size for o in taken for name, size in o.code.items()}
        fits = sum(o.flash_bytes for o in taken) + sum(code.values()) <= flash
        fits &= sum(o.external_bytes for o in taken) <= external
        fits &= all(o.scratch_bytes <= space for o, space in zip(taken, room, strict=True))
        return sum(o.cycles or 0 for o in taken) if fits else float("inf")

    best = min(cost(picks) for picks in itertools.product(*(range(len(layer)) for layer in layers)))
    costs = [[float(o.cycles or 0) for o in layer] for layer in layers]
    found = fastest_that_fit(layers, costs, flash, room, external)
    if found is None:
        assert best == float("inf")
    else:
        assert cost(tuple(found)) == best


def network() -> tuple[NetworkBuilder, QGraph]:
    """A conventional convolution of 10 channels, whose dense form has padding, and a compiled one with two forms."""
    net = NetworkBuilder((8, 8, 16), seed=3).conv("conv", 10, kernel=(1, 1)).conv("wide", 32)
    net.reuse_compiled("tables", 32, length=8, hashes=4).pool("gap", average=True)
    return net, net.graph()


def test_the_fastest_is_taken_and_recorded(tmp_path) -> None:
    net, graph = network()
    firmware = deploy_graph(graph, net.images(1), out_dir=tmp_path / "fw", hot_code=False, verify_images=0)
    chosen = {choice.layer: choice for choice in firmware.project.choices}
    for layer in ("conv", "wide", "tables"):
        options = {option.name: option.cycles for option in chosen[layer].options}
        assert len(options) == 2
        assert options[chosen[layer].chosen] == min(options.values())
        assert chosen[layer].text in (tmp_path / "fw" / "README.md").read_text()
    assert chosen["gap"].text == ""
    report = firmware.simulate()
    assert {layer.name: layer.choice for layer in report.layers} == {n: c.text for n, c in chosen.items()}
    assert chosen["wide"].text in str(report)
    # What was priced is what runs: the layers' cycles, but for the call itself.
    for layer in report.layers[:3]:
        own = next(o.cycles for o in chosen[layer.name].options if o.name == chosen[layer.name].chosen)
        assert 0 <= layer.cycles - own < 120
    assert json.loads((tmp_path / "fw" / "ostinato.json").read_text())["choices"][1]["chosen"] == "dense"
    assert Firmware.load(tmp_path / "fw").project.choices == list(firmware.project.choices)


def test_what_is_going_on_is_told() -> None:
    net, graph = network()
    lines: list[str] = []
    deploy_graph(graph, net.images(1), hot_code=True, verify_images=1, progress=lines.append)
    for words in ("kernels of conv", "kernels of tables", "linking", "RAM", "verifying"):
        assert any(words in line for line in lines)


def test_cycles_are_given_up_where_flash_is_short(tmp_path) -> None:
    net, graph = network()
    fast = deploy_graph(graph, net.images(1), hot_code=False, verify_images=0)
    small = replace(BOARD, flash_bytes=fast.flash_bytes - 100)
    slower = deploy_graph(graph, net.images(1), small, hot_code=False, verify_images=0)
    assert slower.flash_bytes <= small.flash_bytes
    assert [c.chosen for c in slower.project.choices] != [c.chosen for c in fast.project.choices]
    assert slower.simulate().cycles > fast.simulate().cycles
    with pytest.raises(DoesNotFitError, match="flash"):
        deploy_graph(graph, net.images(1), replace(BOARD, flash_bytes=1000), hot_code=False, verify_images=0)


def test_cycles_are_given_up_where_sram_is_short() -> None:
    net = NetworkBuilder((4, 4, 64), seed=3).conv("conv", 64).pool("gap", average=True)
    graph = net.graph()
    fast = deploy_graph(graph, net.images(1), hot_code=False, verify_images=0)
    assert fast.bindings[0].kernel == "conv_s8_dense"
    small = replace(BOARD, sram_bytes=fast.sram_bytes - 600)
    slower = deploy_graph(graph, net.images(1), small, hot_code=False, verify_images=0)
    assert slower.bindings[0].kernel == "conv_s8_cmsis"
    assert slower.sram_bytes <= small.sram_bytes
    planned = Chooser.by_sizes(graph, "auto", small).project()
    assert [b.kernel for b in planned.bindings] == [b.kernel for b in slower.bindings]


def reuse_network(op: QReuseImage) -> QGraph:
    return QGraph("net", op.input, op.output, (op,))


def image_layer(hashes: int) -> QReuseImage:
    """A small layer whose random vectors are alike with few hashes, and all different with many."""
    dims = ConvDims((8, 8, 16), (6, 6, 32), (3, 3))
    rng = np.random.default_rng(0)
    slices, length = 9, 16
    vectors = rng.integers(-127, 128, (slices, hashes, length)).astype(np.int8)
    source, target = QTensor("x", dims.input, 0.05, 0), QTensor("y", dims.output, 0.05, 0)
    columns = column_indices(ConvGeometry(16, 32, (3, 3)), "kh.kw.c").astype(np.int32)
    return QReuseImage(
        name="conv", input=source, output=target, dims=dims, length=length, columns=columns,
        hash=QHash(vectors=vectors, offset=np.zeros((slices, hashes), np.int32)),
        weight=rng.integers(-127, 128, (32, 144)).astype(np.int8), multiplier=np.full(32, 1 << 24, np.int32),
        offset=np.zeros(32, np.int32), fraction_bits=4, slots=36,
    )  # fmt: skip


def test_a_reuse_layer_that_does_not_pay_is_named_with_the_cycles_of_both(tmp_path) -> None:
    """Timed alone, the conventional kernel takes what it takes in a network of its own; loaded, it is the same."""
    image = np.random.default_rng(1).integers(-128, 128, (1, 8, 8, 16)).astype(np.int8)
    told: list[str] = []
    slow = deploy_graph(
        reuse_network(image_layer(12)), image, hot_code=False, verify_images=0, out_dir=tmp_path / "fw",
        progress=told.append,
    )  # fmt: skip
    (choice,) = slow.project.choices
    (layer,) = slow.simulate(image).layers
    assert choice.conventional is not None
    assert choice.conventional.kernel == "conv_s8_dense"
    (twin,) = conventional_twin(slow.graph.ops[0])
    dense = deploy_graph(QGraph("net", twin.input, twin.output, (twin,)), image, hot_code=False, verify_images=0)
    assert choice.conventional.cycles == pytest.approx(dense.simulate(image).cycles, rel=0.01)
    assert choice.own.cycles == pytest.approx(layer.cycles, rel=0.01)
    assert layer.cycles > layer.conventional_cycles == choice.conventional.cycles
    assert layer.warning == slow.warnings[0] == choice.warning
    assert layer.warning.startswith(f"Layer 'conv': reuse takes {choice.own.cycles:,} modelled cycles, the best ")
    assert "use fewer hashes (a smaller H) or scope 'compiled'" in layer.warning
    assert layer.warning in told
    assert layer.warning in " ".join(str(slow.simulate(image)).split())
    assert "the best conventional kernel" in (tmp_path / "fw" / "README.md").read_text()
    assert Firmware.load(tmp_path / "fw").warnings == slow.warnings
    assert Firmware.load(tmp_path / "fw").to_dict()["warnings"] == list(slow.warnings)


def test_a_reuse_layer_that_pays_has_no_warning() -> None:
    image = np.zeros((1, 8, 8, 16), np.int8)
    fast = deploy_graph(reuse_network(image_layer(2)), image, hot_code=False, verify_images=0)
    (layer,) = fast.simulate(image).layers
    assert layer.cycles < layer.conventional_cycles
    assert (layer.warning, fast.warnings) == ("", ())
    assert "; best conventional: conv_s8_dense " in layer.choice


def test_twins_of_reuse_layers() -> None:
    """Sizes of the layer; fully connected for a window as large as its input; none for a conventional layer."""
    image = image_layer(2)
    (conv,) = conventional_twin(image)
    assert isinstance(conv, QConv2d)
    assert conv.dims == image.dims
    assert np.abs(conv.weight.reshape(32, -1).astype(int)).max(axis=1).tolist() == [127] * 32
    assert conventional_twin(conv) == ()
    dims = ConvDims((2, 2, 16), (1, 1, 32), (2, 2))
    (linear,) = conventional_twin(replace(image, dims=dims))
    assert isinstance(linear, QLinear)
    assert linear.weight.shape == (32, 64)


def test_a_kernel_can_be_forced() -> None:
    _, graph = network()
    assert [c.name for c in candidates(graph.ops[0], "cmsis")] == ["cmsis"]
    assert [c.name for c in candidates(graph.ops[0])] == ["dense", "cmsis"]
    assert bind(graph.ops[2], name="offsets").kernel == "reuse_compiled_s8"
    with pytest.raises(UnsupportedError, match=r"tables.*'winograd'.*offsets"):
        bind(graph.ops[2], name="winograd")


def test_weights_that_only_one_kernel_takes() -> None:
    _, graph = network()
    weight = graph.ops[0].weight.copy()
    weight[0, 0, 0, 0] = -128
    assert [c.name for c in candidates(replace(graph.ops[0], weight=weight))] == ["cmsis"]
