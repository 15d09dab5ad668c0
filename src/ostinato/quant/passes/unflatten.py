"""Fully connected reuse layers read the map itself, not its flattening."""

from __future__ import annotations

from dataclasses import replace

from ostinato.quant.graph import FloatFlatten, FloatGraph, FloatReuse


def unflatten(graph: FloatGraph) -> FloatGraph:
    """Let every reuse layer whose kernel is a whole map read that map.

    A flattening that nothing else reads disappears.
    """
    for name in graph.names(FloatReuse):
        op = graph.op(name)
        assert isinstance(op, FloatReuse)
        flatten = graph.producer(op)
        if isinstance(flatten, FloatFlatten) and graph.value_shape(flatten.input) == tuple(op.weight.shape[1:]):
            graph = graph.with_op(replace(op, input=flatten.input))
            if not graph.consumers(flatten.name):
                graph = graph.without(flatten)
    return graph
