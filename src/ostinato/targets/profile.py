"""What a simulated run returns: instructions and cycles, per function and per segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ostinato.targets.memory.hook import MemoryEvents


@dataclass(frozen=True)
class MemoryStalls:
    """Modelled cycles that the core waited for memory: all 0 where memory is ideal. Stalls add.

    Attributes:
        fetch: for instructions.
        data: for constants in flash and data in slow RAM.
        unaligned: for the further transfers of unaligned accesses.
        external: for constants in external flash.
    """

    fetch: int = 0
    data: int = 0
    unaligned: int = 0
    external: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.fetch + self.data + self.unaligned + self.external

    def __add__(self, other: MemoryStalls) -> MemoryStalls:
        return MemoryStalls(
            self.fetch + other.fetch,
            self.data + other.data,
            self.unaligned + other.unaligned,
            self.external + other.external,
        )


@dataclass(frozen=True)
class Counts:
    """Executed instructions (exact) and modelled cycles, `stalls` among them. Counts add."""

    instructions: int = 0
    cycles: int = 0
    stalls: MemoryStalls = MemoryStalls()

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.instructions + other.instructions, self.cycles + other.cycles, self.stalls + other.stalls)

    def __radd__(self, other: int) -> Counts:
        """Make `sum(counts)` work."""
        return self if other == 0 else NotImplemented

    def milliseconds(self, clock_hz: float) -> float:
        """Modelled time at that clock, in ms."""
        return 1e3 * self.cycles / clock_hz


@dataclass(frozen=True)
class RunSegment:
    """The part of a run from one call of the marker function to the next.

    Attributes:
        marker: the marker's first argument; None for what ran before its first call.
        by_function: counts of the functions that ran in it.
    """

    marker: int | None
    by_function: Mapping[str, Counts]

    @property
    def total(self) -> Counts:
        """All of the segment."""
        return sum(self.by_function.values(), Counts())


@dataclass(frozen=True)
class Profile:
    """One run of the simulator.

    Attributes:
        by_function: function name to its own counts (callees not included). Their sum is `total`.
        segments: the run cut at the marker (a single segment without one). Their sum is the run, up to the rounding
            of cycles where a model counts fractions (the Cortex-M4's does not).
        stack_bytes: the deepest the stack went below where the called function found it, in bytes.
        result: what the function returned in r0, as a signed integer.
        cycle_model: names of the models behind the cycles: the core's and the memory's.
        memory: what the memory system did; None where memory is ideal.
    """

    by_function: Mapping[str, Counts]
    segments: tuple[RunSegment, ...]
    stack_bytes: int
    result: int
    cycle_model: str
    memory: MemoryEvents | None = None

    @property
    def total(self) -> Counts:
        """The whole run."""
        return sum(self.by_function.values(), Counts())

    def milliseconds(self, clock_hz: float) -> float:
        """Modelled time of the whole run at that clock, in ms."""
        return self.total.milliseconds(clock_hz)
