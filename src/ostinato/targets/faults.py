"""What the core did that silicon would answer with a fault: which address, which kind, where in the code."""

from __future__ import annotations

from typing import Any

from unicorn import unicorn_const

from ostinato.targets.emulator import Emulator

_ACCESS = {
    unicorn_const.UC_MEM_READ_UNMAPPED: "read of {size} bytes at {address:#010x}, where there is no memory",
    unicorn_const.UC_MEM_WRITE_UNMAPPED: "write of {size} bytes at {address:#010x}, where there is no memory",
    unicorn_const.UC_MEM_FETCH_UNMAPPED: "jump to {address:#010x}, where there is no memory",
    unicorn_const.UC_MEM_WRITE_PROT: "write of {size} bytes at {address:#010x}, which is flash",
    unicorn_const.UC_MEM_READ_PROT: "read of {size} bytes at {address:#010x}, which is not readable",
    unicorn_const.UC_MEM_FETCH_PROT: "jump to {address:#010x}, which is not executable",
}

# Exception numbers of QEMU's ARM target, on which Unicorn is built (target/arm/cpu.h).
_EXCEPTIONS = {
    1: "undefined instruction",
    2: "supervisor call (svc), which nothing handles",
    3: "instruction fetch fault",
    4: "data abort",
    7: "breakpoint (bkpt)",
    8: "return from an exception that was never entered",
    17: "instruction of a coprocessor or floating point unit that is switched off",
    18: "instruction in ARM state, which a Cortex-M does not have",
    22: "unaligned access by an instruction that needs alignment",
    23: "division by zero",
}


class FaultRecorder:
    """Keeps the first fault of a run, since the emulator itself only says that there was one.

    Attributes:
        description: what happened, empty without a fault.
        pc: where the core was.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.reset()
        emulator.uc.hook_add(unicorn_const.UC_HOOK_MEM_INVALID, self._memory)
        emulator.uc.hook_add(unicorn_const.UC_HOOK_INTR, self._exception)
        emulator.uc.hook_add(unicorn_const.UC_HOOK_INSN_INVALID, self._undefined)

    def reset(self) -> None:
        """Forget the fault of the run before."""
        self.description = ""
        self.pc = 0

    def _record(self, description: str) -> None:
        if not self.description:
            self.description = description
            self.pc = self._emulator.pc

    def _memory(self, _: Any, access: int, address: int, size: int, *__: Any) -> bool:
        text = _ACCESS.get(access, "memory access of kind {access} at {address:#010x}")
        self._record(text.format(access=access, address=address, size=size))
        return False

    def _exception(self, _: Any, number: int, *__: Any) -> None:
        self._record(_EXCEPTIONS.get(number, f"exception {number}"))
        self._emulator.stop()

    def _undefined(self, *_: Any) -> bool:
        self._record("undefined instruction")
        return False
