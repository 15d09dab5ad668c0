"""Running firmware on an emulated Cortex-M: exact instruction counts, modelled cycles, stack depth, faults by name."""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.errors import SimulationError
from ostinato.targets.accesses import AccessHook, Decoded
from ostinato.targets.accounting import Accounting, Code
from ostinato.targets.cores import Core, get_core
from ostinato.targets.cycles import CycleModel, cycle_model_for
from ostinato.targets.elf import Elf, Symbol
from ostinato.targets.emulator import Emulator
from ostinato.targets.faults import FaultRecorder
from ostinato.targets.guards import GuardHook, Guards
from ostinato.targets.hook import BlockHook, Counters, c_hook_library
from ostinato.targets.memory import MemorySystem
from ostinato.targets.memory.hook import MemoryHook, Stalls
from ostinato.targets.profile import Profile, RunSegment
from ostinato.targets.stack import stack_descent

_SYSTEM_CONTROL_SPACE = 0xE000_E000  # ARMv7-M B3.2: where the start-up code switches the FPU on
_SYSTEM_CONTROL_BYTES = 4096
_REMAP_PERIPHERALS = (0x4001_3000, 0x4002_3000)  # STM32F4's SYSCFG and RCC: start-up maps SRAM1 to address 0


class Simulator:
    """A powered-up core with a firmware image in flash.

    Construction runs the start-up code up to `main`; then inputs are written by symbol, and `run` calls `main` or any
    other function. Memory keeps its contents from run to run, as on a board; `reset` powers it up afresh. Only the
    flash (external flash, too) and the SRAM that the firmware was linked for exist; flash cannot be written by the
    firmware.

    Args:
        elf: firmware made by `compile_firmware`.
        core: `cortex-m4` or `cortex-m7`.
        timeout_s: seconds of emulation after which a run is given up.
        cycle_model: another model than the core's own.
        python_hook: count with the Python hook: slow, same counts. Used anyway where no host compiler works.
        memory: flash wait states, caches and buses (see `targets.memory`), each run with empty caches; by default
            memory answers at once.
        guarded: make `run(guards=)` possible, at some cost in speed.

    Raises:
        SimulationError: the file is not such a firmware, there is no cycle model for the core, start-up faulted, or
            `memory` or `guarded` without the compiled hooks.
    """

    def __init__(
        self,
        elf: Path,
        *,
        core: str | Core = "cortex-m4",
        timeout_s: float = 60.0,
        cycle_model: CycleModel | None = None,
        python_hook: bool = False,
        memory: MemorySystem | None = None,
        guarded: bool = False,
    ) -> None:
        self.core = get_core(core)
        self.timeout_s = timeout_s
        self.cycle_model = cycle_model if cycle_model is not None else cycle_model_for(self.core)
        self.elf = Elf(elf)
        self._library = None if python_hook else c_hook_library()
        if self._library is None and (memory is not None or guarded):
            raise SimulationError("flash wait states and guard zones need compiled hooks, but no host compiler works")
        self._memory, self._guarded = memory, guarded
        self._exit = self.elf.symbol("firmware_exit").address
        self._stack_top = self.elf.symbol("__stack_top").address
        self._stack_limit = self.elf.symbol("__stack_limit").address
        self._descent = stack_descent(self.elf)
        self._code = Code(self.elf, self.cycle_model)
        self._decoded = Decoded(self._code) if memory is not None or guarded else None
        self.reset()

    @property
    def symbols(self) -> Mapping[str, Symbol]:
        """All symbols of the firmware, by name."""
        return self.elf.symbols

    def reset(self) -> None:
        """Power up: fresh memory, then the start-up code up to `main`."""
        self._emulator = Emulator(self.core)
        self._map_memory()
        self._hook = BlockHook(self.elf.code, self._descent, self._exit)
        if self._library is not None:
            self._hook.install_c(self._emulator, self._library)
        else:
            self._hook.install_python(self._emulator)
        self._faults = FaultRecorder(self._emulator)
        self._memory_hook: MemoryHook | None = None
        self._guard_hook: GuardHook | None = None
        if self._decoded is not None and self._library is not None:
            self._install_accesses(self._decoded, self._library)
        self._label = ""
        self._emulate(self.elf.symbol("Reset_Handler").address, self._stack_top, self.elf.symbol("main").address)

    def _install_accesses(self, decoded: Decoded, library: ctypes.CDLL) -> None:
        if self._memory is not None:
            flash = self.elf.symbol("__flash_start").address, self.elf.symbol("__flash_end").address
            taken = self.cycle_model.taken_branch_cycles
            self._memory_hook = MemoryHook(self._memory, flash, decoded.cycles, decoded.branches, taken)
        if self._guarded:
            self._guard_hook = GuardHook()
        memory = self._memory_hook.state if self._memory_hook is not None else None
        guard = self._guard_hook.state if self._guard_hook is not None else None
        self._accesses = AccessHook(self._emulator, library, self._code, decoded, self._exit, memory, guard)

    def _map_memory(self) -> None:
        for region in ("flash", "sram"):
            start = self.elf.symbol(f"__{region}_start").address
            end = self.elf.symbol(f"__{region}_end").address
            self._emulator.map(start, end - start, writable=region == "sram", executable=True)
        if "__external_start" in self.elf.symbols:
            start, end = (self.elf.symbol(f"__external_{edge}").address for edge in ("start", "end"))
            self._emulator.map(start, end - start, writable=False, executable=False)
        hot_end = self.elf.symbol("__hot_end").address
        if hot_end:
            self._emulator.map(0, hot_end, writable=True, executable=True)
            for peripheral in _REMAP_PERIPHERALS:
                self._emulator.map(peripheral, _SYSTEM_CONTROL_BYTES, writable=True, executable=False)
        self._emulator.map(_SYSTEM_CONTROL_SPACE, _SYSTEM_CONTROL_BYTES, writable=True, executable=False)
        for segment in self.elf.segments:
            self._emulator.write(segment.address, segment.data)

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes anywhere in flash or SRAM.

        Raises:
            SimulationError: there is no memory there.
        """
        self._emulator.write(address, data)

    def read_memory(self, address: int, size: int) -> bytes:
        """Read bytes from flash or SRAM.

        Raises:
            SimulationError: there is no memory there.
        """
        return self._emulator.read(address, size)

    def write(self, symbol: str, values: npt.ArrayLike) -> None:
        """Write an array (its bytes, as they are) to the start of a variable.

        Raises:
            SimulationError: no such symbol, or the array is larger than the variable.
        """
        found = self.elf.symbol(symbol)
        data = np.ascontiguousarray(values).tobytes()
        if len(data) > found.size:
            raise SimulationError(f"{len(data)} bytes do not fit into {symbol!r}, which has {found.size}")
        self.write_memory(found.address, data)

    def read(self, symbol: str, dtype: npt.DTypeLike, count: int | None = None) -> npt.NDArray[Any]:
        """Read a variable as a one-dimensional array (all of it, or its first `count` elements).

        Raises:
            SimulationError: no such symbol, or its size is not a multiple of the element's.
        """
        found = self.elf.symbol(symbol)
        item = np.dtype(dtype).itemsize
        size = found.size if count is None else count * item
        if size > found.size or size % item:
            wanted = "whole elements" if count is None else f"{count} elements"
            raise SimulationError(f"{symbol!r} has {found.size} bytes, not {wanted} of {np.dtype(dtype)}")
        return np.frombuffer(self.read_memory(found.address, size), dtype).copy()

    def run(
        self,
        entry: str | None = None,
        args: Sequence[int | str] = (),
        *,
        marker: str | None = None,
        labels: Sequence[str] = (),
        guards: Guards | None = None,
        at_marker: Callable[[int], None] | None = None,
    ) -> Profile:
        """Call a function and return what it cost.

        Args:
            entry: a function's name; `main` by default.
            args: its arguments: integers of up to 32 bits, or names of variables, whose addresses are passed.
            marker: name of a function whose calls cut the run into segments, by its first argument.
            labels: what errors call those segments, by that argument.
            guards: memory that may not be touched, by segment; for a simulator made with `guarded`.
            at_marker: called with that argument at each cut; it may read memory.

        Raises:
            SimulationError: no such symbol; a fault (named by function, segment, address and kind); an access to
                guarded memory; a stack that ran into the static data; or more than `timeout_s` seconds.
        """
        start = self._function(entry or "main")
        values = [self.elf.symbol(a).address if isinstance(a, str) else a for a in args]
        stack_pointer = self._emulator.place_arguments(values, self._stack_top)
        if self._guard_hook is not None:
            self._guard_hook.start(guards)
        elif guards is not None:
            raise SimulationError("guard zones need a simulator that was made with guarded=True")
        cuts: list[_Cut] = []
        self._label = ""
        unwatch = self._watch(self._function(marker), cuts, labels, at_marker) if marker else None
        try:
            self._emulate(start.address, stack_pointer, self._exit)
        finally:
            if unwatch is not None:
                unwatch()
        return self._profile(cuts, stack_pointer)

    def _function(self, name: str) -> Symbol:
        symbol = self.elf.symbol(name)
        if not symbol.is_function:
            raise SimulationError(f"{name!r} is not a function of the firmware {self.elf.path.name}")
        return symbol

    def _watch(
        self,
        marker: Symbol,
        cuts: list[_Cut],
        labels: Sequence[str],
        at_marker: Callable[[int], None] | None,
    ) -> Any:
        """Append a cut to `cuts` at each call; returns what ends the watch."""
        slot = self.elf.code.slot

        def cut() -> None:
            counts = self._hook.counts.copy()
            # The marker's own first block was counted just before this; it belongs to the segment that begins.
            counts[0, slot(marker.address)] -= np.uint64(1)
            counts[1, slot(self._hook.state.previous_end)] -= np.uint64(1)
            stalls = self._memory_hook.stalls_before(slot(marker.address)) if self._memory_hook else None
            number = self._emulator.r0
            cuts.append(_Cut(number, counts, stalls))
            self._label = labels[number] if 0 <= number < len(labels) else ""
            if at_marker is not None:
                at_marker(number)
            if self._guard_hook is not None:
                self._guard_hook.enter(number, self._emulator.link)

        return self._emulator.on_address(marker.address, cut)

    def _emulate(self, start: int, stack_pointer: int, until: int) -> None:
        self._hook.reset(stack_pointer, self._stack_limit)
        self._faults.reset()
        if self._memory_hook is not None:
            self._memory_hook.reset()
        expired = threading.Event()

        def give_up() -> None:
            expired.set()
            self._emulator.stop()

        timer = threading.Timer(self.timeout_s, give_up)
        timer.daemon = True
        timer.start()
        try:
            complaint = self._emulator.execute(start, until, stack_pointer=stack_pointer, link=self._exit)
        finally:
            timer.cancel()
        self._check(complaint, until, expired.is_set())

    def _check(self, complaint: str, until: int, expired: bool) -> None:
        """Raise what went wrong in the run that has just ended.

        Raises:
            SimulationError: something did.
        """
        state, pc = self._hook.state, self._emulator.pc
        violation = self._guard_hook.violation if self._guard_hook is not None else None
        if self._guard_hook is not None and violation is not None:
            said = self._guard_hook.describe(violation)
            raise SimulationError(f"fault in {self._where(violation.pc)} at {violation.pc:#010x}: {said}")
        if state.overflow_at:
            raise SimulationError(
                f"stack overflow in {self._where(state.overflow_at)}: the stack reached {state.lowest_sp:#010x}, "
                f"below its limit {self._stack_limit:#010x} (end of the static data)"
            )
        if self._faults.description or complaint:
            at = self._faults.pc if self._faults.description else pc
            if not self.elf.code.contains(at):
                at = state.previous_end - 2  # after a jump into nowhere: the function that jumped
            raise SimulationError(f"fault in {self._where(at)} at {at:#010x}: {self._faults.description or complaint}")
        if state.outside:
            raise SimulationError(f"the firmware left its code section and ran at {state.outside:#010x}")
        if pc != until:
            reason = f"no end after {self.timeout_s:g} s" if expired else "the emulator stopped"
            raise SimulationError(f"{reason}: the core was in {self._where(pc)} at {pc:#010x}")

    def _where(self, address: int) -> str:
        """The function, and the layer where there is one."""
        return self.elf.function_at(address) + (f" (layer {self._label})" if self._label else "")

    def _profile(self, cuts: list[_Cut], stack_pointer: int) -> Profile:
        counts = self._hook.counts.copy()
        accounting = Accounting(self._code, counts)
        stalls = self._memory_hook.stalls.copy() if self._memory_hook else None
        bounds = [_Cut(None, np.zeros_like(counts), _zeros_like(stalls)), *cuts, _Cut(None, counts, stalls)]
        segments = tuple(
            RunSegment(before.marker, accounting.by_function(*after.since(before)))
            for before, after in itertools.pairwise(bounds)
        )
        return Profile(
            by_function=accounting.by_function(counts, stalls),
            segments=segments,
            stack_bytes=int(stack_pointer - self._hook.state.lowest_sp),
            result=self._emulator.r0,
            cycle_model=f"{self.cycle_model.name}, {self._memory.name if self._memory else 'zero wait states'}",
            memory=self._memory_hook.events if self._memory_hook else None,
        )


@dataclass(frozen=True)
class _Cut:
    """A call of the marker: its argument, and the counters and stalls so far."""

    marker: int | None
    counts: Counters
    stalls: Stalls | None

    def since(self, before: _Cut) -> tuple[Counters, Stalls | None]:
        """What was counted in between."""
        if self.stalls is None or before.stalls is None:
            return self.counts - before.counts, None
        return self.counts - before.counts, self.stalls - before.stalls


def _zeros_like(stalls: Stalls | None) -> Stalls | None:
    return None if stalls is None else np.zeros_like(stalls)
