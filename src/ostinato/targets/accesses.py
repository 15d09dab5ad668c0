"""The hook on every instruction that feeds memory systems and guards; see support/access_hook.c."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from capstone import arm_const as capstone_arm
from unicorn import arm_const, unicorn_const

from ostinato.targets.accounting import Code
from ostinato.targets.codemap import CodeMapStruct
from ostinato.targets.emulator import Emulator

_OPERAND = np.dtype(
    [("base", "<i2"), ("index", "<i2"), ("offset", "<i4"), *((n, "u1") for n in ("shift", "size", "count", "write"))]
)
"""Mirror of `operand` in support/access_hook.c."""

_REGISTERS: Mapping[int, int] = {
    0: 0,
    capstone_arm.ARM_REG_SP: arm_const.UC_ARM_REG_SP,
    capstone_arm.ARM_REG_LR: arm_const.UC_ARM_REG_LR,
    **{capstone_arm.ARM_REG_R0 + k: arm_const.UC_ARM_REG_R0 + k for k in range(13)},
}


class Decoded:
    """What the hooks know of each instruction, by slot of the code map.

    Attributes:
        operands: what it accesses.
        cycles: float64, its own cycles in straight-line code between branches.
        branches: uint8, whether it may branch.
    """

    def __init__(self, code: Code) -> None:
        self.operands: npt.NDArray[Any] = np.zeros(code.map.slots, _OPERAND)
        self.cycles = np.zeros(code.map.slots)
        self.branches = np.zeros(code.map.slots, np.uint8)
        for block in code.blocks():
            for instruction, cycles in zip(block, code.cycles(block), strict=True):
                slot = code.map.slot(instruction.address)
                self.cycles[slot], self.branches[slot] = cycles, instruction.branches
                access = instruction.access
                if access is not None:
                    base, index = _REGISTERS[access.base], _REGISTERS[access.index]
                    units = access.shift, access.size, access.count, access.write
                    self.operands[slot] = (base, index, access.offset, *units)


class _State(ctypes.Structure):
    """Mirror of `access_state` in support/access_hook.c; see there for the fields."""

    _fields_ = (
        ("map", CodeMapStruct),
        ("operands", ctypes.c_void_p),
        ("stop", ctypes.c_uint64),
        ("memory", ctypes.c_void_p),
        ("guard", ctypes.c_void_p),
        ("reg_read", ctypes.c_void_p),
        ("emu_stop", ctypes.c_void_p),
    )


class AccessHook:
    """Feeds a memory system, guards, or both, from power-up on. Their states must live as long as this."""

    def __init__(
        self,
        emulator: Emulator,
        library: ctypes.CDLL,
        code: Code,
        decoded: Decoded,
        stop: int,
        memory: ctypes.Structure | None,
        guard: ctypes.Structure | None,
    ) -> None:
        from unicorn.unicorn_py3.unicorn import uclib

        self._keep = library, decoded, memory, guard
        self._state = _State(
            map=code.map.struct(),
            operands=decoded.operands.ctypes.data,
            stop=stop,
            memory=None if memory is None else ctypes.addressof(memory),
            guard=None if guard is None else ctypes.addressof(guard),
            reg_read=ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p).value,
            emu_stop=ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value,
        )
        emulator.add_c_hook(unicorn_const.UC_HOOK_CODE, library.access_instruction, self._state)
