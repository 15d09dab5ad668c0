"""The emulated core: a thin, typed shell around Unicorn, and the only file besides the hooks that knows it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import unicorn
from unicorn import arm_const, unicorn_const

from ostinato.errors import SimulationError
from ostinato.targets.cores import Core

_PAGE = 4096
_ARGUMENTS = (
    arm_const.UC_ARM_REG_R0,
    arm_const.UC_ARM_REG_R1,
    arm_const.UC_ARM_REG_R2,
    arm_const.UC_ARM_REG_R3,
)
_unicorn: Any = unicorn  # Unicorn ships as typed, but most of its functions are not


class Emulator:
    """Registers, memory and execution of one core.

    Attributes:
        uc: Unicorn's own object, for hooks.
    """

    def __init__(self, core: Core) -> None:
        self.uc: Any = _unicorn.Uc(
            unicorn_const.UC_ARCH_ARM, unicorn_const.UC_MODE_THUMB | unicorn_const.UC_MODE_MCLASS
        )
        self.uc.ctl_set_cpu_model(getattr(arm_const, core.unicorn_cpu))
        # The FPU's enable bit. Silicon derives it from CPACR, which the start-up code writes.
        self.uc.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)

    def map(self, start: int, size: int, *, writable: bool, executable: bool) -> None:
        """Make memory exist, in whole pages of 4 KiB."""
        permission = unicorn_const.UC_PROT_READ
        permission |= unicorn_const.UC_PROT_WRITE if writable else 0
        permission |= unicorn_const.UC_PROT_EXEC if executable else 0
        self.uc.mem_map(start, -(-size // _PAGE) * _PAGE, permission)

    def write(self, address: int, data: bytes) -> None:
        """Write memory, read-only memory too.

        Raises:
            SimulationError: there is no memory there.
        """
        try:
            self.uc.mem_write(address, data)
        except _unicorn.UcError as error:
            raise SimulationError(f"there is no memory for {len(data)} bytes at {address:#010x}") from error

    def read(self, address: int, size: int) -> bytes:
        """Read memory.

        Raises:
            SimulationError: there is no memory there.
        """
        try:
            return bytes(self.uc.mem_read(address, size))
        except _unicorn.UcError as error:
            raise SimulationError(f"there is no memory for {size} bytes at {address:#010x}") from error

    @property
    def pc(self) -> int:
        """The program counter, without the Thumb bit."""
        return int(self.uc.reg_read(arm_const.UC_ARM_REG_PC)) & ~1

    @property
    def r0(self) -> int:
        """The first argument at a function's start, the result at its end; as a signed integer."""
        value = int(self.uc.reg_read(arm_const.UC_ARM_REG_R0))
        return value - (1 << 32) if value >> 31 else value

    @property
    def link(self) -> int:
        """At a function's start, the address that it returns to."""
        return int(self.uc.reg_read(arm_const.UC_ARM_REG_LR)) & ~1

    def place_arguments(self, values: Sequence[int], stack_top: int) -> int:
        """Pass integers as the procedure call standard does (r0 to r3, then the stack); return the stack pointer."""
        words = [value & 0xFFFF_FFFF for value in values]
        for register, word in zip(_ARGUMENTS, words, strict=False):
            self.uc.reg_write(register, word)
        rest = words[len(_ARGUMENTS) :]
        stack_pointer = (stack_top - 4 * len(rest)) & ~7
        for index, word in enumerate(rest):
            self.write(stack_pointer + 4 * index, word.to_bytes(4, "little"))
        return stack_pointer

    def execute(self, start: int, until: int, *, stack_pointer: int, link: int) -> str:
        """Run from `start` until `until` is reached; return the emulator's complaint, empty if it has none."""
        self.uc.reg_write(arm_const.UC_ARM_REG_SP, stack_pointer)
        self.uc.reg_write(arm_const.UC_ARM_REG_LR, link | 1)
        try:
            self.uc.emu_start(start | 1, until)
        except _unicorn.UcError as error:
            return str(error)
        return ""

    def stop(self) -> None:
        """Stop executing; may be called from another thread."""
        self.uc.emu_stop()

    def add_c_hook(self, kind: int, function: Any, state: ctypes.Structure) -> None:
        """Have a compiled function called, with `state`'s address as its last argument, on every event of a kind.

        The caller keeps the function's library and `state` alive as long as the emulator runs.

        Raises:
            SimulationError: the emulator refused.
        """
        from unicorn.unicorn_py3.unicorn import uclib

        status = uclib.uc_hook_add(
            self.uc._uch,
            ctypes.byref(ctypes.c_size_t()),
            kind,
            ctypes.cast(function, ctypes.c_void_p),
            ctypes.byref(state),
            ctypes.c_uint64(1),  # the end before the begin: an empty range means every address
            ctypes.c_uint64(0),
        )
        if status != unicorn_const.UC_ERR_OK:
            raise SimulationError(f"the emulator refused a hook (unicorn error {status})")

    def on_address(self, address: int, action: Callable[[], None]) -> Callable[[], None]:
        """Call `action` each time `address` is executed; the returned function ends that."""
        handle = self.uc.hook_add(unicorn_const.UC_HOOK_CODE, lambda *_: action(), begin=address, end=address)
        return lambda: self.uc.hook_del(handle)
