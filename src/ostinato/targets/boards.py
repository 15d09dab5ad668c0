"""Boards as data: the core, its clock, and the memory a network can use."""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.errors import BoardError
from ostinato.targets.cores import Core, get_core
from ostinato.targets.external_flash import ExternalFlash

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Board:
    """A microcontroller board.

    Attributes:
        name: what users type, in lower case.
        core: name of the ARM core, a key of `cores.CORES`.
        clock_hz: the clock at which latencies are given, the part's maximum.
        sram_bytes: the largest contiguous SRAM: static data, the arena and the stack must fit into it together.
        flash_bytes: flash for code, weights and tables.
        flash_wait_states: wait states of the flash at `clock_hz` (from the reference manual). Simulations assume none,
            as if the part's cache and prefetch always hit, unless they are asked for them.
        description: one line for people.
        extra_sram_bytes: SRAM elsewhere in the address map, not counted in `sram_bytes` and not used yet.
        memory: the memory system between core and flash, by the names of `targets.memory`; empty for none.
        external_flash: on the board's QUADSPI, for constants that `flash_bytes` does not hold; None for none.
    """

    name: str
    core: str
    clock_hz: int
    sram_bytes: int
    flash_bytes: int
    flash_wait_states: int
    description: str
    extra_sram_bytes: int = 0
    memory: str = ""
    external_flash: ExternalFlash | None = None

    @property
    def core_data(self) -> Core:
        """The `Core` behind the name."""
        return get_core(self.core)

    def milliseconds(self, cycles: float) -> float:
        """Time that `cycles` take at this board's clock, in ms."""
        return 1e3 * cycles / self.clock_hz


BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        Board(
            name="stm32f469i",
            core="cortex-m4",
            clock_hz=180_000_000,
            sram_bytes=320 * KIB,
            flash_bytes=2 * MIB,
            flash_wait_states=5,
            description="STM32F469I Discovery: Cortex-M4F at 180 MHz, 320 KiB SRAM (and 64 KiB CCM), 2 MiB flash",
            extra_sram_bytes=64 * KIB,
            memory="stm32f4",
            external_flash=ExternalFlash(
                part="N25Q128A",
                size_bytes=16 * MIB,
                divider=2,
                deselect_clocks=2,
                instruction_clocks=8,
                address_clocks=6,
                dummy_clocks=10,
                loader="N25Q128A_STM32469I-DISCO.stldr",
                source="ST's STM32CubeF4, Drivers/BSP/STM32469I-Discovery/stm32469i_discovery_qspi.c: quad I/O fast "
                "read (0xEB) at 90 MHz, instruction on one line, 24-bit address, 10 dummy cycles, 2 clocks between",
            ),
        ),
        Board(
            name="stm32f767zi",
            core="cortex-m7",
            clock_hz=216_000_000,
            sram_bytes=512 * KIB,
            flash_bytes=2 * MIB,
            flash_wait_states=7,
            description="NUCLEO-F767ZI: Cortex-M7F at 216 MHz, 512 KiB SRAM (DTCM, SRAM1, SRAM2), 2 MiB flash",
            memory="stm32f7",
        ),
        Board(
            name="stm32f769i",
            core="cortex-m7",
            clock_hz=216_000_000,
            sram_bytes=512 * KIB,
            flash_bytes=2 * MIB,
            flash_wait_states=7,
            description="STM32F769I Discovery: Cortex-M7F at 216 MHz, 512 KiB SRAM (DTCM, SRAM1, SRAM2), 2 MiB flash",
            memory="stm32f7",
            external_flash=ExternalFlash(
                part="MX25L51245G",
                size_bytes=64 * MIB,
                divider=2,
                deselect_clocks=1,
                instruction_clocks=2,
                address_clocks=8,
                dummy_clocks=10,
                loader="MX25L512G_STM32F769I-DISCO.stldr",
                source="ST's STM32CubeF7, Drivers/BSP/STM32F769I-Discovery/stm32f769i_discovery_qspi.c: 4READ4B (0xEC) "
                "at 108 MHz, everything on four lines, 32-bit address, 10 dummy cycles, 1 clock between commands",
            ),
        ),
    )
}


def get_board(name: str | Board) -> Board:
    """Return the board called `name` (a `Board` is returned as it is).

    Raises:
        BoardError: no board has that name.
    """
    if isinstance(name, Board):
        return name
    try:
        return BOARDS[name.lower()]
    except KeyError:
        raise BoardError(f"unknown board {name!r}; known boards: {', '.join(sorted(BOARDS))}") from None
