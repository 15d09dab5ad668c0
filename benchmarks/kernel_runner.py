"""One kernel on the simulated core, called from its `Binding`, without a network around it."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ostinato.errors import SimulationError
from ostinato.kernels.abi import ALIGNMENT, image
from ostinato.kernels.binding import Binding
from ostinato.kernels.sources import compiled_sources, include_dir, source_dir
from ostinato.quant.arithmetic import Int8Array
from ostinato.targets.profile import Profile
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import compile_firmware


class KernelRunner:
    """Kernels compiled for `core`; their cost is modelled with memory that has no wait states."""

    def __init__(self, bindings: Iterable[Binding], core: str = "cortex-m4") -> None:
        with tempfile.TemporaryDirectory() as folder:
            files = [*compiled_sources(bindings, Path(folder)), Path(__file__).with_name("kernel_memory.c")]
            elf = compile_firmware(
                files, Path(folder) / "kernels.elf", core=core, include_dirs=(include_dir(), source_dir())
            )
            self._simulator = Simulator(elf, core=core)

    def run(self, binding: Binding, x: Int8Array, outputs: int) -> tuple[Int8Array, Profile]:
        """Output and cost of one call.

        Raises:
            SimulationError: the kernel refused its arguments, or faulted.
        """
        memory = self._simulator.symbols["kernel_memory"].address
        constants = image(binding, memory, 4)
        scratch = memory + len(constants.data)
        block = scratch + ALIGNMENT
        source = _aligned(block + binding.scratch_bytes)
        out = _aligned(source + x.size)
        self._simulator.write("kernel_memory", np.frombuffer(constants.data, np.uint8))
        self._simulator.write_memory(scratch, struct.pack("<Ii", block, binding.scratch_bytes))
        self._simulator.write_memory(source, np.ascontiguousarray(x).tobytes())
        profile = self._simulator.run(f"ost_{binding.kernel}", (constants.params, scratch, source, out))
        if profile.result != 0:
            raise SimulationError(f"ost_{binding.kernel} returned status {profile.result}")
        return np.frombuffer(self._simulator.read_memory(out, outputs), np.int8), profile


def _aligned(address: int) -> int:
    return address + -address % ALIGNMENT
