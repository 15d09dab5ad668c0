"""What the core did that silicon would answer with a fault: which address, which kind, where in the code."""

from __future__ import annotations

from typing import Any

import unicorn
from unicorn import arm_const
from unicorn import unicorn_const as uc_const

_ACCESS = {
    uc_const.UC_MEM_READ_UNMAPPED: "read of {size} bytes at {address:#010x}, where there is no memory",
    uc_const.UC_MEM_WRITE_UNMAPPED: "write of {size} bytes at {address:#010x}, where there is no memory",
    uc_const.UC_MEM_FETCH_UNMAPPED: "jump to {address:#010x}, where there is no memory",
    uc_const.UC_MEM_WRITE_PROT: "write of {size} bytes at {address:#010x}, which is flash",
    uc_const.UC_MEM_READ_PROT: "read of {size} bytes at {address:#010x}, which is not readable",
    uc_const.UC_MEM_FETCH_PROT: "jump to {address:#010x}, which is not executable",
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
    """Keeps the first fault of a run, since the emulator itself only says that there was one."""

    def __init__(self, emulator: unicorn.Uc) -> None:
        self.reset()
        emulator.hook_add(uc_const.UC_HOOK_MEM_INVALID, self._memory)
        emulator.hook_add(uc_const.UC_HOOK_INTR, self._exception)
        emulator.hook_add(uc_const.UC_HOOK_INSN_INVALID, self._undefined)

    def reset(self) -> None:
        """Forget the fault of the run before."""
        self.description = ""
        self.pc = 0

    def _record(self, emulator: unicorn.Uc, description: str) -> None:
        if not self.description:
            self.description = description
            self.pc = emulator.reg_read(arm_const.UC_ARM_REG_PC) & ~1

    def _memory(self, emulator: unicorn.Uc, access: int, address: int, size: int, *_: Any) -> bool:
        text = _ACCESS.get(access, "memory access of kind {access} at {address:#010x}")
        self._record(emulator, text.format(access=access, address=address, size=size))
        return False

    def _exception(self, emulator: unicorn.Uc, number: int, *_: Any) -> None:
        self._record(emulator, _EXCEPTIONS.get(number, f"exception {number}"))
        emulator.emu_stop()

    def _undefined(self, emulator: unicorn.Uc, *_: Any) -> bool:
        self._record(emulator, "undefined instruction")
        return False
