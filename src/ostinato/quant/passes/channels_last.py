"""Flattening in the order that firmware stores maps in."""

from __future__ import annotations

from dataclasses import replace

import torch

from ostinato.errors import UnsupportedError
from ostinato.quant.graph import FloatFlatten, FloatGraph, FloatLinear, FloatOp


def channels_last(graph: FloatGraph) -> FloatGraph:
    """Make every flattening go through (H, W, C), and permute the columns of the linear layer that reads it.

    A flattening of what is flat, or a single pixel, already is in that order.

    Raises:
        UnsupportedError: a flattened map that something other than one linear layer reads.
    """
    for name in graph.names(FloatFlatten):
        op = graph.op(name)
        assert isinstance(op, FloatFlatten)
        before = graph.value_shape(op.input)
        if len(before) == 1:
            graph = graph.without(op)
            continue
        if before[1:] != (1, 1):
            graph = _permute_readers(graph, op, before)
        graph = graph.with_op(replace(op, channels_last=True))
    return graph


def _permute_readers(graph: FloatGraph, flatten: FloatFlatten, shape: tuple[int, ...]) -> FloatGraph:
    order = torch.arange(flatten.shape[0]).view(shape).permute(1, 2, 0).reshape(-1)
    readers: tuple[FloatOp, ...] = graph.consumers(flatten.name)
    while len(readers) == 1 and isinstance(readers[0], FloatFlatten):
        readers = graph.consumers(readers[0].name)
    if len(readers) != 1 or not isinstance(readers[0], FloatLinear):
        found = ", ".join(f"'{reader.name}'" for reader in readers) or "nothing"
        raise UnsupportedError(
            f"layer '{flatten.name}': a flattened {shape[1]}×{shape[2]} map is read by {found}; supported is one "
            "linear layer, which convert has seen with example_input=... if it is reused"
        )
    reader = readers[0]
    return graph.with_op(replace(reader, weight=reader.weight[:, order]))
