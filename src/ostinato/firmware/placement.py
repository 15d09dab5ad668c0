"""Where buffers with lifetimes lie: the offline memory allocation problem.

Buffers that are alive at the same time must not share bytes. The problem is NP-hard in general and nearly always solved
to its lower bound, the largest sum of sizes alive at one moment, by placing large buffers first. A few orders are
tried, until that bound is reached.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

ALIGNMENT = 8
"""Every offset is a multiple of it: enough for LDRD and for every C type."""

_SHUFFLES = 200
"""Random orders that are tried when the deterministic ones miss the lower bound."""


@dataclass(frozen=True)
class Buffer:
    """`size` bytes that are in use during the steps `first` to `last`, both included.

    Buffers with the same `block` move together: each is `at` bytes (of either sign, a multiple of `ALIGNMENT`) from a
    common origin. They must not collide with each other.
    """

    name: str
    size: int
    first: int
    last: int
    block: str = ""
    at: int = 0

    def overlaps(self, other: Buffer) -> bool:
        """Whether both are alive at some step."""
        return self.first <= other.last and other.first <= self.last


def aligned(size: int) -> int:
    """`size` rounded up to `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT


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
    blocks = _blocks(buffers)
    best: list[int] | None = None
    for order in _orders(buffers, blocks, live):
        offsets = _first_fit(buffers, order)
        if best is None or extent(buffers, offsets) < extent(buffers, best):
            best = offsets
        if extent(buffers, best) == bound:
            break
    return best or []


_Block = tuple[int, ...]
"""Indices of the buffers that move together."""


def _blocks(buffers: Sequence[Buffer]) -> list[_Block]:
    members: dict[str, list[int]] = {}
    for i, buffer in enumerate(buffers):
        members.setdefault(buffer.block or f"\0{i}", []).append(i)
    return [tuple(block) for block in members.values()]


def _orders(buffers: Sequence[Buffer], blocks: Sequence[_Block], live: Sequence[int]) -> Iterable[list[_Block]]:
    """Orders of placement: by size, by the busiest step (TensorFlow Lite's "by breadth"), by area, then at random."""

    def size(block: _Block) -> int:
        low = min(buffers[i].at for i in block)
        return max(buffers[i].at + buffers[i].size for i in block) - low

    def first(block: _Block) -> int:
        return min(buffers[i].first for i in block)

    def busiest(block: _Block) -> int:
        return max(max(live[buffers[i].first : buffers[i].last + 1]) for i in block)

    def area(block: _Block) -> int:
        return sum(buffers[i].size * (buffers[i].last - buffers[i].first + 1) for i in block)

    keys: list[Callable[[_Block], tuple[int, ...]]] = [
        lambda block: (-size(block), first(block)),
        lambda block: (-busiest(block), -size(block), first(block)),
        lambda block: (-area(block), first(block)),
    ]
    for key in keys:
        yield sorted(blocks, key=key)
    order = sorted(blocks, key=lambda block: -size(block))
    rng = random.Random(0)  # seeded: a plan must not change between runs
    for _ in range(_SHUFFLES):
        rng.shuffle(order)
        yield list(order)


def _first_fit(buffers: Sequence[Buffer], order: Sequence[_Block]) -> list[int]:
    """Place in `order`, each block in the gap that it fits best, or above everything it lives with."""
    offsets = [0] * len(buffers)
    placed: list[int] = []
    for block in order:
        low = min(buffers[i].at for i in block)
        origin = _best_gap(_forbidden(buffers, offsets, placed, block, low))
        for i in block:
            offsets[i] = origin + buffers[i].at - low
        placed.extend(block)
    return offsets


def _forbidden(
    buffers: Sequence[Buffer], offsets: Sequence[int], placed: Sequence[int], block: _Block, low: int
) -> list[tuple[int, int]]:
    """Open intervals of origins at which some buffer of the block would collide with one that is placed, sorted."""
    return sorted(
        (
            offsets[j] - aligned(buffers[i].size) - (buffers[i].at - low),
            offsets[j] + aligned(buffers[j].size) - (buffers[i].at - low),
        )
        for i in block
        for j in placed
        if buffers[i].overlaps(buffers[j])
    )


def _best_gap(forbidden: Sequence[tuple[int, int]]) -> int:
    """The start of the gap with least room to spare, or the end of all that is forbidden."""
    end, room, chosen = 0, None, None
    for start, stop in forbidden:
        if start >= end and (room is None or start - end < room):
            room, chosen = start - end, end
        end = max(end, stop)
    return end if chosen is None else chosen
