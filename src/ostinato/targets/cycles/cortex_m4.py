"""Cortex-M4 cycles from ARM's Technical Reference Manual, with zero wait states.

Sources: ARM DDI 0439 (Cortex-M4 TRM), table 3-1 (instruction set summary), section 3.3.2 (binary compatibility and
pairing of loads and stores: "load/store timings"), table 7-1 (floating point). docs/boards.md walks through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ostinato.targets.instructions import Instruction

_LOADS: Final = frozenset({"ldr", "ldrb", "ldrh", "ldrsb", "ldrsh", "ldrt", "ldrbt", "ldrht", "ldrsbt", "ldrsht"})
_STORES: Final = frozenset({"str", "strb", "strh", "strt", "strbt", "strht"})
_EXCLUSIVE: Final = frozenset({"ldrex", "ldrexb", "ldrexh", "strex", "strexb", "strexh"})
_DOUBLES: Final = frozenset({"ldrd", "strd"})
_TABLE_BRANCHES: Final = frozenset({"tbb", "tbh"})
_DIVIDES: Final = frozenset({"udiv", "sdiv"})
_FP_SINGLE: Final = frozenset({"vldr", "vstr"})
_FP_ACCUMULATE: Final = frozenset({"vmla", "vmls", "vnmla", "vnmls", "vfma", "vfms", "vfnma", "vfnms"})
_FP_LONG: Final = frozenset({"vdiv", "vsqrt"})
_FP_ARITHMETIC: Final = ("vadd", "vsub", "vmul", "vnmul", "vml", "vnml", "vfm", "vfnm", "vdiv", "vsqrt", "vcvt")


class CortexM4Model:
    """Single issue, three stages, no cache: the sum of the instructions' own cycles, with pairing of loads and stores.

    Args:
        divide_cycles: cost of UDIV and SDIV. The TRM gives 2 to 12 by the operands' leading zeros, without a formula;
            the middle of the range is assumed.
        taken_branch_cycles: the TRM's P, 1 to 3 by the target's alignment and width; 2 is assumed.
    """

    def __init__(self, divide_cycles: int = 7, taken_branch_cycles: int = 2) -> None:
        self.divide_cycles = divide_cycles
        self.taken_branch_cycles: float = taken_branch_cycles
        self.name = "Cortex-M4, ARM DDI 0439"

    def block_cycles(self, block: Sequence[Instruction]) -> list[float]:
        """Cycles of each instruction of a straight-line block; see `CycleModel`."""
        cycles: list[float] = []
        previous: Instruction | None = None
        for instruction in block:
            own = self._own_cycles(instruction, previous)
            cycles.append(own + _stall(instruction, previous))
            previous = instruction
        return cycles

    def _own_cycles(self, instruction: Instruction, previous: Instruction | None) -> int:
        name = instruction.name
        if name in _LOADS:
            return 1 if _pipelines_load(instruction, previous) else 2
        if name in _STORES:
            # An immediate offset is added while the data wait: always one cycle. A register offset needs its own cycle,
            # unless it overlaps a preceding load's.
            register_offset = instruction.memory is not None and instruction.memory[1] != 0
            return 2 if register_offset and not _is_load(previous) else 1
        if name in _DOUBLES:
            return 3
        if instruction.registers:
            words = 2 if name.startswith("v") and "{d" in instruction.text else 1
            return 1 + words * instruction.registers
        if name in _FP_SINGLE:
            return 3 if instruction.text.split()[1].startswith("d") else 2
        if name == "it":
            # An IT behind a 16-bit instruction was fetched with it and is folded into it.
            return 0 if previous is not None and previous.size == 2 else 1
        if name in _DIVIDES:
            return self.divide_cycles
        if name in _TABLE_BRANCHES:
            return 2
        if name in _FP_ACCUMULATE:
            return 3
        if name in _FP_LONG:
            return 14
        if name in _EXCLUSIVE or (name == "vmov" and len(instruction.operands) > 2):
            return 2
        return 1  # data processing, multiplications and all SIMD; a branch's refill is added where it is taken


def _is_load(instruction: Instruction | None) -> bool:
    return instruction is not None and instruction.name in _LOADS and not instruction.branches


def _pipelines_load(instruction: Instruction, previous: Instruction | None) -> bool:
    """A load's address phase overlaps the data phase of a load before it, unless it needs that load's result.

    Nothing overlaps a store's data phase, and a load of the program counter blocks.
    """
    if previous is None or not _is_load(previous) or instruction.branches or instruction.memory is None:
        return False
    return previous.operands[0] not in instruction.memory


def _stall(instruction: Instruction, previous: Instruction | None) -> int:
    """One cycle when a result is needed sooner than it is forwarded.

    An address cannot use the result of the data-processing instruction just before (section 3.3.2), nor can any
    instruction use the floating point result just before (section 7.2.3).
    """
    if previous is None:
        return 0
    if previous.name.startswith(_FP_ARITHMETIC):
        return 1 if previous.writes & instruction.reads else 0
    if instruction.memory is None or previous.memory is not None:
        return 0
    return 1 if previous.writes.intersection(register for register in instruction.memory if register) else 0
