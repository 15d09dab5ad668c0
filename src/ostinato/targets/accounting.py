"""From block counters to instructions and cycles per function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.errors import SimulationError
from ostinato.targets.cycles import CycleModel
from ostinato.targets.elf import Elf
from ostinato.targets.hook import Counters
from ostinato.targets.instructions import Instruction, decode
from ostinato.targets.memory.hook import KINDS, Stalls
from ostinato.targets.profile import Counts, MemoryStalls

_Ints = npt.NDArray[np.int64]


class Code:
    """The code of a firmware, decoded and costed as far as it was needed. It does not change.

    Args:
        elf: the firmware.
        model: the cycle model.
    """

    def __init__(self, elf: Elf, model: CycleModel) -> None:
        self.elf = elf
        self.model = model
        self.map = elf.code
        self._instructions: dict[int, Instruction] = {}
        self._costs: dict[tuple[int, int], list[float]] = {}

    def instruction(self, slot: int) -> Instruction:
        """The instruction at a slot of the code map.

        Raises:
            SimulationError: there is none (the decoder does not know what the emulator executed).
        """
        found = self._instructions.get(slot)
        if found is None:
            address = self.map.address(slot)
            found = decode(self.elf.code_bytes(address, 4), address)
            if found is None:
                raise SimulationError(f"the code executed at {address:#010x} cannot be decoded")
            self._instructions[slot] = found
        return found

    def blocks(self) -> Iterator[list[Instruction]]:
        """All of the code as straight-line blocks, each up to its branch."""
        for start, end in self.elf.thumb_ranges():
            block: list[Instruction] = []
            address = start
            while address < end:
                instruction = decode(self.elf.code_bytes(address, 4), address)
                address += instruction.size if instruction else 2
                if instruction:
                    block.append(instruction)
                if block and (not instruction or instruction.branches or address >= end):
                    yield block
                    block = []

    def cycles(self, block: list[Instruction]) -> list[float]:
        """The model's cycles of each instruction of a straight-line block."""
        key = block[0].address, block[-1].address
        if key not in self._costs:
            self._costs[key] = self.model.block_cycles(block)
        return self._costs[key]


class Accounting:
    """The executed code of a run, and what each function cost in any part of that run.

    Straight-line code may be entered at several places (loop heads inside it). Each entry starts a block of its own
    that reaches to the next branch; it is costed as a whole, for its pairs of loads and stalls, and counted by how
    often the code was entered there: how much more often its first instruction ran than the one before.

    Args:
        code: the firmware's code.
        counts: the run's counters, uint64 [3, slots] (see `hook.BlockHook`).
    """

    def __init__(self, code: Code, counts: Counters) -> None:
        self._code = code
        executed = _executions(counts)
        self._instructions, previous = _executed_instructions(executed, code)
        self._at: _Ints = np.array([code.map.slot(i.address) for i in self._instructions], np.int64)
        self._after: _Ints = self._at + np.array([i.size // 2 for i in self._instructions], np.int64)
        self._branches = np.array([i.branches for i in self._instructions], bool)
        # Index of the instruction that falls into this one, -1 after a branch or a gap.
        self._falls_from: _Ints = np.array(previous, np.int64)
        names = [code.elf.function_at(i.address) for i in self._instructions]
        self._functions = sorted(set(names))
        numbers = {name: number for number, name in enumerate(self._functions)}
        self._function: _Ints = np.array([numbers[name] for name in names], np.int64)
        self._cost_blocks(self._entries(executed))

    def by_function(self, counts: Counters, stalls: Stalls | None = None) -> Mapping[str, Counts]:
        """Counts of each function that ran in the part of the run that `counts` covers, stalls of memory among them."""
        if not self._instructions:
            return {}
        executed = _executions(counts)
        runs = executed[self._at]
        taken = np.where(self._branches, runs - counts[2].astype(np.int64)[self._after], 0)
        not_taken = np.where(self._branches, runs - taken, 0)
        # float64 is exact here: costs are small multiples of a fraction, counts below 2^53.
        block_costs = self._entries(executed)[self._leader] * self._cost
        straight = np.bincount(self._member, weights=block_costs, minlength=len(self._at))
        refills = taken * self._code.model.taken_branch_cycles
        cycles = straight + refills - not_taken * self._saved_if_not_taken
        size = len(self._functions)
        instructions = np.bincount(self._function, weights=runs, minlength=size)
        total = np.bincount(self._function, weights=cycles, minlength=size)
        waits = np.zeros((KINDS, size))
        if stalls is not None:
            waits[:] = [np.bincount(self._function, weights=row[self._at], minlength=size) for row in stalls]
        return {
            name: Counts(
                int(instructions[k]),
                round(float(total[k] + waits[:, k].sum())),
                MemoryStalls(*(round(float(wait)) for wait in waits[:, k])),
            )
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
        for first in map(int, np.flatnonzero(entries)):
            last = first
            while last + 1 < len(self._instructions) and self._falls_from[last + 1] == last:
                last += 1
            leader += [first] * (last + 1 - first)
            member += range(first, last + 1)
            cost += self._code.cycles(self._instructions[first : last + 1])
        # A conditional `pop {pc}` that does not return costs the one cycle of any instruction whose condition fails.
        alone = [self._code.cycles([i])[0] - 1 if i.branches else 0.0 for i in self._instructions]
        self._saved_if_not_taken = np.maximum(alone, 0.0)
        self._leader: _Ints = np.array(leader, np.int64)
        self._member: _Ints = np.array(member, np.int64)
        self._cost = np.array(cost, np.float64)


def _executions(counts: Counters) -> _Ints:
    """Executions of the instruction at each half-word: blocks entered up to it minus blocks left."""
    difference = counts[0].astype(np.int64) - counts[1].astype(np.int64)
    return np.cumsum(difference)


def _executed_instructions(executed: _Ints, code: Code) -> tuple[list[Instruction], list[int]]:
    """All executed instructions by address, and for each the index of the one that falls into it (-1 if none)."""
    instructions: list[Instruction] = []
    previous: list[int] = []
    position = -1  # slot behind the instruction before
    for slot in map(int, np.flatnonzero(executed)):
        if slot < position:
            continue  # the second half of a 32-bit instruction
        instruction = code.instruction(slot)
        follows = slot == position and not instructions[-1].branches
        previous.append(len(instructions) - 1 if follows else -1)
        instructions.append(instruction)
        position = slot + instruction.size // 2
    return instructions, previous
