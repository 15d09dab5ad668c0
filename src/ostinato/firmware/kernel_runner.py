"""One kernel on a simulated board, its constants in flash and everything else in SRAM, as in a deployed network."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ostinato.errors import SimulationError
from ostinato.firmware.workfolder import WorkFolder
from ostinato.kernels.abi import ALIGNMENT, image
from ostinato.kernels.binding import EXTERNAL_LINE, Binding
from ostinato.kernels.sources import compiled_sources, include_dir, source_dir
from ostinato.quant.arithmetic import Int8Array
from ostinato.targets import Memory, MemorySystem, Profile, Simulator, compile_firmware
from ostinato.targets.external_flash import WINDOW_ORIGIN

_MEMORY = Path(__file__).parent / "support" / "kernel_memory.c"
_CONSTANTS = 16 << 20
"""Offset of the constants in the flash of a harness, behind its code."""


class KernelRunner:
    """Kernels compiled for `core` and run on as many memory systems as are asked for.

    Args:
        bindings: what will be run.
        core: `cortex-m4` or `cortex-m7`.
        hot: functions that are copied to RAM.
        optimise: level of the C code.
        toolchain: compiler.
        external: there is external flash, too.

    Raises:
        ToolchainError: no compiler.
    """

    def __init__(
        self,
        bindings: Iterable[Binding],
        core: str = "cortex-m4",
        *,
        hot: Sequence[str] = (),
        optimise: str = "-O3",
        toolchain: str = "zig",
        external: bool = False,
    ) -> None:
        self._core = core
        self._folder = WorkFolder()
        files = [*compiled_sources(bindings, self._folder.path), _MEMORY]
        self._elf = compile_firmware(
            files,
            self._folder.path / "kernels.elf",
            core=core,
            include_dirs=(include_dir(), source_dir()),
            hot=hot,
            optimise=optimise,
            toolchain=toolchain,
            memory=Memory.unlimited(external=external),
        )
        self._simulators: dict[MemorySystem | None, Simulator] = {}

    def simulator(self, memory: MemorySystem | None) -> Simulator:
        """The kernels on that memory; None for an ideal one."""
        if memory not in self._simulators:
            self._simulators[memory] = Simulator(self._elf, core=self._core, memory=memory, timeout_s=300)
        return self._simulators[memory]

    def run(
        self,
        binding: Binding,
        x: Int8Array,
        outputs: int,
        memory: MemorySystem | None = None,
        *,
        external: Sequence[str] = (),
    ) -> tuple[Int8Array, Profile]:
        """Output and cost of one call, caches empty before it; these constants are in external flash.

        Raises:
            SimulationError: the kernel refused its arguments, or faulted.
        """
        simulator = self.simulator(memory)
        flash = simulator.symbols["__flash_start"].address + _CONSTANTS
        addresses, at = {}, WINDOW_ORIGIN
        for name in external:
            data = np.ascontiguousarray(binding.arrays[name]).tobytes()
            simulator.write_memory(at, data)
            addresses[name] = at
            at += len(data) + -len(data) % EXTERNAL_LINE
        constants = image(binding, flash, 4, addresses)
        simulator.write_memory(flash, constants.data)
        scratch = simulator.symbols["kernel_memory"].address
        block = scratch + ALIGNMENT
        source = _aligned(block + binding.scratch_bytes)
        out = _aligned(source + x.size)
        pointers = _aligned(out + outputs)  # for a kernel of several inputs, which are all `x`
        simulator.write_memory(scratch, struct.pack("<Ii", block, binding.scratch_bytes))
        simulator.write_memory(source, np.ascontiguousarray(x).tobytes())
        simulator.write_memory(pointers, struct.pack("<I", source) * binding.inputs)
        argument = source if binding.inputs == 1 else pointers
        profile = simulator.run(f"ost_{binding.kernel}", (constants.params, scratch, argument, out))
        if profile.result != 0:
            raise SimulationError(f"ost_{binding.kernel} returned status {profile.result}")
        return np.frombuffer(simulator.read_memory(out, outputs), np.int8), profile


def _aligned(address: int) -> int:
    return address + -address % ALIGNMENT
