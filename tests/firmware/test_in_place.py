"""Tensors that share bytes: which may, what that saves, and that the kernels keep to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import DagBuilder, NetworkBuilder

import ostinato as ost
from ostinato.firmware import deploy_graph
from ostinato.firmware.in_place import share, written_over
from ostinato.firmware.joining import join, runs
from ostinato.firmware.memory import Plan, plan_memory
from ostinato.firmware.placement import aligned
from ostinato.firmware.pooling import with_pools
from ostinato.firmware.select import bind_all
from ostinato.firmware.storage import plan_project
from ostinato.models import create
from ostinato.quant import quantize
from ostinato.quant.ops import ConvDims, QAdd, QAvgPool2d, QConcat, QGraph, QMaxPool2d, QTensor
from ostinato.targets.boards import get_board


def planned(graph: QGraph, in_place: bool = True) -> Plan:
    bindings = bind_all(graph)
    kernels = [binding.kernel for binding in bindings] if in_place else None
    return plan_memory(graph, [binding.scratch_bytes for binding in bindings], kernels)


def cells(plan: Plan, tensor: QTensor) -> np.ndarray:
    """Where a tensor's bytes are in the arena."""
    run, stride = runs(plan.joined, tensor.name, tensor.size, tensor.shape[-1])
    starts = plan.offsets[tensor.name] + stride * np.arange(tensor.size // run)
    return (starts[:, None] + np.arange(run)).ravel()


@given(st.integers(0, 10**6), st.integers(1, 20), st.booleans())
@settings(max_examples=100, deadline=None)
def test_nothing_that_is_read_later_is_overwritten(seed: int, layers: int, joining: bool) -> None:
    """Run in the arena with marks for contents: at each operator all of its inputs still have theirs."""
    graph = DagBuilder(seed).grow(layers).graph()
    rng = np.random.default_rng(seed)
    scratch = [int(n) for n in rng.integers(0, 900, len(graph.ops))]
    bindings, joined = join(graph, bind_all(graph)) if joining else (bind_all(graph), {})
    plan = plan_memory(graph, scratch, [binding.kernel for binding in bindings], joined)
    assert plan.arena_bytes >= plan.lower_bound
    arena = np.full(plan.arena_bytes, -1)
    marks = {graph.input.name: 10_000}
    arena[cells(plan, graph.input)] = 10_000
    for i, (op, binding) in enumerate(zip(graph.ops, bindings, strict=True)):
        offset, size = plan.scratch[i]
        arena[offset : offset + size] = -2 - i
        for source in op.inputs:
            assert (arena[cells(plan, source)] == marks[source.name]).all()
        if op.output.name in plan.offsets:
            there = [source for source, is_there in zip(op.inputs, binding.there, strict=False) if is_there]
            for source in there:  # it lies where it belongs
                assert np.isin(cells(plan, source), cells(plan, op.output)).all()
            arena[cells(plan, op.output)] = i
            over = plan.in_place.get(op.output.name)
            for source in op.inputs:  # while it runs, the operator still reads what it does not write over
                if source.name != over and source not in there:
                    assert (arena[cells(plan, source)] == marks[source.name]).all()
        assert (arena[offset : offset + size] == -2 - i).all()
        marks[op.output.name] = i


def test_parts_of_a_concatenation_are_written_where_they_belong(tmp_path) -> None:
    """A Fire module: both expands write into the joined map, and nothing is copied; a pooling's output is."""
    model = create("squeezenet", num_classes=4).eval()
    images = torch.rand(2, 3, 32, 32)
    free = ost.deploy(model, images, kernel="dense", hot_code=False, verify_images=1)
    copied = ost.deploy(model, images, kernel="cmsis", hot_code=False, verify=False)  # cannot write with a stride
    report = {layer.name: layer for layer in free.simulate().layers}
    joins = [op.name for op in free.graph.ops if isinstance(op, QConcat)]
    assert len(joins) == 8
    assert all(report[name].kernel == "none" and report[name].cycles < 50 for name in joins)
    assert all(
        b.kernel == "concat_s8"
        for b, op in zip(copied.bindings, copied.graph.ops, strict=True)
        if isinstance(op, QConcat)
    )
    assert free.plan.arena_bytes == free.plan.lower_bound


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_sharing_never_needs_more(seed: int) -> None:
    graph = DagBuilder(seed).grow(12).graph()
    together, apart = planned(graph), planned(graph, in_place=False)
    assert together.arena_bytes <= apart.arena_bytes
    assert all(a <= b for a, b in zip(together.live_bytes, apart.live_bytes, strict=True))


def test_a_sum_takes_the_place_of_a_term_that_dies_and_of_no_other() -> None:
    net = DagBuilder(0)
    (first,) = net.maps
    net.conv("a", 8, (1, 1))
    second = net.tensor
    net._sum(first, second)
    total = net.tensor
    net._sum(total, second)
    graph = net.linear("head", 3).graph()
    names = [op.output.name for op in graph.ops]
    plan = planned(graph)
    assert plan.in_place == {total.name: first.name, names[3]: total.name}
    assert plan.offsets[total.name] == plan.offsets[first.name] == plan.offsets[names[3]]
    assert plan.offsets[second.name] != plan.offsets[first.name]


def test_a_concatenation_starts_before_its_last_part() -> None:
    net = DagBuilder(0)
    net.conv("a", 8, (1, 1))
    first = net.tensor
    net.tensor = net.maps[0]
    net.conv("b", 8, (1, 1))
    second = replace(net.tensor, scale=first.scale, zero_point=first.zero_point)
    net._cat([first, second])
    joined = net.tensor
    graph = net.linear("head", 3).graph()
    plan = planned(graph)
    assert plan.in_place == {joined.name: "b"}
    assert plan.offsets["b"] == plan.offsets[joined.name] + first.size
    concat = graph.ops[3]
    assert isinstance(concat, QConcat)
    assert plan.live_bytes[3] == first.size + joined.size < planned(graph, in_place=False).live_bytes[3]
    assert written_over(concat, "concat_s8", "a") is None
    assert written_over(concat, "another_kernel", "b") is None
    twice = replace(concat, parts=(second, second))
    assert written_over(twice, "concat_s8", "b") is None


def naive_in_place(dims: ConvDims) -> bool:
    """Whether any window reads a pixel that an earlier window has written, by going through all of them."""
    (height, width, _), (oh, ow, _) = dims.input, dims.output
    for n in range(oh * ow):
        for ky in range(dims.kernel[0]):
            for kx in range(dims.kernel[1]):
                y = (n // ow) * dims.stride[0] - dims.padding[0] + ky * dims.dilation[0]
                x = (n % ow) * dims.stride[1] - dims.padding[1] + kx * dims.dilation[1]
                if 0 <= y < height and 0 <= x < width and y * width + x < n:
                    return False
    return True


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(0, 1), st.integers(0, 1)),
    st.integers(1, 2),
)
@settings(max_examples=300, deadline=None)
def test_which_poolings_may_be_written_over_their_input(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], dilation: int
) -> None:
    out = [
        (n + 2 * p - dilation * (k - 1) - 1) // s + 1 for n, k, s, p in zip(size, kernel, stride, padding, strict=True)
    ]
    if min(out) < 1 or any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        return
    dims = ConvDims((*size, 4), (out[0], out[1], 4), kernel, stride, padding, (dilation, dilation))
    tensors = (QTensor("x", dims.input, 1.0, 0), QTensor("y", dims.output, 1.0, 0))
    for kind, name in ((QMaxPool2d, "max_pool_s8"), (QAvgPool2d, "avg_pool_s8")):
        op = kind(name="pool", input=tensors[0], output=tensors[1], dims=dims)
        assert (written_over(op, name, "x") == 0) == naive_in_place(dims)


POOLS: list[dict[str, object]] = [
    {"kernel": (2, 2), "stride": (2, 2)},
    {"kernel": (3, 3), "stride": (2, 2)},
    {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)},
    {"kernel": (2, 3), "stride": (1, 1)},
    {"kernel": (3, 2), "stride": (3, 1)},
    {"kernel": (9, 8), "stride": (1, 1)},
]


def test_all_kernels_give_the_same_bits_in_place() -> None:
    """Every pooling over its input, sums over a term, a concatenation over its last part, in one network."""
    net = DagBuilder(3, shape=(9, 8, 3))
    stem, ends = net.tensor, []
    for i, window in enumerate(POOLS):
        for kind, channels in ((QMaxPool2d, 20), (QAvgPool2d, 7)):
            net.tensor = stem
            net.conv(f"{kind.__name__}{i}.conv", channels, (1, 1), relu=False)
            padding = window.get("padding", (0, 0))
            dims = net._dims(channels, window["kernel"], stride=window["stride"], padding=padding)  # type: ignore[arg-type]
            output = QTensor(f"{kind.__name__}{i}", dims.output, net.tensor.scale, net.tensor.zero_point)
            net._append(kind(name=output.name, input=net.tensor, output=output, dims=dims))
            net.linear(f"{kind.__name__}{i}.end", 24)
            ends.append(net.tensor)
    for i, end in enumerate(ends[1:]):
        net._sum(net.tensor if i else ends[0], end)
    sums = net.tensor
    net.tensor = stem
    maps = []
    for name, channels in (("left", 5), ("right", 19)):
        net.tensor = stem
        net.conv(name, channels, (1, 1), relu=False)
        tensor = replace(net.tensor, zero_point=0)
        net.ops[-1] = replace(net.ops[-1], output=tensor)
        maps.append(tensor)
    net._cat(maps)
    net.linear("joined", 24)
    net._sum(sums, net.tensor)
    graph = net.linear("head", 5).graph()
    firmware = deploy_graph(graph, net.images(2), kernel="cmsis", verify_images=0)  # copies its concatenations
    over = {type(graph.op(name)) for name in firmware.plan.in_place}
    assert over == {QMaxPool2d, QAvgPool2d, QAdd, QConcat}
    assert sum(isinstance(graph.op(name), QMaxPool2d) for name in firmware.plan.in_place) == len(POOLS)
    report = firmware.verify(check=False)
    assert report.agrees, report.summary
    values = np.unique(firmware.predict_int8(firmware.samples))
    assert len(values) > 4


def test_the_input_and_the_output_are_the_callers() -> None:
    net = NetworkBuilder((8, 8, 4), seed=0).pool("first").pool("second").pool("third")
    sharing = share(net.graph(), ["max_pool_s8"] * 3)
    assert sharing.over == {"second": "first"}
    assert planned(net.graph()).arena_bytes == aligned(8 * 8 * 4) + aligned(4 * 4 * 4)


@pytest.mark.parametrize(("name", "kwargs"), [("cifarnet", {}), ("squeezenet", {"bypass": "complex"})])
def test_the_papers_networks_reach_the_lower_bound(name: str, kwargs: dict[str, str]) -> None:
    torch.manual_seed(0)
    graph = quantize(create(name, **kwargs).eval(), torch.randn(1, 3, 32, 32), method="minmax")
    for kernel in ("dense", "cmsis"):
        project = plan_project(graph, kernel, get_board("stm32f469i"))  # type: ignore[arg-type]
        assert project.plan.arena_bytes == project.plan.lower_bound
        assert project.plan.in_place
        joined = plan_project(with_pools(graph, kernel), kernel, get_board("stm32f469i"))  # type: ignore[arg-type]
        assert joined.plan.arena_bytes == joined.plan.lower_bound
        assert (joined.plan.arena_bytes < project.plan.arena_bytes) == (kernel == "dense")
