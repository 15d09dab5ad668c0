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
class Access:
    """What a load or store touches: `count` units of `size` bytes, ascending from base + (index << shift) + offset.

    `base` and `index` are Capstone's register numbers, 0 for none; an address relative to the program counter has no
    base and the whole address as its offset.
    """

    base: int
    index: int
    shift: int
    offset: int
    size: int
    count: int
    write: bool


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
        access: the bytes it reads or writes, or None.
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
    access: Access | None = None


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
        access=_access(name, raw, memory, operands),
    )


def _access(name: str, raw: Any, memory: tuple[int, int] | None, operands: list[int]) -> Access | None:
    if memory is None or name in ("pld", "pli", "adr"):
        return None
    write = name.startswith(("st", "push", "vst", "vpush"))
    double = bool(operands) and arm.ARM_REG_D0 <= operands[-1] <= arm.ARM_REG_D31
    if name in _LISTS:
        count = (len(operands) - (name in _HAS_BASE)) * (2 if double else 1)
        descends = name in ("push", "vpush") or name.endswith("db")
        return Access(memory[0], 0, 0, -4 * count if descends else 0, 4, count, write)
    found = next(operand for operand in raw.operands if operand.type == arm.ARM_OP_MEM)
    size, count = _UNITS.get(name.removesuffix("t") if name.startswith(("ldr", "str")) else name, (4, 1))
    if name in ("vldr", "vstr") and double:
        count = 2
    base, offset = memory[0], found.mem.disp
    if base == arm.ARM_REG_PC:
        here = raw.address + 4
        base, offset = 0, offset + (here if name in ("tbb", "tbh") else here & ~3)
    shift = found.shift.value if memory[1] else 0
    return Access(base, memory[1], shift, offset, size, count, write)


_UNITS = {
    **dict.fromkeys(("ldrb", "ldrsb", "strb", "ldrexb", "strexb", "tbb"), (1, 1)),
    **dict.fromkeys(("ldrh", "ldrsh", "strh", "ldrexh", "strexh", "tbh"), (2, 1)),
    **dict.fromkeys(("ldrd", "strd"), (4, 2)),
}
"""Mnemonic to (bytes of a unit, units); everything else is one word."""


def disassemble(code: bytes, address: int) -> list[tuple[int, str, str]]:
    """(address, mnemonic, operands) of all of `code`, without details; what is not an instruction is stepped over."""
    decoder = _decoder(False)
    decoder.skipdata = True
    return [(at, str(name), str(operands)) for at, _, name, operands in decoder.disasm_lite(code, address)]
