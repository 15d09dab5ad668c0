"""Which functions of a network run from RAM: those that wait for the flash, measured with and without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ostinato.errors import ToolchainError, UnsupportedError
from ostinato.firmware.sizes import Sizes
from ostinato.targets.boards import KIB, Board
from ostinato.targets.elf import Elf
from ostinato.targets.hot import faster_in_ram, hot_functions
from ostinato.targets.profile import Profile

HOT_BYTES = 16 * KIB
"""At most: an STM32F7's ITCM, and as much of an STM32F4's SRAM1."""

_SPARE = 64
"""Bytes of SRAM for alignment."""


def hot_budget(board: Board, sizes: Sizes, hot_code: bool | int) -> int:
    """Bytes of RAM for code: what was asked for, what the firmware leaves, and what the board can run from.

    An STM32F7's ITCM is beside its SRAM, while an STM32F4's hot code takes a part of it.

    Raises:
        UnsupportedError: more than the board has for that, or a negative number.
    """
    if hot_code is False or not board.memory:
        return 0
    if hot_code is not True and not 0 <= hot_code <= HOT_BYTES:
        raise UnsupportedError(
            f"hot_code={hot_code} bytes of code in RAM are not possible; choose 0 to {HOT_BYTES:,}, or True for as "
            "many as pay."
        )
    left = board.sram_bytes - sizes.sram_bytes - _SPARE if board.core == "cortex-m4" else HOT_BYTES
    return max(0, min(left, HOT_BYTES if hot_code is True else hot_code))


def choose_hot_code(
    build: Callable[[Sequence[str]], Path], run: Callable[[Path], Profile], budget: int
) -> tuple[str, ...]:
    """Names of functions that make a network faster on the board's memory if they run from RAM; maybe none.

    Args:
        build: firmware with these functions in RAM.
        run: one inference on the board's memory.
        budget: bytes of RAM.

    Some functions lose there, since on an STM32F4 their data come from the same RAM: what does not gain goes back.
    """
    if budget <= 0:
        return ()
    cold_elf = build(())
    cold = run(cold_elf)
    names, hot_elf = as_many_as_fit(build, hot_functions(Elf(cold_elf), cold, budget))
    if hot_elf is None:
        return ()
    hot = run(hot_elf)
    kept = faster_in_ram(names, cold, hot)
    if kept and kept != names:
        hot = run(build(kept))
    return kept if kept and hot.total.cycles < cold.total.cycles else ()


def as_many_as_fit(
    build: Callable[[Sequence[str]], Path], names: tuple[str, ...]
) -> tuple[tuple[str, ...], Path | None]:
    """As many of the first names as fit, and the firmware with them in RAM; none and None if not even one does.

    Functions in RAM reach those in flash through the linker's veneers, whose bytes are not known before it has run.
    """
    while names:
        try:
            return names, build(names)
        except ToolchainError as error:
            if "HOT" not in str(error):  # both linkers name the region that is too small
                raise
            names = names[:-1]
    return (), None
