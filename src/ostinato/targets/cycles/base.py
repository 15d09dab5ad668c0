"""What a cycle model is: costs of straight-line code, and of a taken branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ostinato.targets.instructions import Instruction


class CycleModel(Protocol):
    """Cycles of a core, instruction by instruction. Executed counts are exact; this is the modelled part.

    Attributes:
        name: for reports, with the model's assumptions in a few words.
        taken_branch_cycles: added each time a branch is taken (pipeline refill).
    """

    name: str
    taken_branch_cycles: float

    def block_cycles(self, block: Sequence[Instruction]) -> list[float]:
        """Cycles of each instruction of a straight-line block entered with nothing in flight.

        The block ends with its branch, costed as if not taken. The result has the block's length.
        """
        ...
