"""Guard zones: memory that a stretch of firmware may not touch, checked at every access.

Nothing is moved and no padding is needed. Within watched memory, everything but the areas that are allowed at the
moment is a guard zone, so that a read one byte past a tensor is caught even where another tensor begins there.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Area:
    """`size` bytes that may be read, and written if `writable`; the name is for error messages."""

    name: str
    begin: int
    size: int
    writable: bool = False

    @property
    def end(self) -> int:
        """The address behind its last byte."""
        return self.begin + self.size


@dataclass(frozen=True)
class Guards:
    """What may be touched when.

    Attributes:
        watched: (first address, end) of memory in which accesses are checked.
        allowed: value of the marker's argument to the areas that may be touched once that call has returned. Where a
            value is missing, before the first call (unless it has the key None) and inside the marker, everything may.
    """

    watched: Sequence[tuple[int, int]]
    allowed: Mapping[int | None, Sequence[Area]]


@dataclass(frozen=True)
class Violation:
    """The first access that was refused: where, of how many bytes, a write or a read, by the instruction at `pc`."""

    address: int
    size: int
    write: bool
    pc: int


class _Area(ctypes.Structure):
    _fields_ = (("begin", ctypes.c_uint64), ("end", ctypes.c_uint64), ("writable", ctypes.c_uint64))


class _State(ctypes.Structure):
    """Mirror of `guard_state` in support/guard_hook.c; see there for the fields."""

    _fields_ = (
        ("watched", ctypes.c_void_p),
        ("watched_count", ctypes.c_uint64),
        ("allowed", ctypes.c_void_p),
        ("allowed_count", ctypes.c_uint64),
        ("resume", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("write", ctypes.c_uint64),
        ("pc", ctypes.c_uint64),
    )


class GuardHook:
    """Guards at work; nothing is checked until `start`.

    Attributes:
        state: shared with the C hook.
    """

    def __init__(self) -> None:
        self.state = _State()
        self.start(None)

    def start(self, guards: Guards | None) -> None:
        """Check from here on; None for nothing."""
        self._guards = guards
        self.state.address = self.state.size = self.state.write = self.state.pc = 0
        self.enter(None)

    def enter(self, marker: int | None, returns_to: int = 0) -> None:
        """Allow what may be touched after this call of the marker, which returns to that address."""
        guards = self._guards
        checks = guards is not None and marker in guards.allowed
        self._allowed = guards.allowed[marker] if guards is not None and checks else ()
        watched = guards.watched if guards is not None and checks else ()
        self._watched_areas = _areas([(begin, end, True) for begin, end in watched])
        self._allowed_areas = _areas([(area.begin, area.end, area.writable) for area in self._allowed])
        state = self.state
        state.watched, state.watched_count = ctypes.addressof(self._watched_areas), len(self._watched_areas)
        state.allowed, state.allowed_count = ctypes.addressof(self._allowed_areas), len(self._allowed_areas)
        state.resume = returns_to

    @property
    def violation(self) -> Violation | None:
        """The first refused access since `start`."""
        state = self.state
        return Violation(state.address, state.size, bool(state.write), state.pc) if state.size else None

    def describe(self, violation: Violation) -> str:
        """The access in words, with the nearest area that would have been allowed."""
        kind = "write" if violation.write else "read"
        text = f"{kind} of {violation.size} bytes at {violation.address:#010x}, which is guarded"
        end = violation.address + violation.size
        for area in self._allowed:
            if area.begin <= violation.address and end <= area.end:
                return f"{text}: it may only be read here ({area.name})"
        if not self._allowed:
            return text
        nearest = min(self._allowed, key=lambda a: max(a.begin - violation.address, end - a.end))
        if end > nearest.end:
            return f"{text}: its last byte is {end - nearest.end} past the end of {nearest.name}"
        return f"{text}: {nearest.begin - violation.address} before the start of {nearest.name}"


def _areas(areas: Sequence[tuple[int, int, bool]]) -> ctypes.Array[_Area]:
    return (_Area * len(areas))(*(_Area(begin, end, writable) for begin, end, writable in areas))
