"""Running firmware on an emulated Cortex-M: exact instruction counts, modelled cycles, stack depth, faults by name."""

from __future__ import annotations

import struct
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import unicorn
from unicorn import arm_const

from ostinato.errors import SimulationError
from ostinato.targets.accounting import Accounting
from ostinato.targets.cores import Core, get_core
from ostinato.targets.cycles import CycleModel, cycle_model_for
from ostinato.targets.elf import Elf, Symbol
from ostinato.targets.faults import FaultRecorder
from ostinato.targets.hook import BlockHook, Counters, c_hook_library
from ostinato.targets.instructions import BRANCHES, disassemble, stack_growth
from ostinato.targets.profile import Profile, RunSegment

_PAGE = 4096
_SYSTEM_CONTROL_SPACE = 0xE000_E000
_ARGUMENT_REGISTERS = (
    arm_const.UC_ARM_REG_R0,
    arm_const.UC_ARM_REG_R1,
    arm_const.UC_ARM_REG_R2,
    arm_const.UC_ARM_REG_R3,
)


class Simulator:
    """A powered-up core with a firmware image in flash.

    Construction runs the start-up code up to `main`; then inputs are written by symbol, and `run` calls `main` or any
    other function. Memory keeps its contents from run to run, as on a board; `reset` powers it up afresh. Only the flash
    and the SRAM that the firmware was linked for exist; flash cannot be written by the firmware.

    Args:
        elf: firmware made by `compile_firmware`.
        core: `cortex-m4` or `cortex-m7`.
        timeout_s: seconds of emulation after which a run is given up.
        cycle_model: another model than the core's own.
        python_hook: count with the Python hook: slow, same counts. Used anyway where no host compiler works.

    Raises:
        SimulationError: the file is not such a firmware, there is no cycle model for the core, or start-up faulted.
    """

    def __init__(
        self,
        elf: Path,
        *,
        core: str | Core = "cortex-m4",
        timeout_s: float = 60.0,
        cycle_model: CycleModel | None = None,
        python_hook: bool = False,
    ) -> None:
        self.core = get_core(core)
        self.timeout_s = timeout_s
        self.cycle_model = cycle_model if cycle_model is not None else cycle_model_for(self.core)
        self.elf = Elf(elf)
        self._library = None if python_hook else c_hook_library()
        self._exit = self.elf.symbol("firmware_exit").address
        self._stack_top = self.elf.symbol("__stack_top").address
        self._stack_limit = self.elf.symbol("__stack_limit").address
        self._descent = _stack_descent(self.elf)
        self.reset()

    @property
    def symbols(self) -> Mapping[str, Symbol]:
        """All symbols of the firmware, by name."""
        return self.elf.symbols

    def reset(self) -> None:
        """Power up: fresh memory, then the start-up code up to `main`."""
        uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(getattr(arm_const, self.core.unicorn_cpu))
        self._uc = uc
        self._map_memory()
        self._hook = BlockHook(*self.elf.code, self._descent, self._exit)
        if self._library is not None:
            self._hook.install_c(uc, self._library)
        else:
            self._hook.install_python(uc)
        self._faults = FaultRecorder(uc)
        uc.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)  # the FPU's enable bit, which CPACR sets on silicon
        self._emulate(self.elf.symbol("Reset_Handler").address, self._stack_top, self.elf.symbol("main").address)

    def _map_memory(self) -> None:
        for region, permission in (
            ("flash", unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC),
            ("sram", unicorn.UC_PROT_ALL),
        ):
            start = self.elf.symbol(f"__{region}_start").address
            end = self.elf.symbol(f"__{region}_end").address
            self._uc.mem_map(start, -(-(end - start) // _PAGE) * _PAGE, permission)
        self._uc.mem_map(_SYSTEM_CONTROL_SPACE, _PAGE, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
        for segment in self.elf.segments:
            self._uc.mem_write(segment.address, segment.data)

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes anywhere in flash or SRAM.

        Raises:
            SimulationError: there is no memory there.
        """
        try:
            self._uc.mem_write(address, data)
        except unicorn.UcError as error:
            raise SimulationError(f"there is no memory for {len(data)} bytes at {address:#010x}") from error

    def read_memory(self, address: int, size: int) -> bytes:
        """Read bytes from flash or SRAM.

        Raises:
            SimulationError: there is no memory there.
        """
        try:
            return bytes(self._uc.mem_read(address, size))
        except unicorn.UcError as error:
            raise SimulationError(f"there is no memory for {size} bytes at {address:#010x}") from error

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
            raise SimulationError(f"{symbol!r} has {found.size} bytes: not {count or 'a number of'} {np.dtype(dtype)}")
        return np.frombuffer(self.read_memory(found.address, size), dtype).copy()

    def run(self, entry: str | None = None, args: Sequence[int | str] = (), *, marker: str | None = None) -> Profile:
        """Call a function and return what it cost.

        Args:
            entry: a function's name; `main` by default.
            args: its arguments: integers of up to 32 bits, or names of variables, whose addresses are passed.
            marker: name of a function whose calls cut the run into segments, by its first argument.

        Raises:
            SimulationError: no such symbol; a fault (named by function, address and kind); a stack that ran into the
                static data; or more than `timeout_s` seconds.
        """
        start = self.elf.symbol(entry or "main")
        if not start.is_function:
            raise SimulationError(f"{start.name!r} is not a function")
        sp = self._place_arguments([self.elf.symbol(a).address if isinstance(a, str) else a for a in args])
        self._uc.reg_write(arm_const.UC_ARM_REG_LR, self._exit | 1)
        cuts: list[tuple[int, Counters]] = []
        handle = self._watch(marker, cuts) if marker else None
        try:
            self._emulate(start.address, sp, self._exit)
        finally:
            if handle is not None:
                self._uc.hook_del(handle)
        return self._profile(cuts)

    def _place_arguments(self, values: Sequence[int]) -> int:
        """Pass integers as the ARM procedure call standard does: r0 to r3, then the stack. Returns the stack pointer."""
        words = [value & 0xFFFF_FFFF for value in values]
        for register, word in zip(_ARGUMENT_REGISTERS, words, strict=False):
            self._uc.reg_write(register, word)
        rest = words[len(_ARGUMENT_REGISTERS) :]
        sp = (self._stack_top - 4 * len(rest)) & ~7
        if rest:
            self.write_memory(sp, struct.pack(f"<{len(rest)}I", *rest))
        return sp

    def _watch(self, marker: str, cuts: list[tuple[int, Counters]]) -> int:
        address = self.elf.symbol(marker).address
        halfword = (address - self.elf.code[0]) // 2

        def cut(uc: unicorn.Uc, *_: Any) -> None:
            counts = self._hook.counts.copy()
            # The marker's own first block was counted just before this hook; it belongs to the segment that begins.
            end = int((self._hook.state.previous_end - self.elf.code[0]) // 2)
            counts[0, halfword] -= np.uint64(1)
            counts[1, end] -= np.uint64(1)
            cuts.append((int(uc.reg_read(arm_const.UC_ARM_REG_R0)), counts))

        return int(self._uc.hook_add(unicorn.UC_HOOK_CODE, cut, begin=address, end=address))

    def _emulate(self, start: int, sp: int, until: int) -> None:
        self._hook.reset(sp, self._stack_limit)
        self._faults.reset()
        self._sp = sp
        self._uc.reg_write(arm_const.UC_ARM_REG_SP, sp)
        expired = threading.Event()

        def give_up() -> None:
            expired.set()
            self._uc.emu_stop()

        timer = threading.Timer(self.timeout_s, give_up)
        timer.daemon = True
        timer.start()
        error: unicorn.UcError | None = None
        try:
            self._uc.emu_start(start | 1, until)
        except unicorn.UcError as caught:
            error = caught
        finally:
            timer.cancel()
        self._check(error, until, expired.is_set())

    def _check(self, error: unicorn.UcError | None, until: int, expired: bool) -> None:
        """Raise what went wrong in the run that has just ended."""
        pc = self._uc.reg_read(arm_const.UC_ARM_REG_PC) & ~1
        where = self.elf.function_at
        state = self._hook.state
        if state.overflow_at:
            raise SimulationError(
                f"stack overflow in {where(state.overflow_at)}: the stack reached {state.lowest_sp:#010x}, "
                f"below its limit {self._stack_limit:#010x} (end of the static data)"
            )
        if self._faults.description:
            at = self._faults.pc
            raise SimulationError(f"fault in {where(at)} at {at:#010x}: {self._faults.description}")
        if error is not None:
            raise SimulationError(f"fault in {where(pc)} at {pc:#010x}: {error}")
        if state.outside:
            raise SimulationError(f"the firmware left its code section and ran at {state.outside:#010x}")
        if pc != until:
            reason = f"no end after {self.timeout_s:g} s" if expired else "the emulator stopped"
            raise SimulationError(f"{reason}: the core was in {where(pc)} at {pc:#010x}")

    def _profile(self, cuts: list[tuple[int, Counters]]) -> Profile:
        counts = self._hook.counts.copy()
        begin, end = self.elf.code
        accounting = Accounting(self.elf, counts, self.cycle_model, self.read_memory(begin, end - begin))
        bounds = [np.zeros_like(counts), *(cut for _, cut in cuts), counts]
        markers = [None, *(index for index, _ in cuts)]
        segments = tuple(
            RunSegment(marker, accounting.by_function(after - before))
            for marker, before, after in zip(markers, bounds[:-1], bounds[1:], strict=True)
        )
        r0 = self._uc.reg_read(arm_const.UC_ARM_REG_R0)
        return Profile(
            by_function=accounting.by_function(counts),
            segments=segments,
            stack_bytes=int(self._sp - self._hook.state.lowest_sp),
            result=struct.unpack("<i", struct.pack("<I", r0))[0],
            cycle_model=self.cycle_model.name,
        )


def _stack_descent(elf: Elf) -> npt.NDArray[np.uint32]:
    """For each half-word of code: by how much the stack grows from there to the next branch, in bytes.

    With the stack pointer at a block's start this gives the exact depth inside the block without watching every
    instruction. A stack pointer moved by a register (alloca) is seen by the next block.
    """
    begin, end = elf.code
    descent = np.zeros((end - begin) // 2 + 1, np.uint32)
    code = b"".join(_code_bytes(elf, begin, end))
    deeper = 0
    for address, _, mnemonic, operands in reversed(disassemble(code, begin)):
        name = mnemonic.partition(".")[0]
        if name in BRANCHES or (name[0] == "b" and name[1:] in _CONDITIONS) or "pc}" in operands:
            deeper = 0
        deeper += stack_growth(mnemonic, operands)
        descent[(address - begin) // 2] = deeper
    return descent


_CONDITIONS = frozenset("eq ne hs lo mi pl vs vc hi ls ge lt gt le".split())


def _code_bytes(elf: Elf, begin: int, end: int) -> list[bytes]:
    for segment in elf.segments:
        if segment.address <= begin and end <= segment.address + len(segment.data):
            return [segment.data[begin - segment.address : end - segment.address]]
    raise SimulationError(f"the code of {elf.path} is not part of its image in flash")
