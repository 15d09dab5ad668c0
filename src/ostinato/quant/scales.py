"""Which values have one scale: pooling keeps its input's, and what is concatenated takes the concatenation's."""

from __future__ import annotations

from collections.abc import Mapping

from ostinato.errors import UnsupportedError
from ostinato.quant.graph import INPUT, FloatConcat, FloatFlatten, FloatGraph, FloatOp, FloatPool


def owns_scale(op: FloatOp) -> bool:
    """Whether the output has a scale of its own (or its group's), rather than its input's."""
    return not isinstance(op, FloatPool | FloatFlatten)


def scale_owner(graph: FloatGraph, name: str) -> str:
    """The value whose scale value `name` has: what it is pooled or flattened from, or itself."""
    while name != INPUT:
        op = graph.op(name)
        if not isinstance(op, FloatPool | FloatFlatten):
            break
        name = op.input
    return name


def shared_scales(graph: FloatGraph) -> Mapping[str, tuple[str, ...]]:
    """The concatenations of the group that a scale owner belongs to, for all owners that a concatenation ties.

    The parts of a concatenation take its scale, so that joining them moves bytes and changes none. A value that is
    part of two concatenations ties these too (DenseNet).

    Raises:
        UnsupportedError: a concatenation that includes the network's input, whose scale is the camera's.
    """
    groups: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {}  # owner -> (owners of its group, concatenations)
    for name in graph.names(FloatConcat):
        owners = {name} | {scale_owner(graph, source) for source in graph.op(name).inputs}
        if INPUT in owners:
            raise UnsupportedError(
                f"layer '{name}': a concatenation with the network's input is not supported, because its parts share a "
                "scale and the input's is fixed; put a convolution between"
            )
        tied = {groups[owner] for owner in owners if owner in groups}
        members = frozenset(owners).union(*(group[0] for group in tied))
        concats = (*dict.fromkeys(c for group in tied for c in group[1]), name)
        groups.update(dict.fromkeys(members, (members, concats)))
    return {owner: concats for owner, (_, concats) in groups.items()}
