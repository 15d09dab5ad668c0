"""What memory costs beyond the core's own cycles: flash wait states, caches, buses, unaligned accesses."""

from __future__ import annotations

from ostinato.targets.memory.hook import MemoryEvents
from ostinato.targets.memory.systems import Cache, MemorySystem, memory_of, stm32f4_flash, stm32f7_axi

__all__ = ["Cache", "MemoryEvents", "MemorySystem", "memory_of", "stm32f4_flash", "stm32f7_axi"]
