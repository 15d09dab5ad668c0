"""Where every activation and every kernel's scratch lives in the arena.

Tensors live from the operator that writes them to the last one that reads them, a kernel's scratch only while it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ostinato.firmware.in_place import share
from ostinato.firmware.joining import Joined
from ostinato.firmware.placement import ALIGNMENT, Buffer, extent, live_bytes, place
from ostinato.quant.ops import QGraph

__all__ = ["ALIGNMENT", "Plan", "plan_memory"]


@dataclass(frozen=True)
class Plan:
    """The arena of one network.

    `offsets` has a byte offset for the input and every tensor but the network's output, which the caller owns.
    `scratch` has, per operator, (offset, bytes). `live_bytes` is what is alive during each operator, alignment
    included; its maximum, `lower_bound`, is what no plan can go below. `in_place` has, for an output that is written
    over an input, that input.
    """

    offsets: Mapping[str, int]
    scratch: tuple[tuple[int, int], ...]
    arena_bytes: int
    live_bytes: tuple[int, ...]
    in_place: Mapping[str, str] = field(default_factory=dict)
    joined: Mapping[str, Joined] = field(default_factory=dict)
    """Tensors that lie among the channels of a concatenation."""

    @property
    def lower_bound(self) -> int:
        """The least arena that any placement could reach."""
        return max(self.live_bytes, default=0)

    @property
    def peak(self) -> int:
        """Index of the operator during which most bytes are alive."""
        return self.live_bytes.index(self.lower_bound)


def plan_memory(
    graph: QGraph,
    scratch_bytes: Sequence[int],
    kernels: Sequence[str] | None = None,
    joined: Mapping[str, Joined] | None = None,
) -> Plan:
    """Place the tensors of `graph` and each operator's scratch.

    Args:
        graph: the network.
        scratch_bytes: one per operator.
        kernels: names, one per operator, which decide what is written in place; nothing is without them.
        joined: tensors that are written into a concatenation (`joining.join`).

    Tensors that share bytes move together, which can be in the way: where the bound is missed, the plan without sharing
    is tried, too. The lower bound is that of the network with all sharing.
    """
    joined = joined or {}
    best = _plan(graph, scratch_bytes, kernels or [""] * len(graph.ops), joined)
    if best.arena_bytes == best.lower_bound or not best.in_place:
        return best
    apart = _plan(graph, scratch_bytes, [""] * len(graph.ops), joined)
    if apart.arena_bytes >= best.arena_bytes:
        return best
    return Plan(apart.offsets, apart.scratch, apart.arena_bytes, best.live_bytes, joined=joined)


def _plan(graph: QGraph, scratch_bytes: Sequence[int], kernels: Sequence[str], joined: Mapping[str, Joined]) -> Plan:
    sharing = share(graph, kernels, joined)
    scratch = [Buffer(f"scratch of {i}", size, i, i) for i, size in enumerate(scratch_bytes)]
    buffers = [*sharing.buffers, *scratch]
    offsets = place(buffers)
    return Plan(
        offsets={
            name: offsets[index] + (joined[name].first if name in joined else 0)
            for name, index in sharing.tensors.items()
        },
        scratch=tuple((offset, b.size) for b, offset in zip(scratch, offsets[len(sharing.buffers) :], strict=True)),
        arena_bytes=extent(buffers, offsets),
        live_bytes=live_bytes(buffers, len(graph.ops)),
        in_place=sharing.over,
        joined=joined,
    )
