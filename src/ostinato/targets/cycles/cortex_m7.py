"""Cortex-M7 cycles: a scoreboard of an in-order, dual-issue pipeline, with zero wait states and branches predicted.

ARM publishes no instruction timing for this core. Units and latencies follow what is known of it (two arithmetic units,
one of them with the shifter, one multiplier, one SIMD unit, two load ports, one store port; ARM DDI 0489, section 1.2,
and the scheduling models of open compilers). It is not calibrated against silicon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ostinato.targets.instructions import BRANCHES, Instruction


@dataclass(frozen=True)
class _Kind:
    """How a kind of instruction issues.

    Attributes:
        per_cycle: how many may issue together.
        latency: cycles until its result can be used.
        busy: cycles in which nothing else issues; 0 lets a partner issue with it.
    """

    per_cycle: int
    latency: int
    busy: int = 0


_ALU: Final = _Kind(per_cycle=2, latency=1)
_SHIFT: Final = _Kind(per_cycle=1, latency=1)
_SIMD: Final = _Kind(per_cycle=1, latency=1)
_MULTIPLY: Final = _Kind(per_cycle=1, latency=2)
_DIVIDE: Final = _Kind(per_cycle=1, latency=8, busy=6)
_LOAD: Final = _Kind(per_cycle=2, latency=2)
_STORE: Final = _Kind(per_cycle=1, latency=1)
_BRANCH: Final = _Kind(per_cycle=1, latency=1)
_FP: Final = _Kind(per_cycle=1, latency=3)
_FP_ACCUMULATE: Final = _Kind(per_cycle=1, latency=6)
_FP_DIVIDE: Final = _Kind(per_cycle=1, latency=16, busy=14)

_MULTIPLIES: Final = ("sml", "smu", "mul", "mla", "mls", "umul", "umlal", "umaal", "smm")
_LONG_ACCUMULATE: Final = ("smlal", "umlal", "umaal", "smlsld")
_SIMDS: Final = (
    *("sxta", "uxta", "sxtb16", "uxtb16", "ssat", "usat", "sel", "pkh", "usad"),
    *("sadd", "ssub", "uadd", "usub", "qadd", "qsub", "uqadd", "uqsub", "shadd", "shsub", "uhadd", "uhsub"),
)
_SHIFTS: Final = frozenset({"lsl", "lsr", "asr", "ror", "rrx", "ubfx", "sbfx", "bfi", "bfc"})
_SHIFTED_OPERAND: Final = (", lsl #", ", lsr #", ", asr #", ", ror #")
_FP_ACCUMULATES: Final = ("vml", "vnml", "vfm", "vfnm")

_REPEATS: Final = 4


class CortexM7Model:
    """Two instructions a cycle in order, when units and operands allow.

    A block is scheduled several times in a row, so that what is in flight at its end meets what follows; the averages
    of the repeats after the first are its costs. That is right for loops and an approximation elsewhere.
    """

    def __init__(self) -> None:
        self.taken_branch_cycles: float = 1.0
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
        self._issued: list[_Kind] = []
        self._ready: dict[int, int] = {}
        self._from_multiplier: set[int] = set()

    def issue(self, instruction: Instruction) -> int:
        """Issue an instruction as soon as possible; return by how many cycles time went on."""
        if instruction.name == "it":
            return 0
        kind, started = _kind(instruction), self._cycle
        accumulators = _accumulators(instruction, kind)
        for register in instruction.reads:
            # A multiplier's result reaches its own accumulator a cycle earlier than anything else.
            early = 1 if register in accumulators and register in self._from_multiplier else 0
            self._advance(self._ready.get(register, 0) - early)
        if self._full(kind):
            self._advance(self._cycle + 1)
        self._issued.append(kind)
        for register in instruction.writes:
            self._ready[register] = self._cycle + max(kind.busy - 1, 0) + kind.latency
            (self._from_multiplier.add if kind is _MULTIPLY else self._from_multiplier.discard)(register)
        base = instruction.memory[0] if instruction.memory else 0
        loaded = kind is _LOAD and base in instruction.operands[:1]
        if base in instruction.writes and not loaded:
            self._ready[base] = self._cycle + 1  # an updated address does not wait for the data
        if kind.busy:
            self._advance(self._cycle + kind.busy)
        return self._cycle - started

    def _full(self, kind: _Kind) -> bool:
        same = sum(issued is kind for issued in self._issued)
        return len(self._issued) >= 2 or same >= kind.per_cycle or bool(kind.busy and self._issued)

    def _advance(self, cycle: int) -> None:
        if cycle > self._cycle:
            self._cycle = cycle
            self._issued = []


def _kind(instruction: Instruction) -> _Kind:
    name = instruction.name
    if instruction.registers or name in ("ldrd", "strd"):
        words = instruction.registers or 2
        loads = name.startswith(("ld", "pop", "vld", "vpop"))
        return _Kind(per_cycle=1, latency=2 if loads else 1, busy=(words + 1) // 2)  # 64-bit ports
    if name.startswith(("ldr", "vldr")):
        return _LOAD
    if name.startswith(("str", "vstr")):
        return _STORE
    if name in BRANCHES:
        return _BRANCH
    if name in ("udiv", "sdiv"):
        return _DIVIDE
    if name in ("vdiv", "vsqrt"):
        return _FP_DIVIDE
    if name.startswith("v"):
        return _FP_ACCUMULATE if name.startswith(_FP_ACCUMULATES) else _FP
    if name.startswith(_MULTIPLIES):
        return _MULTIPLY
    if name.startswith(_SIMDS):
        return _SIMD
    if name in _SHIFTS or any(shift in instruction.text for shift in _SHIFTED_OPERAND):
        return _SHIFT
    return _ALU


def _accumulators(instruction: Instruction, kind: _Kind) -> tuple[int, ...]:
    if kind is not _MULTIPLY or len(instruction.operands) < 4:
        return ()
    return instruction.operands[:2] if instruction.name.startswith(_LONG_ACCUMULATE) else instruction.operands[3:4]
