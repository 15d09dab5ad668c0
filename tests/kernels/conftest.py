"""Kernels on the host and on the simulated core, called from a `Binding` alone."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from host_runner import GUARD, GUARD_BYTES, Call, HostKernels

from ostinato.kernels.abi import image
from ostinato.kernels.binding import Binding
from ostinato.kernels.sources import include_dir, source_dir, source_path
from ostinato.quant.arithmetic import Int8Array
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import compile_firmware, compile_host_library

INCLUDES = (include_dir(), source_dir())


class SimulatedKernels:
    """Kernels in an ELF file: one compilation, any number of configurations."""

    def __init__(self, elf: Path) -> None:
        self._simulator = Simulator(elf)
        self._memory = self._simulator.symbols["kernel_memory"]

    def run(self, binding: Binding, x: Int8Array | Sequence[Int8Array], outputs: int) -> Call:
        """Call the kernel and count what it costs."""
        placed = image(binding, self._memory.address, 4)
        address = self._memory.address + len(placed.data)
        self._simulator.write_memory(self._memory.address, placed.data)
        needed = self._simulator.run(f"ost_{binding.kernel}_scratch_bytes", (placed.params,)).result
        scratch, block = address, address + 8
        source = block + needed + -needed % 8 + 8
        inputs = [np.ascontiguousarray(array).tobytes() for array in ([x] if binding.inputs == 1 else x)]
        addresses = []
        end = source
        for data in inputs:
            addresses.append(end)
            end += len(data) + -len(data) % 8
        pointers, out = end, end + 8 * len(inputs)
        assert out + outputs + GUARD_BYTES <= self._memory.address + self._memory.size
        self._simulator.write_memory(scratch, struct.pack("<Ii", block, needed))
        self._simulator.write_memory(block, bytes([GUARD]) * (source - block))
        for at, data in zip(addresses, inputs, strict=True):
            self._simulator.write_memory(at, data)
        self._simulator.write_memory(pointers, struct.pack(f"<{len(addresses)}I", *addresses))
        given = source if binding.inputs == 1 else pointers
        self._simulator.write_memory(out, bytes([GUARD]) * (outputs + GUARD_BYTES))
        profile = self._simulator.run(f"ost_{binding.kernel}", (placed.params, scratch, given, out))
        behind = self._simulator.read_memory(out + outputs, GUARD_BYTES)
        assert behind == bytes([GUARD]) * GUARD_BYTES, "the kernel wrote behind its output"
        behind = self._simulator.read_memory(block + needed, source - block - needed)
        assert behind == bytes([GUARD]) * len(behind), "the kernel wrote behind its scratch"
        output = np.frombuffer(self._simulator.read_memory(out, outputs), np.int8)
        return Call(profile.result, output, needed, profile)


@pytest.fixture(scope="session")
def host_kernels(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[str]], HostKernels]:
    """Compile these sources (as named in bindings) for the host."""

    def build(sources: Sequence[str]) -> HostKernels:
        files = [source_path(name) for name in sources if name.endswith(".c")]
        library = tmp_path_factory.mktemp("host") / "kernels.so"
        return HostKernels(compile_host_library(files, library, include_dirs=INCLUDES))

    return build


@pytest.fixture(scope="session")
def simulated_kernels(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SimulatedKernels]:
    """Compile these sources for the Cortex-M4; `plain` forces the plain-C twins."""

    def build(sources: Sequence[str], *, plain: bool = False) -> SimulatedKernels:
        files = [*(source_path(name) for name in sources), Path(__file__).parent / "harness.c"]
        elf = tmp_path_factory.mktemp("firmware") / "kernels.elf"
        defines = {"OST_PLAIN_C": 1} if plain else {}
        return SimulatedKernels(compile_firmware(files, elf, include_dirs=INCLUDES, defines=defines))

    return build
