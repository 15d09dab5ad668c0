"""Decoding Thumb-2: the few facts about an instruction that counting and the cycle models need."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import capstone
from capstone import arm_const as arm

BRANCHES = frozenset({"b", "bl", "bx", "blx", "cbz", "cbnz", "tbb", "tbh"})
"""Instructions that exist to branch; others branch by writing the program counter (`pop {pc}`, `ldr pc`)."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One decoded instruction.

    Attributes:
        address: where it lies.
        size: 2 or 4 bytes.
        name: the bare mnemonic without condition, width or type (`ldr`, `smlad`, `it`, `vmla`).
        reads: registers read, by Capstone's numbers.
        writes: registers written.
        memory: base and index registers of the address it accesses (0 for none), or None if it accesses no memory.
        registers: number of registers in its list (load and store multiple, push, pop; 0 otherwise).
        branches: whether it may continue elsewhere than behind itself.
        text: assembly, for people.
        operands: register operands in the order they are written.
    """

    address: int
    size: int
    name: str
    reads: frozenset[int]
    writes: frozenset[int]
    memory: tuple[int, int] | None
    registers: int
    branches: bool
    text: str
    operands: tuple[int, ...]


_HAS_BASE = frozenset({"ldm", "ldmdb", "stm", "stmdb", "vldmia", "vldmdb", "vstmia", "vstmdb"})
_LISTS = _HAS_BASE | {"push", "pop", "vpush", "vpop"}


@functools.cache
def _decoder(detail: bool) -> capstone.Cs:
    decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    decoder.detail = detail
    return decoder


def decode(code: bytes, address: int) -> Instruction | None:
    """Decode the instruction at the start of `code`, or None if there is no valid one."""
    decoder = _decoder(True)
    for raw in decoder.disasm(code[:4], address, 1):
        return _convert(decoder, raw)
    return None


def _convert(decoder: capstone.Cs, raw: Any) -> Instruction:
    name = str(decoder.insn_name(raw.id))
    reads, writes = raw.regs_access()
    memory: tuple[int, int] | None = None
    operands: list[int] = []
    for operand in raw.operands:
        if operand.type == arm.ARM_OP_MEM and memory is None:
            memory = (operand.mem.base, operand.mem.index)
        elif operand.type == arm.ARM_OP_REG:
            operands.append(operand.reg)
    if name in _LISTS:
        memory = (operands[0] if name in _HAS_BASE else arm.ARM_REG_SP, 0)
    return Instruction(
        address=raw.address,
        size=raw.size,
        name=name,
        reads=frozenset(reads),
        writes=frozenset(writes),
        memory=memory,
        registers=len(operands) - (name in _HAS_BASE) if name in _LISTS else 0,
        branches=name in BRANCHES or arm.ARM_REG_PC in writes,
        text=f"{raw.mnemonic} {raw.op_str}".strip(),
        operands=tuple(operands),
    )


def disassemble(code: bytes, address: int) -> list[tuple[int, str, str]]:
    """(address, mnemonic, operands) of all of `code`, without details; what is not an instruction is stepped over."""
    decoder = _decoder(False)
    decoder.skipdata = True
    return [(at, str(name), str(operands)) for at, _, name, operands in decoder.disasm_lite(code, address)]
