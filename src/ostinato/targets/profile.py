"""What a simulated run returns: instructions and cycles, per function and per segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Executed instructions (exact) and modelled cycles. Counts add."""

    instructions: int = 0
    cycles: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.instructions + other.instructions, self.cycles + other.cycles)

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
        cycle_model: name of the model behind the cycles.
    """

    by_function: Mapping[str, Counts]
    segments: tuple[RunSegment, ...]
    stack_bytes: int
    result: int
    cycle_model: str

    @property
    def total(self) -> Counts:
        """The whole run."""
        return sum(self.by_function.values(), Counts())

    def milliseconds(self, clock_hz: float) -> float:
        """Modelled time of the whole run at that clock, in ms."""
        return self.total.milliseconds(clock_hz)
