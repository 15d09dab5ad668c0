"""The hook that turns every executed instruction and access into stall cycles; see support/memory_hook.c."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.targets.external_flash import WINDOW_ORIGIN
from ostinato.targets.memory.systems import Cache, MemorySystem

Stalls = npt.NDArray[np.float64]
"""(4, slots): stall cycles of fetching, of data, of unaligned accesses, and of external flash."""

KINDS = 4
_FETCH, _DATA, _UNALIGNED, _EXTERNAL = range(KINDS)


class _Cache(ctypes.Structure):
    _fields_ = (
        ("line_shift", ctypes.c_uint32),
        ("sets", ctypes.c_uint32),
        ("ways", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
        ("tags", ctypes.c_void_p),
        ("stamps", ctypes.c_void_p),
        ("clock", ctypes.c_uint64),
    )


class _State(ctypes.Structure):
    """Mirror of `memory_state` in support/memory_hook.c; see there for the fields."""

    _fields_ = (
        ("cost", ctypes.c_void_p),
        ("branches", ctypes.c_void_p),
        ("fetch", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("unaligned", ctypes.c_void_p),
        ("external", ctypes.c_void_p),
        ("taken", ctypes.c_double),
        ("flash_begin", ctypes.c_uint64),
        ("flash_end", ctypes.c_uint64),
        ("flash_wait", ctypes.c_double),
        ("flash_line_shift", ctypes.c_uint32),
        ("prefetch", ctypes.c_int32),
        ("code", _Cache),
        ("values", _Cache),
        ("slow_begin", ctypes.c_uint64),
        ("slow_end", ctypes.c_uint64),
        ("slow_wait", ctypes.c_double),
        ("code_ram_end", ctypes.c_uint64),
        ("shared_begin", ctypes.c_uint64),
        ("shared_end", ctypes.c_uint64),
        ("serial_fetch", ctypes.c_int32),
        ("unaligned_loads", ctypes.c_uint32),
        ("external_begin", ctypes.c_uint64),
        ("external_end", ctypes.c_uint64),
        ("external_burst", ctypes.c_double),
        ("external_byte", ctypes.c_double),
        ("external_fifo", ctypes.c_double),
        ("external_cached", ctypes.c_int32),
        ("ideal", ctypes.c_int32),
        ("now", ctypes.c_double),
        ("previous_end", ctypes.c_uint64),
        ("at", ctypes.c_int64),
        ("in_code_ram", ctypes.c_int32),
        ("pad", ctypes.c_int32),
        ("code_line", ctypes.c_uint64),
        ("value_line", ctypes.c_uint64),
        ("ahead_line", ctypes.c_uint64),
        ("ahead_ready", ctypes.c_double),
        ("flash_free", ctypes.c_double),
        ("last_fetch", ctypes.c_double),
        ("word", ctypes.c_uint64),
        ("word_ready", ctypes.c_double),
        ("taken_at", ctypes.c_double * 3),
        ("external_next", ctypes.c_uint64),
        ("external_ahead", ctypes.c_double),
        ("external_since", ctypes.c_double),
        ("flash_reads", ctypes.c_uint64),
        ("unaligned_accesses", ctypes.c_uint64),
        ("code_misses", ctypes.c_uint64),
        ("value_misses", ctypes.c_uint64),
        ("accesses", ctypes.c_uint64),
        ("external_bursts", ctypes.c_uint64),
        ("external_bytes", ctypes.c_uint64),
    )


_FIRST_DYNAMIC = "now"


@dataclass(frozen=True)
class MemoryEvents:
    """What a memory system did in a run.

    Attributes:
        flash_reads: lines read from the flash itself, prefetched ones among them.
        code_misses: lines of code that were not in the cache of instructions.
        data_misses: lines of data that were in no cache.
        accesses: reads and writes of data.
        unaligned_accesses: those whose address is not a multiple of their size.
        external_bursts: reads of external flash that did not go on where the one before ended.
        external_bytes: read from it.
    """

    flash_reads: int
    code_misses: int
    data_misses: int
    accesses: int
    unaligned_accesses: int
    external_bursts: int = 0
    external_bytes: int = 0


class MemoryHook:
    """A memory system at work: cold at `reset`, then fed by `accesses.AccessHook`.

    Args:
        system: its data.
        flash: (first address, end).
        cycles: of each instruction, by slot of the code map.
        branches: whether it may branch.
        taken_branch_cycles: what a taken one adds.

    Attributes:
        state: shared with the C hook.
        stalls: see `Stalls`.
    """

    def __init__(
        self,
        system: MemorySystem,
        flash: tuple[int, int],
        cycles: npt.NDArray[np.float64],
        branches: npt.NDArray[np.uint8],
        taken_branch_cycles: float,
    ) -> None:
        self.stalls: Stalls = np.zeros((KINDS, len(cycles)), np.float64)
        self._keep: list[Any] = [cycles, branches]
        slow, shared = system.slow_ram or (0, 0), system.shared_ram or (0, 0)
        outside = system.external
        self.state = _State(
            cost=cycles.ctypes.data,
            branches=branches.ctypes.data,
            fetch=self.stalls[_FETCH].ctypes.data,
            data=self.stalls[_DATA].ctypes.data,
            unaligned=self.stalls[_UNALIGNED].ctypes.data,
            external=self.stalls[_EXTERNAL].ctypes.data,
            taken=taken_branch_cycles,
            flash_begin=flash[0],
            flash_end=flash[1],
            flash_wait=system.wait_states + system.bus_cycles,
            flash_line_shift=system.line_bytes.bit_length() - 1,
            prefetch=system.prefetch,
            code=self._cache(system.instructions),
            values=self._cache(system.data),
            slow_begin=slow[0],
            slow_end=slow[1],
            slow_wait=system.slow_ram_cycles,
            code_ram_end=system.code_ram_bytes,
            shared_begin=shared[0],
            shared_end=shared[1],
            serial_fetch=system.serial_fetch,
            unaligned_loads=system.unaligned_load_cycles,
            external_begin=WINDOW_ORIGIN,
            external_end=WINDOW_ORIGIN + (outside.size_bytes if outside else 0),
            external_burst=outside.burst_cycles if outside else 0,
            external_byte=outside.byte_cycles if outside else 1,
            external_fifo=outside.fifo_bytes if outside else 0,
            external_cached=system.external_cached,
            ideal=system.ideal,
        )

    def reset(self) -> None:
        """Start a run: empty caches, no stalls."""
        self.stalls[:] = 0
        for array in self._keep[2:]:
            array[:] = 0
        offset = getattr(_State, _FIRST_DYNAMIC).offset
        ctypes.memset(ctypes.addressof(self.state) + offset, 0, ctypes.sizeof(_State) - offset)
        self.state.code.clock = self.state.values.clock = 0

    def stalls_before(self, slot: int) -> Stalls:
        """A copy of the stalls so far, without those of fetching the instruction in progress, at `slot`."""
        stalls = self.stalls.copy()
        stalls[_FETCH, slot] -= self.state.last_fetch
        return stalls

    @property
    def events(self) -> MemoryEvents:
        """Of the run so far."""
        state = self.state
        return MemoryEvents(
            flash_reads=state.flash_reads,
            code_misses=state.code_misses,
            data_misses=state.value_misses,
            accesses=state.accesses,
            unaligned_accesses=state.unaligned_accesses,
            external_bursts=state.external_bursts,
            external_bytes=state.external_bytes,
        )

    def _cache(self, cache: Cache | None) -> _Cache:
        if cache is None:
            return _Cache(line_shift=5)
        lines = cache.sets * cache.ways
        tags, stamps = np.zeros(lines, np.uint64), np.zeros(lines, np.uint64)
        self._keep += [tags, stamps]
        return _Cache(
            line_shift=cache.line_bytes.bit_length() - 1,
            sets=cache.sets,
            ways=cache.ways,
            tags=tags.ctypes.data,
            stamps=stamps.ctypes.data,
        )
