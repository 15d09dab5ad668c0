"""The executable ranges of a firmware as one run of half-word slots: code in flash, and code copied to SRAM."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

_MOST_RANGES = 4


class CodeMapStruct(ctypes.Structure):
    """Mirror of `code_map` in support/code_map.h."""

    _fields_ = (
        ("count", ctypes.c_uint64),
        ("begin", ctypes.c_uint64 * _MOST_RANGES),
        ("end", ctypes.c_uint64 * _MOST_RANGES),
        ("first", ctypes.c_uint64 * _MOST_RANGES),
    )


class CodeMap:
    """Slots are numbered through all ranges, one per half-word, with one spare behind each range for its end.

    Attributes:
        ranges: (first address, end) of each range, ascending.
        slots: number of slots.
    """

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        if not 0 < len(ranges) <= _MOST_RANGES:
            raise ValueError(f"firmware has 1 to {_MOST_RANGES} ranges of code, not {len(ranges)}")
        self.ranges = tuple(sorted(ranges))
        self._first: list[int] = []
        self.slots = 0
        for begin, end in self.ranges:
            self._first.append(self.slots)
            self.slots += (end - begin) // 2 + 1

    def contains(self, address: int) -> bool:
        """Whether there is code at `address`."""
        return any(begin <= address < end for begin, end in self.ranges)

    def slot(self, address: int) -> int:
        """The slot of an address in a range, or of a range's end; -1 for any other."""
        for (begin, end), first in zip(self.ranges, self._first, strict=True):
            if begin <= address <= end:
                return first + (address - begin) // 2
        return -1

    def address(self, slot: int) -> int:
        """The address of a slot."""
        for (begin, _), first in zip(reversed(self.ranges), reversed(self._first), strict=True):
            if slot >= first:
                return begin + 2 * (slot - first)
        raise ValueError(f"there is no slot {slot}")

    def struct(self) -> CodeMapStruct:
        """For the hooks in C."""
        found = CodeMapStruct(count=len(self.ranges))
        for k, ((begin, end), first) in enumerate(zip(self.ranges, self._first, strict=True)):
            found.begin[k], found.end[k], found.first[k] = begin, end, first
        return found
