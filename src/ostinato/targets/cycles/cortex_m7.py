"""Cortex-M7 cycles: a scoreboard of an in-order, dual-issue pipeline, with memory that answers at once.

ARM publishes no instruction timing for this core. The rules are those that others measured or wrote down, and are
marked with their source where they are applied: [J] measurements on an STM32H743 (github.com/jnk0le/random, folder
"pipeline cycle test"), [L] LLVM's ARMScheduleM7.td. docs/boards.md has the table. Nothing is fitted, and no silicon of
our own has confirmed it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ostinato.targets.instructions import BRANCHES, Instruction

_MULTIPLIES: Final = ("sml", "smu", "mul", "mla", "mls", "umul", "umlal", "umaal", "smm")
_LONG_ACCUMULATE: Final = ("smlal", "umlal", "umaal", "smlsld")
_EXTRACT_ADD: Final = ("sxta", "uxta")
_EXTRACT: Final = frozenset({"sbfx", "ubfx", "rbit", "rev", "rev16", "revsh"})
_INSERT: Final = frozenset({"bfi", "bfc", "pkhbt", "pkhtb"})
_SATURATE: Final = ("ssat", "usat")
_SLOW_DSP: Final = ("qadd", "qsub", "qasx", "qsax", "uqadd", "uqsub", "uqasx", "uqsax", "usad", "qdadd", "qdsub")
_FAST_DSP: Final = (
    *("sxtb", "sxth", "uxtb", "uxth", "sel", "clz"),
    *("sadd", "ssub", "uadd", "usub", "shadd", "shsub", "uhadd", "uhsub", "sasx", "ssax", "uasx", "usax"),
)
_SHIFTS: Final = frozenset({"lsl", "lsr", "asr", "ror"})
_EARLY: Final = _SHIFTS | {"add", "sub", "addw", "subw", "mov", "movw", "mvn", "adr", "rsb"}
_SHIFTED_OPERAND: Final = re.compile(r", (?:lsl|lsr|asr|ror|rrx)(?: #|$| [a-z])")
_FP_ACCUMULATES: Final = ("vml", "vnml", "vfm", "vfnm")
_OFFSET: Final = re.compile(r"\[\w+(?:, #(-?(?:0x)?[0-9a-f]+))?\]")

_REPEATS: Final = 4


@dataclass(frozen=True)
class _Kind:
    """How an instruction issues.

    Attributes:
        unit: what it needs one of: `alu` (of two), `mac`, `load` (of two), `store`, `branch`, `fp`.
        latency: cycles until a result can be used by an instruction that needs it in its second stage.
        early: cycles until it can be used in the first stage: in an address, or before a shifter.
        dsp: bit fields and DSP other than products: only the older of a pair [J, L].
        shifter: uses the shifter before the ALU: only one of a pair does [J].
        busy: cycles in which nothing else issues; 0 lets a partner issue with it.
    """

    unit: str
    latency: int = 1
    early: int = 2
    dsp: bool = False
    shifter: bool = False
    busy: int = 0


class CortexM7Model:
    """Two instructions a cycle in order, when units and operands allow.

    A block is scheduled several times in a row, so that what is in flight at its end meets what follows; the averages
    of the repeats after the first are its costs. That is right for loops and an approximation elsewhere.

    Args:
        taken_branch_cycles: added to every taken branch. A predicted one costs nothing, a mispredicted one 6 to 8 [J];
            which is which depends on history, so that one number is assumed for all.
    """

    def __init__(self, taken_branch_cycles: float = 1.0) -> None:
        self.taken_branch_cycles = taken_branch_cycles
        self.name = "Cortex-M7, dual-issue scoreboard, not calibrated"

    def block_cycles(self, block: Sequence[Instruction]) -> list[float]:
        """Cycles of each instruction of a straight-line block; see `CycleModel`. A pair costs 1 + 0."""
        board = _Scoreboard()
        totals = [0.0] * len(block)
        for repeat in range(_REPEATS):
            for index, instruction in enumerate(block):
                elapsed = board.issue(instruction)
                if repeat:
                    totals[index] += elapsed
        return [total / (_REPEATS - 1) for total in totals]


class _Scoreboard:
    """The cycle being filled, what has issued in it, and when each register is ready."""

    def __init__(self) -> None:
        self._cycle = 0
        self._issued: list[tuple[_Kind, Instruction]] = []
        self._ready: dict[int, int] = {}
        self._ready_early: dict[int, int] = {}

    def issue(self, instruction: Instruction) -> int:
        """Issue an instruction as soon as possible; return by how many cycles time went on."""
        if instruction.name == "it":
            return 0  # [J]: like a branch that is not taken
        kind, started = _kind(instruction), self._cycle
        self._advance(self._operands_ready(instruction, kind))
        if self._issued and not self._pairs(kind, instruction):
            self._advance(self._cycle + 1)
        self._issued.append((kind, instruction))
        done = self._cycle + max(kind.busy - 1, 0)
        for register in instruction.writes:
            self._ready[register] = done + kind.latency
            self._ready_early[register] = done + kind.early
        if (base := _updated_base(instruction)) is not None:
            # The new address leaves the first stage and does not wait for the data [L].
            self._ready[base] = self._ready_early[base] = self._cycle + 1
        if kind.busy or kind.unit == "branch":
            self._advance(self._cycle + max(kind.busy, 1))
        return self._cycle - started

    def _operands_ready(self, instruction: Instruction, kind: _Kind) -> int:
        early = _early_operands(instruction, kind)
        late = _late_operands(instruction, kind)
        cycle = self._cycle
        for register in instruction.reads:
            if register in early:
                needed = self._ready_early.get(register, 0)
            else:
                needed = self._ready.get(register, 0) - (1 if register in late else 0)
            cycle = max(cycle, needed)
        return cycle

    def _pairs(self, kind: _Kind, instruction: Instruction) -> bool:
        """Whether the instruction can be the younger of a pair with what has issued in this cycle."""
        if len(self._issued) > 1:
            return False
        older, before = self._issued[0]
        if older.busy or kind.busy or kind.dsp or (older.shifter and kind.shifter):
            return False
        if older.unit == kind.unit and kind.unit in ("mac", "store", "branch", "fp"):
            return False
        if {older.unit, kind.unit} == {"mac", "store"}:
            return False  # [J]
        return not (older.unit == kind.unit == "load" and _same_bank(before, instruction))

    def _advance(self, cycle: int) -> None:
        if cycle > self._cycle:
            self._cycle = cycle
            self._issued = []


def _kind(instruction: Instruction) -> _Kind:
    name = instruction.name
    if instruction.registers or name in ("ldrd", "strd"):
        # Two registers a cycle, and nothing beside it [J, L].
        busy = ((instruction.registers or 2) + 1) // 2
        return _Kind("load" if name.startswith(("ld", "pop", "vld", "vpop")) else "store", busy=busy)
    if name in ("tbb", "tbh"):
        return _Kind("branch", busy=2)  # [L]
    if name in BRANCHES:
        return _Kind("branch")
    if name.startswith(("ldr", "vldr")):
        whole = name in ("ldr", "ldrt", "vldr")
        return _Kind("load", latency=1 if whole else 2, early=2 if whole else 3)  # [J]
    if name.startswith(("str", "vstr")):
        return _Kind("store")
    if name in ("udiv", "sdiv"):
        return _Kind("alu", latency=1, early=2, busy=7)  # [L]
    if name in ("vdiv", "vsqrt"):
        return _Kind("fp", latency=16, early=16, busy=14)  # [L]
    if name.startswith("v"):
        return _Kind("fp", latency=6, early=6) if name.startswith(_FP_ACCUMULATES) else _Kind("fp", latency=3, early=3)
    if name.startswith(_MULTIPLIES):
        return _Kind("mac", latency=2, early=3)  # [L]
    return _arithmetic(instruction)


def _arithmetic(instruction: Instruction) -> _Kind:
    name = instruction.name
    if name.startswith(_SATURATE):
        return _Kind("alu", latency=2, early=3, dsp=True, shifter=True)  # [L]
    if name.startswith(_EXTRACT_ADD) or name in _INSERT or name in _EXTRACT:
        return _Kind("alu", dsp=True, shifter=True)  # [J]
    if name.startswith(_SLOW_DSP):
        return _Kind("alu", latency=2, early=3, dsp=True)  # [L]
    if name.startswith(_FAST_DSP):
        return _Kind("alu", dsp=True)
    if name not in _SHIFTS and _SHIFTED_OPERAND.search(instruction.text):
        return _Kind("alu", shifter=True)
    return _Kind("alu", early=1 if name in _EARLY else 2)  # [J]: these can run in the first stage


def _early_operands(instruction: Instruction, kind: _Kind) -> frozenset[int]:
    """Registers that are needed in the first stage, a cycle sooner than others."""
    if instruction.memory is not None:
        return frozenset(register for register in instruction.memory if register)
    if not kind.shifter:
        return frozenset()
    if instruction.name in _EXTRACT or instruction.name == "pkhtb" or instruction.name.startswith(_SATURATE):
        return instruction.reads
    return frozenset(instruction.operands[-1:])  # what is shifted, rotated or extracted [J]


def _late_operands(instruction: Instruction, kind: _Kind) -> frozenset[int]:
    """Registers that may arrive in the cycle in which the instruction issues, a cycle later than others."""
    if kind.unit == "store" and instruction.memory is not None:
        return instruction.reads - set(instruction.memory)  # [J]: any result can be stored in the same cycle
    if kind.unit == "mac" and len(instruction.operands) == 4:
        both = instruction.name.startswith(_LONG_ACCUMULATE)
        return frozenset(instruction.operands[:2] if both else instruction.operands[3:])  # [L]: accumulators
    return frozenset()


def _updated_base(instruction: Instruction) -> int | None:
    """The address register that the instruction changes, unless it is what it loads."""
    base = instruction.memory[0] if instruction.memory else 0
    loads = instruction.name.startswith("ld") and base in instruction.operands[: 2 if instruction.name == "ldrd" else 1]
    return base if base and base in instruction.writes and not loads else None


def _same_bank(one: Instruction, other: Instruction) -> bool:
    """Whether two loads surely use one bank of memory (even or odd words) [J]; unknown addresses are taken as not."""
    first, second = _OFFSET.search(one.text), _OFFSET.search(other.text)
    if not first or not second or one.memory is None or one.memory != other.memory:
        return False
    words = [int(found[1] or "0", 0) // 4 for found in (first, second)]
    return words[0] % 2 == words[1] % 2
