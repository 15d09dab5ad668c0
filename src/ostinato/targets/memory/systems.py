"""Memory systems as data: what flash and RAM cost beyond the core's own cycles.

Sources: ST RM0386 (STM32F469, section 3.4: flash interface and ART accelerator), ST RM0410 (STM32F76x, section 3.3),
ST AN4667 (STM32F7's buses and caches), ARM DDI 0439 (Cortex-M4: buses, unaligned accesses), ARM DDI 0489 (Cortex-M7:
caches, TCM). What they do not say and is assumed here is named in docs/boards.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ostinato.errors import BoardError
from ostinato.targets.boards import KIB, Board
from ostinato.targets.external_flash import ExternalFlash

_Range = tuple[int, int]


@dataclass(frozen=True)
class Cache:
    """A cache with replacement of the line that was used longest ago: `sets` × `ways` lines of `line_bytes`."""

    line_bytes: int
    sets: int
    ways: int


@dataclass(frozen=True)
class MemorySystem:
    """Flash with wait states, its caches, and RAM.

    Attributes:
        name: for reports.
        wait_states: cycles beyond the first that a flash read takes.
        line_bytes: width of a flash read, a power of two.
        prefetch: whether the next line is read while the core executes this one.
        instructions: cache of code; None for none.
        data: cache of constants (and of `slow_ram`); None for none.
        bus_cycles: cycles between core and flash on top of the wait states.
        slow_ram: (first address, end) of RAM behind a bus; None if all RAM answers at once.
        slow_ram_cycles: a miss of the data cache there.
        code_ram_bytes: RAM at address 0 from which code is fetched at once.
        shared_ram: (first address, end) where the data of that code wait a cycle, since both come from one RAM.
        serial_fetch: whether other code that is not in flash is fetched word by word over the bus that data use too.
        unaligned_load_cycles: what an unaligned load costs, and stores nothing; 0 for the Cortex-M4's rule.
        external: flash behind QUADSPI, if constants are there.
        external_cached: whether `data` caches it: on a Cortex-M7; an STM32F4's ART does not.
        ideal: all memory but `external` answers at once.
    """

    name: str
    wait_states: int
    line_bytes: int
    prefetch: bool
    instructions: Cache | None
    data: Cache | None
    bus_cycles: int = 0
    slow_ram: _Range | None = None
    slow_ram_cycles: int = 0
    code_ram_bytes: int = 0
    shared_ram: _Range | None = None
    serial_fetch: bool = False
    unaligned_load_cycles: int = 0
    external: ExternalFlash | None = None
    external_cached: bool = False
    ideal: bool = False


def stm32f4_flash(wait_states: int, *, accelerator: bool = True) -> MemorySystem:
    """STM32F4: 128-bit flash with the ART accelerator (prefetch, 64 lines of code, 8 lines of data), SRAM at once.

    Args:
        wait_states: 5 at 180 MHz.
        accelerator: False switches prefetch and both caches off.
    """
    name = f"{wait_states} flash wait states, STM32F4 {'ART' if accelerator else 'without ART'}"
    return MemorySystem(
        name=name,
        wait_states=wait_states,
        line_bytes=16,
        prefetch=accelerator,
        instructions=Cache(16, 1, 64) if accelerator else None,
        data=Cache(16, 1, 8) if accelerator else None,
        code_ram_bytes=160 * KIB,  # SRAM1, mapped to address 0
        shared_ram=(0x2000_0000, 0x2000_0000 + 160 * KIB),
        serial_fetch=True,
    )


def stm32f7_axi(wait_states: int) -> MemorySystem:
    """STM32F76x: 256-bit flash on the AXI bus behind L1 caches of 16 KiB each, DTCM at once, SRAM1 and 2 cached.

    Args:
        wait_states: 7 at 216 MHz.
    """
    return MemorySystem(
        name=f"{wait_states} flash wait states, STM32F7 L1 caches",
        wait_states=wait_states,
        line_bytes=32,
        prefetch=False,
        instructions=Cache(32, 256, 2),
        data=Cache(32, 128, 4),
        bus_cycles=4,
        code_ram_bytes=16 * KIB,  # ITCM
        slow_ram=(0x2002_0000, 0x2008_0000),
        slow_ram_cycles=8,
        external_cached=True,
        unaligned_load_cycles=3,  # measured: github.com/jnk0le/random, "pipeline cycle test"
    )


_SYSTEMS = {"stm32f4": stm32f4_flash, "stm32f7": stm32f7_axi}
MOST_WAIT_STATES = 15
"""What the F4's and F7's LATENCY field can hold."""


def memory_of(board: Board, flash_wait_states: int, *, external: bool = False) -> MemorySystem | None:
    """The memory system of a board with so many flash wait states; None for 0, the ideal memory of the cycle models.

    With `external`, constants are in the board's external flash, which costs its time even where the rest is ideal.

    Raises:
        BoardError: a number that the part cannot be set to, or a board without a memory model or external flash.
    """
    if flash_wait_states == 0 and not external:
        return None
    if not 0 <= flash_wait_states <= MOST_WAIT_STATES:
        raise BoardError(
            f"{flash_wait_states} flash wait states are not possible; {board.name} needs {board.flash_wait_states} at "
            f"{board.clock_hz // 10**6} MHz, and 0 to {MOST_WAIT_STATES} are supported"
        )
    make = _SYSTEMS.get(board.memory)
    if make is None:
        raise BoardError(
            f"the board {board.name} has no memory model, so flash wait states and external flash cannot be simulated "
            f"on it; use 0 and none, or give it one of: {', '.join(sorted(_SYSTEMS))}"
        )
    system = make(flash_wait_states)
    return _with_external(system, board) if external else system


def _with_external(system: MemorySystem, board: Board) -> MemorySystem:
    flash, ideal = board.external_flash, system.wait_states == 0
    if flash is None:
        raise BoardError(f"the board {board.name} has no external flash")
    name = "zero wait states" if ideal else system.name
    name += f", {flash.part} on QUADSPI at {board.clock_hz // flash.divider // 10**6} MHz"
    return replace(system, name=name, external=flash, ideal=ideal)
