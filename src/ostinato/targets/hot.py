"""Which functions are worth their place in RAM: those that wait most for their own instructions."""

from __future__ import annotations

from collections.abc import Sequence

from ostinato.targets.elf import Elf
from ostinato.targets.profile import Profile

LEAST_SHARE = 0.001
"""Of a run's cycles: a function that waits less for its instructions stays in flash."""


def hot_functions(elf: Elf, profile: Profile, budget_bytes: int) -> tuple[str, ...]:
    """Functions whose instructions were waited for most per byte, as many as fit.

    Args:
        elf: the firmware that ran, with all of its code in flash.
        profile: a run of it with a memory system.
        budget_bytes: RAM for code.

    Returns:
        Names for `compile_firmware(hot=)`, the best first; none where memory is ideal or a cache holds all code.
    """
    sizes = {function.name: function.size for function in elf.functions}
    waits = {
        name: counts.stalls.fetch
        for name, counts in profile.by_function.items()
        if sizes.get(name) and counts.stalls.fetch > LEAST_SHARE * profile.total.cycles
    }
    chosen: list[str] = []
    for name in sorted(waits, key=lambda name: (-waits[name] / sizes[name], name)):
        if sizes[name] + 8 <= budget_bytes:
            chosen.append(name)
            budget_bytes -= sizes[name] + 8
    return tuple(chosen)


def faster_in_ram(names: Sequence[str], cold: Profile, hot: Profile) -> tuple[str, ...]:
    """Those of `names` that took fewer cycles in the run where they were in RAM."""
    return tuple(name for name in names if hot.by_function[name].cycles < cold.by_function[name].cycles)
