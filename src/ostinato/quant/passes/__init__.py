"""Passes over the float graph, one per file, each equal to its input in exact arithmetic."""

from __future__ import annotations

from ostinato.quant.graph import FloatGraph
from ostinato.quant.passes.channels_last import channels_last
from ostinato.quant.passes.fold_batch_norm import fold_batch_norm
from ostinato.quant.passes.fuse_activations import fuse_activations
from ostinato.quant.passes.unflatten import unflatten

__all__ = ["channels_last", "fold_batch_norm", "fuse_activations", "prepare", "unflatten"]


def prepare(graph: FloatGraph) -> FloatGraph:
    """All passes, in order: what is left are weighted operators with a clamp, poolings and flattenings."""
    for one_pass in (fold_batch_norm, fuse_activations, unflatten, channels_last):
        graph = one_pass(graph)
    return graph
