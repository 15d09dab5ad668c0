"""Where every activation and every kernel's scratch lives in the arena.

Tensors live from the operator that writes them to the last one that reads them, a kernel's scratch only while it runs.
Buffers whose lifetimes overlap must not share bytes: the offline memory allocation problem, NP-hard in general and
nearly always solved to its lower bound by placing large buffers first. The planner tries a few orders, reports that
bound beside what it reached, and stops as soon as the two agree.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ostinato.quant.ops import QAdd, QGraph

ALIGNMENT = 8
"""Every offset is a multiple of it: enough for LDRD and for every C type."""

_SHUFFLES = 200
"""Random orders that are tried when the deterministic ones miss the lower bound."""


@dataclass(frozen=True)
class Buffer:
    """`size` bytes that are in use during the steps `first` to `last`, both included."""

    name: str
    size: int
    first: int
    last: int

    def overlaps(self, other: Buffer) -> bool:
        """Whether both are alive at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Plan:
    """The arena of one network.

    `offsets` has a byte offset for the input and every tensor but the network's output, which the caller owns.
    `scratch` has, per operator, (offset, bytes). `live_bytes` is what is alive during each operator, alignment
    included; its maximum, `lower_bound`, is what no plan can go below.
    """

    offsets: Mapping[str, int]
    scratch: tuple[tuple[int, int], ...]
    arena_bytes: int
    live_bytes: tuple[int, ...]

    @property
    def lower_bound(self) -> int:
        """The least arena that any placement could reach."""
        return max(self.live_bytes, default=0)

    @property
    def peak(self) -> int:
        """Index of the operator during which most bytes are alive."""
        return self.live_bytes.index(self.lower_bound)


def aligned(size: int) -> int:
    """`size` rounded up to `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan_memory(graph: QGraph, scratch_bytes: Sequence[int]) -> Plan:
    """Place the tensors of `graph` and each operator's scratch (`scratch_bytes`, one per operator)."""
    owners = shared_buffers(graph)
    tensors = tensor_buffers(graph, owners)
    scratch = [Buffer(f"scratch of {i}", size, i, i) for i, size in enumerate(scratch_bytes)]
    buffers = [*tensors, *scratch]
    offsets = place(buffers)
    placed = {b.name: offset for b, offset in zip(tensors, offsets, strict=False)}
    return Plan(
        offsets={name: placed[owner] for name, owner in owners.items()},
        scratch=tuple((offset, b.size) for b, offset in zip(scratch, offsets[len(tensors) :], strict=True)),
        arena_bytes=extent(buffers, offsets),
        live_bytes=live_bytes(buffers, len(graph.ops)),
    )


def shared_buffers(graph: QGraph) -> dict[str, str]:
    """Every tensor in the arena → the tensor whose buffer it has, itself unless a sum is written over one of its terms.

    `ost_add_s8` reads each element before it writes it, so that a sum may take the place of a term that nothing reads
    later. The input is never written over: the caller may have it anywhere. The output is the caller's.
    """
    last = {source.name: i for i, op in enumerate(graph.ops) for source in op.inputs}
    fixed = (graph.input.name, graph.output.name)
    owners = {graph.input.name: graph.input.name}
    for i, op in enumerate(graph.ops):
        dying = [t.name for t in op.inputs if last[t.name] == i and t.name not in fixed] if isinstance(op, QAdd) else []
        owners[op.output.name] = owners[dying[0]] if dying else op.output.name
    owners.pop(graph.output.name, None)
    return owners


def tensor_buffers(graph: QGraph, owners: Mapping[str, str]) -> list[Buffer]:
    """Lifetimes of the buffers of the input and of all tensors between operators (`shared_buffers`)."""
    used = {graph.input.name: [0]} | {op.output.name: [i] for i, op in enumerate(graph.ops)}
    for i, op in enumerate(graph.ops):
        for source in op.inputs:
            used[source.name].append(i)
    tensors = {graph.input.name: graph.input} | {op.output.name: op.output for op in graph.ops}
    steps: dict[str, list[int]] = {}
    for name, owner in owners.items():
        steps.setdefault(owner, []).extend(used[name])
    return [Buffer(owner, tensors[owner].size, min(used_at), max(used_at)) for owner, used_at in steps.items()]


def live_bytes(buffers: Iterable[Buffer], steps: int) -> tuple[int, ...]:
    """Aligned bytes alive during each of `steps` steps."""
    changes = [0] * (steps + 1)
    for buffer in buffers:
        changes[buffer.first] += aligned(buffer.size)
        changes[buffer.last + 1] -= aligned(buffer.size)
    return tuple(itertools.accumulate(changes))[:steps]


def extent(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """End of the last byte in use, aligned."""
    return max((offset + aligned(b.size) for b, offset in zip(buffers, offsets, strict=True)), default=0)


def place(buffers: Sequence[Buffer]) -> list[int]:
    """An offset for every buffer such that buffers alive together never overlap; the same result for the same input."""
    steps = max((b.last for b in buffers), default=-1) + 1
    live = live_bytes(buffers, steps)
    bound = max(live, default=0)
    best: list[int] | None = None
    for order in _orders(buffers, live):
        offsets = _first_fit(buffers, order)
        if best is None or extent(buffers, offsets) < extent(buffers, best):
            best = offsets
        if extent(buffers, best) == bound:
            break
    return best or []


def _orders(buffers: Sequence[Buffer], live: Sequence[int]) -> Iterable[list[int]]:
    """Orders of placement: by size, by the busiest step (TensorFlow Lite's "by breadth"), by area, then at random."""
    keys: list[Callable[[Buffer], tuple[int, ...]]] = [
        lambda b: (-b.size, b.first),
        lambda b: (-max(live[b.first : b.last + 1]), -b.size, b.first),
        lambda b: (-b.size * (b.last - b.first + 1), b.first),
    ]
    for key in keys:
        yield sorted(range(len(buffers)), key=lambda i, key=key: key(buffers[i]))  # type: ignore[misc]
    order = sorted(range(len(buffers)), key=lambda i: -buffers[i].size)
    rng = random.Random(0)  # seeded: a plan must not change between runs
    for _ in range(_SHUFFLES):
        rng.shuffle(order)
        yield list(order)


def _first_fit(buffers: Sequence[Buffer], order: Sequence[int]) -> list[int]:
    """Place in `order`, each in the smallest gap that takes it (best fit), or above everything it lives with."""
    offsets = [0] * len(buffers)
    placed: list[int] = []
    for i in order:
        size = aligned(buffers[i].size)
        neighbours = sorted(
            (offsets[j], offsets[j] + aligned(buffers[j].size)) for j in placed if buffers[j].overlaps(buffers[i])
        )
        end, gap, chosen = 0, None, None
        for start, stop in neighbours:
            if start - end >= size and (gap is None or start - end < gap):
                gap, chosen = start - end, end
            end = max(end, stop)
        offsets[i] = end if chosen is None else chosen
        placed.append(i)
    return offsets
