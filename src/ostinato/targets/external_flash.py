"""Serial flash outside the microcontroller, read as memory through ST's QUADSPI."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_ORIGIN = 0x9000_0000
WINDOW_BYTES = 256 << 20
"""Where STM32s map the memory behind QUADSPI, and how much of it they can (RM0386, RM0410: memory map)."""

SECTION = ".external"
"""Of constants in external flash: of the generated C, the linker scripts and the ELF file."""


@dataclass(frozen=True)
class ExternalFlash:
    """A flash on QUADSPI in memory-mapped mode; times in clocks of its serial interface.

    A read that does not go on where the one before ended starts a burst: deselection, instruction, address, dummy
    cycles, then data. In a burst the controller reads ahead into its FIFO.

    Attributes:
        part: the chip.
        size_bytes: of it.
        divider: core clocks for one serial clock.
        deselect_clocks: that chip select stays high between bursts.
        instruction_clocks: 8 on one line, 2 on four, 0 if it is sent once only.
        address_clocks: 6 for 24 bits on four lines, 8 for 32.
        dummy_clocks: before data, as the chip is configured.
        double_rate: data on both edges: a byte a clock rather than one in two.
        fifo_bytes: that the controller reads ahead.
        loader: for STM32CubeProgrammer, which writes the chip.
        source: where these numbers are from.
    """

    part: str
    size_bytes: int
    divider: int
    deselect_clocks: int
    instruction_clocks: int
    address_clocks: int
    dummy_clocks: int
    double_rate: bool = False
    fifo_bytes: int = 32
    loader: str = ""
    source: str = ""

    @property
    def burst_cycles(self) -> int:
        """Core cycles from the request that starts a burst to the first data."""
        clocks = self.deselect_clocks + self.instruction_clocks + self.address_clocks + self.dummy_clocks
        return self.divider * clocks

    @property
    def byte_cycles(self) -> float:
        """Core cycles for a byte of data on four lines."""
        return self.divider * (1 if self.double_rate else 2)
