"""Where firmware runs: boards, compilers, the simulator with its cycle models, and builds for the host."""

from __future__ import annotations

from ostinato.targets.bench import Measurement, measure
from ostinato.targets.boards import BOARDS, Board, get_board
from ostinato.targets.compilers import Toolchain, find_host_compiler, find_toolchain
from ostinato.targets.cores import CORES, Core, get_core
from ostinato.targets.cycles import CortexM4Model, CortexM7Model, CycleModel, cycle_model_for
from ostinato.targets.elf import Elf, SizeReport, Symbol
from ostinato.targets.guards import Area, Guards
from ostinato.targets.hot import faster_in_ram, hot_functions
from ostinato.targets.memory import MemorySystem, memory_of
from ostinato.targets.profile import Counts, MemoryStalls, Profile, RunSegment
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import Memory, compile_firmware, compile_host_library, linker_script

__all__ = [
    "BOARDS",
    "CORES",
    "Area",
    "Board",
    "Core",
    "CortexM4Model",
    "CortexM7Model",
    "Counts",
    "CycleModel",
    "Elf",
    "Guards",
    "Measurement",
    "Memory",
    "MemoryStalls",
    "MemorySystem",
    "Profile",
    "RunSegment",
    "Simulator",
    "SizeReport",
    "Symbol",
    "Toolchain",
    "compile_firmware",
    "compile_host_library",
    "cycle_model_for",
    "faster_in_ram",
    "find_host_compiler",
    "find_toolchain",
    "get_board",
    "get_core",
    "hot_functions",
    "linker_script",
    "measure",
    "memory_of",
]
