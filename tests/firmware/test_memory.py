from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ostinato.firmware.memory import plan_memory
from ostinato.firmware.placement import ALIGNMENT, Buffer, extent, live_bytes, place
from ostinato.quant.ops import QGraph, QLinear, QTensor


@st.composite
def buffer_lists(draw: st.DrawFn) -> list[Buffer]:
    steps = draw(st.integers(1, 8))
    count = draw(st.integers(1, 12))
    buffers = []
    for i in range(count):
        first = draw(st.integers(0, steps - 1))
        last = draw(st.integers(first, steps - 1))
        buffers.append(Buffer(f"b{i}", draw(st.integers(0, 100)), first, last))
    return buffers


@st.composite
def trees(draw: st.DrawFn) -> tuple[QGraph, list[int]]:
    """Operators have one input, so that a network's graph is a tree whose branches may live long."""
    count = draw(st.integers(1, 10))
    tensors = [QTensor("input", (draw(st.integers(1, 90)),), 1.0, 0)]
    ops = []
    for i in range(count):
        source = tensors[draw(st.integers(max(0, i - 2), i))]
        tensors.append(QTensor(f"t{i}", (draw(st.integers(1, 90)),), 1.0, 0))
        one = np.ones(1, np.int32)
        ops.append(
            QLinear(
                name=f"op{i}",
                input=source,
                output=tensors[-1],
                weight=np.ones((1, 1), np.int8),
                bias=one,
                multiplier=one,
                shift=one,
            )
        )
    graph = QGraph("tree", tensors[0], tensors[-1], tuple(ops))
    return graph, draw(st.lists(st.integers(0, 70), min_size=count, max_size=count))


@given(buffer_lists())
def test_buffers_alive_together_share_no_byte(buffers: list[Buffer]) -> None:
    offsets = place(buffers)
    for (a, start_a), (b, start_b) in itertools.combinations(zip(buffers, offsets, strict=True), 2):
        if a.overlaps(b) and a.size and b.size:
            assert start_a + a.size <= start_b or start_b + b.size <= start_a
    assert all(offset % ALIGNMENT == 0 and offset >= 0 for offset in offsets)


@given(buffer_lists())
def test_extent_is_between_the_lower_bound_and_the_sum(buffers: list[Buffer]) -> None:
    steps = max(b.last for b in buffers) + 1
    total = extent(buffers, place(buffers))
    assert max(live_bytes(buffers, steps)) <= total <= sum(-(-b.size // ALIGNMENT) * ALIGNMENT for b in buffers)


@given(trees())
def test_running_a_tree_in_the_arena_never_destroys_a_tensor_that_is_read_later(case: tuple[QGraph, list[int]]) -> None:
    graph, scratch = case
    plan = plan_memory(graph, scratch)
    arena = np.full(plan.arena_bytes, -1)
    marks = {graph.input.name: 1000}

    def region(name: str, size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return arena[plan.offsets[name] : plan.offsets[name] + size]

    region(graph.input.name, graph.input.size)[:] = 1000
    for i, op in enumerate(graph.ops):
        offset, size = plan.scratch[i]
        assert size == scratch[i]
        arena[offset : offset + size] = -2 - i
        if op.output.name != graph.output.name:
            region(op.output.name, op.output.size)[:] = i
        marks[op.output.name] = i
        if op.input.name != graph.output.name:
            assert (region(op.input.name, op.input.size) == marks[op.input.name]).all()
        assert (arena[offset : offset + size] == -2 - i).all()


def test_a_chain_reaches_its_lower_bound() -> None:
    sizes = [3072, 50176, 12544, 6400, 1600, 384, 192]
    buffers = [Buffer(str(i), size, max(i - 1, 0), i) for i, size in enumerate(sizes)]
    buffers += [Buffer(f"scratch {i}", 1000 * (i % 3), i, i) for i in range(len(sizes))]
    assert extent(buffers, place(buffers)) == max(live_bytes(buffers, len(sizes)))


def test_best_fit_fills_a_hole_that_first_come_would_not() -> None:
    # The long-lived small buffer must not split the space of the two large ones.
    buffers = [Buffer("small", 8, 0, 2), Buffer("large", 64, 0, 0), Buffer("larger", 96, 1, 2)]
    assert extent(buffers, place(buffers)) == 104


def test_the_output_is_the_callers_and_the_input_dies_with_its_last_reader() -> None:
    one = np.ones(1, np.int32)
    a, b, c = (QTensor(n, (64,), 1.0, 0) for n in "abc")
    ops = tuple(
        QLinear(name=y.name, input=x, output=y, weight=np.ones((64, 64), np.int8), bias=one, multiplier=one, shift=one)
        for x, y in ((a, b), (b, c))
    )
    plan = plan_memory(QGraph("chain", a, c, ops), [0, 64])
    assert set(plan.offsets) == {"a", "b"}
    assert plan.live_bytes == (128, 128)
    assert plan.arena_bytes == 128
    assert plan.lower_bound == 128
