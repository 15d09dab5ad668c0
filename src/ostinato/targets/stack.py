"""How deep the stack goes inside straight-line code, from its instructions."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from ostinato.targets.elf import Elf
from ostinato.targets.instructions import BRANCHES, disassemble

_SUBTRACT = re.compile(r"sp, (?:sp, )?#(0x[0-9a-f]+|\d+)$")
_PRE_INDEXED = re.compile(r"\[sp, #-(0x[0-9a-f]+|\d+)\]!$")
_REGISTERS = re.compile(r"\b([rsd])(\d+)(?:\s*-\s*[rsd](\d+))?|\b(?:sb|sl|fp|ip|lr)\b")
_CONDITIONS = frozenset({"eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le"})


def stack_descent(elf: Elf) -> npt.NDArray[np.uint32]:
    """For each half-word of code: by how many bytes the stack grows from there to the next branch.

    With the stack pointer at a block's start this gives the exact depth inside the block without watching every
    instruction. A stack pointer moved by a register (alloca) is seen by the next block.
    """
    descent = np.zeros(elf.code.slots, np.uint32)
    deeper = 0
    for start, stop in reversed(elf.thumb_ranges()):
        for address, mnemonic, operands in reversed(disassemble(elf.code_bytes(start, stop - start), start)):
            name = mnemonic.partition(".")[0]
            if name in BRANCHES or (name[:1] == "b" and name[1:] in _CONDITIONS) or "pc}" in operands:
                deeper = 0
            deeper += growth(name, operands)
            descent[elf.code.slot(address)] = deeper
    return descent


def growth(name: str, operands: str) -> int:
    """Bytes by which an instruction (Capstone's text) lowers the stack pointer; 0 if not by a constant."""
    if name in ("sub", "subw") and (found := _SUBTRACT.match(operands)):
        return int(found[1], 0)
    if name in ("str", "strd") and (found := _PRE_INDEXED.search(operands)):
        return int(found[1], 0)
    if name in ("push", "vpush") or (name in ("stmdb", "vstmdb") and operands.startswith("sp!")):
        return _list_bytes(operands.partition("{")[2])
    return 0


def _list_bytes(registers: str) -> int:
    total = 0
    for item in _REGISTERS.finditer(registers):
        first, last = int(item[2] or 0), int(item[3] or item[2] or 0)
        total += (last - first + 1) * (8 if item[1] == "d" else 4)
    return total
