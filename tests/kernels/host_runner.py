"""Calling one kernel on the host through ctypes, from a `Binding` alone. Imports nothing that a sanitizer dislikes."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.kernels.abi import image
from ostinato.kernels.binding import Binding
from ostinato.quant.arithmetic import Int8Array

if TYPE_CHECKING:
    from ostinato.targets.profile import Profile

GUARD = 0x5A
GUARD_BYTES = 16


@dataclass(frozen=True)
class Call:
    """What one call of a kernel gave."""

    status: int
    output: Int8Array
    scratch_bytes: int  # what the C twin says
    profile: Profile | None = None
    reported: int = 0  # the first word of the scratch: image scope's blocks without a slot


class HostKernels:
    """Kernels in a shared library of plain C."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))

    def function(self, name: str) -> Any:
        """A C function of the library."""
        return getattr(self._library, name)

    def run(
        self, binding: Binding, x: Int8Array | Sequence[Int8Array], outputs: int, scratch_bytes: int | None = None
    ) -> Call:
        """Call the kernel; buffers are heap blocks of exactly their size, so that a sanitizer sees every byte."""
        size = len(image(binding, 0, 8).data)
        memory = ctypes.create_string_buffer(size + 8)
        base = ctypes.addressof(memory) + -ctypes.addressof(memory) % 8
        placed = image(binding, base, 8)
        ctypes.memmove(base, placed.data, size)
        twin = self.function(f"ost_{binding.kernel}_scratch_bytes")
        needed = twin(ctypes.c_void_p(placed.params))
        given = needed if scratch_bytes is None else scratch_bytes
        block = np.full(given + 2 * GUARD_BYTES, GUARD, np.uint8)
        start = GUARD_BYTES + -(block.ctypes.data + GUARD_BYTES) % 8
        scratch = ctypes.create_string_buffer(struct.pack("<Qi4x", block.ctypes.data + start, given))
        sources = [np.array(array, copy=True, order="C") for array in ([x] if binding.inputs == 1 else x)]
        addresses = (ctypes.c_void_p * len(sources))(*(source.ctypes.data for source in sources))
        out = np.full(outputs + GUARD_BYTES, GUARD, np.int8)
        status = self.function(f"ost_{binding.kernel}")(
            ctypes.c_void_p(placed.params), scratch,
            ctypes.c_void_p(addresses[0]) if binding.inputs == 1 else addresses,
            out.ctypes.data_as(ctypes.c_void_p),
        )  # fmt: skip
        assert np.all(out[outputs:] == GUARD), "the kernel wrote behind its output"
        assert np.all(block[start + given :] == GUARD), "the kernel wrote behind its scratch"
        assert bytes(memory)[base - ctypes.addressof(memory) :][:size] == placed.data, (
            "the kernel wrote to its constants"
        )
        reported = int(block[start:].view(np.uint8)[:4].view(np.int32)[0]) if given >= 4 else 0
        return Call(status, out[:outputs], needed, reported=reported)
