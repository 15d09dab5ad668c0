"""From block counters to instructions and cycles per function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.errors import SimulationError
from ostinato.targets.cycles import CycleModel
from ostinato.targets.elf import Elf
from ostinato.targets.hook import Counters
from ostinato.targets.instructions import Instruction, decode
from ostinato.targets.profile import Counts

_Ints = npt.NDArray[np.int64]


class Accounting:
    """The executed code of a run, decoded once, and what each function cost in any part of that run.

    Straight-line code may be entered at several places (loop heads inside it). Each entry starts a block of its own
    that reaches to the next branch; it is costed as a whole, for its pairs of loads and stalls, and counted by how
    often the code was entered there: how much more often its first instruction ran than the one before.

    Args:
        elf: the firmware.
        counts: the run's counters, uint64 [3, halfwords + 1] (see `hook.BlockHook`).
        model: the cycle model.
        memory: the code section as it was executed.
    """

    def __init__(self, elf: Elf, counts: Counters, model: CycleModel, memory: bytes) -> None:
        self._model = model
        base = elf.code[0]
        executed = _executions(counts)
        self._instructions, previous = _decode_executed(executed, base, memory)
        self._at: _Ints = np.array([(i.address - base) // 2 for i in self._instructions], np.int64)
        self._after: _Ints = np.array([(i.address + i.size - base) // 2 for i in self._instructions], np.int64)
        self._branches = np.array([i.branches for i in self._instructions], bool)
        # Index of the instruction that falls into this one, -1 after a branch or a gap.
        self._falls_from: _Ints = np.array(previous, np.int64)
        names = [elf.function_at(i.address) for i in self._instructions]
        self._functions = sorted(set(names))
        numbers = {name: number for number, name in enumerate(self._functions)}
        self._function: _Ints = np.array([numbers[name] for name in names], np.int64)
        self._cost_blocks(self._entries(executed))

    def by_function(self, counts: Counters) -> Mapping[str, Counts]:
        """Counts of each function that ran in the part of the run that `counts` covers."""
        if not self._instructions:
            return {}
        executed = _executions(counts)
        runs = executed[self._at]
        taken = np.where(self._branches, runs - counts[2].astype(np.int64)[self._after], 0)
        # float64 is exact here: costs are small multiples of a fraction, counts below 2^53.
        block_costs = self._entries(executed)[self._leader] * self._cost
        straight = np.bincount(self._member, weights=block_costs, minlength=len(self._at))
        not_taken = np.where(self._branches, runs - taken, 0)
        cycles = straight + taken * self._model.taken_branch_cycles - not_taken * self._saved_if_not_taken
        size = len(self._functions)
        instructions = np.bincount(self._function, weights=runs, minlength=size)
        total = np.bincount(self._function, weights=cycles, minlength=size)
        return {
            name: Counts(int(instructions[k]), round(float(total[k])))
            for k, name in enumerate(self._functions)
            if instructions[k]
        }

    def _entries(self, executed: _Ints) -> npt.NDArray[Any]:
        """How often straight-line code was entered at each instruction, other than from the instruction before."""
        runs = executed[self._at]
        return runs - np.where(self._falls_from >= 0, runs[self._falls_from], 0)

    def _cost_blocks(self, entries: npt.NDArray[Any]) -> None:
        leader: list[int] = []
        member: list[int] = []
        cost: list[float] = []
        for first in np.flatnonzero(entries):
            last = int(first)
            while last + 1 < len(self._instructions) and self._falls_from[last + 1] == last:
                last += 1
            block = self._instructions[first : last + 1]
            leader += [int(first)] * len(block)
            member += range(first, last + 1)
            cost += self._model.block_cycles(block)
        # A conditional `pop {pc}` that does not return costs the one cycle of any instruction whose condition fails.
        alone = [self._model.block_cycles([i])[0] - 1 if i.branches else 0.0 for i in self._instructions]
        self._saved_if_not_taken = np.maximum(alone, 0.0)
        self._leader: _Ints = np.array(leader, np.int64)
        self._member: _Ints = np.array(member, np.int64)
        self._cost = np.array(cost, np.float64)


def _executions(counts: Counters) -> _Ints:
    """Executions of the instruction at each half-word: blocks entered up to it minus blocks left."""
    difference = counts[0].astype(np.int64) - counts[1].astype(np.int64)
    return np.cumsum(difference)


def _decode_executed(executed: _Ints, base: int, memory: bytes) -> tuple[list[Instruction], list[int]]:
    """All executed instructions by address, and for each the index of the one that falls into it (-1 if none)."""
    instructions: list[Instruction] = []
    previous: list[int] = []
    ran = np.flatnonzero(executed[:-1])
    position = -1  # half-word behind the instruction decoded last
    for halfword in ran:
        if halfword < position:
            continue  # the second half of a 32-bit instruction
        offset = int(halfword) * 2
        instruction = decode(memory[offset : offset + 4], base + offset)
        if instruction is None:
            raise SimulationError(f"the code executed at {base + offset:#010x} cannot be decoded")
        follows = halfword == position and not instructions[-1].branches
        previous.append(len(instructions) - 1 if follows else -1)
        instructions.append(instruction)
        position = int(halfword) + instruction.size // 2
    return instructions, previous
