"""Decoding Thumb-2: the few facts about an instruction that counting and the cycle models need."""

from __future__ import annotations

import functools
import re
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
        memory: base and index registers of its memory operand (0 for none), or None without such an operand.
        writeback: whether the base register is updated.
        registers: number of registers in its list (load and store multiple, push, pop; 0 otherwise).
        branches: whether it may continue elsewhere than behind itself.
        text: assembly, for people.
        destination: the first register operand (what a load writes), 0 if none.
    """

    address: int
    size: int
    name: str
    reads: frozenset[int]
    writes: frozenset[int]
    memory: tuple[int, int] | None
    writeback: bool
    registers: int
    branches: bool
    text: str
    destination: int


_LISTS = frozenset({"ldm", "ldmdb", "stm", "stmdb", "push", "pop", "vldmia", "vldmdb", "vstmia", "vstmdb", "vpush", "vpop"})
_HAS_BASE = frozenset(_LISTS - {"push", "pop", "vpush", "vpop"})


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
    count = 0
    destination = 0
    for operand in raw.operands:
        if operand.type == arm.ARM_OP_MEM and memory is None:
            memory = (operand.mem.base, operand.mem.index)
        elif operand.type == arm.ARM_OP_REG:
            count += 1
            destination = destination or operand.reg
    if name in _HAS_BASE:
        count -= 1
        memory = (destination, 0)
    return Instruction(
        address=raw.address,
        size=raw.size,
        name=name,
        reads=frozenset(reads),
        writes=frozenset(writes),
        memory=memory,
        writeback=bool(raw.writeback),
        registers=count if name in _LISTS else 0,
        branches=name in BRANCHES or arm.ARM_REG_PC in writes,
        text=f"{raw.mnemonic} {raw.op_str}".strip(),
        destination=destination,
    )


_SUB_SP = re.compile(r"sp, (?:sp, )?#(0x[0-9a-f]+|\d+)$")
_PRE_SP = re.compile(r"\[sp, #-(0x[0-9a-f]+|\d+)\]!$")
_LIST_ITEM = re.compile(r"\b([rsd])(\d+)(?:\s*-\s*[rsd](\d+))?|\b(?:sb|sl|fp|ip|lr)\b")


def stack_growth(mnemonic: str, operands: str) -> int:
    """Bytes by which an instruction (Capstone's text) lowers the stack pointer; 0 if it does not by a constant."""
    name = mnemonic.partition(".")[0]
    if name in ("sub", "subw") and (found := _SUB_SP.match(operands)):
        return int(found[1], 0)
    if name in ("str", "strd") and (found := _PRE_SP.search(operands)):
        return int(found[1], 0)
    if name in ("push", "vpush") or (name in ("stmdb", "vstmdb") and operands.startswith("sp!")):
        total = 0
        for item in _LIST_ITEM.finditer(operands.partition("{")[2]):
            first, last = int(item[2] or 0), int(item[3] or item[2] or 0)
            total += (last - first + 1) * (8 if item[1] == "d" else 4)
        return total
    return 0


def disassemble(code: bytes, address: int) -> list[tuple[int, int, str, str]]:
    """(address, size, mnemonic, operands) of all of `code`; what is not an instruction is stepped over."""
    decoder = _decoder(False)
    decoder.skipdata = True
    return [(a, size, str(name), str(operands)) for a, size, name, operands in decoder.disasm_lite(code, address)]
