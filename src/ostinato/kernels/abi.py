"""Parameter structs as bytes, for calling a kernel without generating C (tests and benchmarks).

The rules are those of AAPCS32 and of the System V ABIs: each member is aligned to its own size, a struct to its largest
member. `Binding.params` lists the fields in the struct's order.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.kernels.binding import FLASH_LINE, ArrayRef, Binding

ALIGNMENT = FLASH_LINE
"""Of every array and of the struct itself, from the base on."""


@dataclass(frozen=True)
class Image:
    """A binding laid out in memory: write `data` at the address it was made for; the struct is at `params`."""

    data: bytes
    params: int


def image(binding: Binding, base: int, pointer_bytes: int, elsewhere: Mapping[str, int] | None = None) -> Image:
    """Arrays and parameter struct of `binding` as they lie in memory at address `base`.

    Args:
        binding: what to lay out.
        base: address of the first byte, a multiple of 8, or of `ALIGNMENT` where cycles are modelled with flash lines.
        pointer_bytes: 4 on a Cortex-M, 8 on a 64-bit host.
        elsewhere: addresses of arrays that are not to be laid out.
    """
    data = bytearray()
    addresses = dict(elsewhere or {})
    for name, array in binding.arrays.items():
        if name in addresses:
            continue
        addresses[name] = base + len(data) if array.size else 0
        data += _padded(_array_bytes(array))
    params = base + len(data)
    data += _padded(_pack(binding.params, addresses, pointer_bytes)[0])
    return Image(bytes(data), params)


def _array_bytes(array: npt.NDArray[Any]) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)


def _pack(fields: Mapping[str, Any], addresses: Mapping[str, int], pointer_bytes: int) -> tuple[bytes, int]:
    """A struct's bytes and alignment."""
    out, largest = bytearray(), 1
    for value in fields.values():
        if isinstance(value, Mapping):
            member, alignment = _pack(value, addresses, pointer_bytes)
        elif isinstance(value, ArrayRef):
            member = addresses[value.array].to_bytes(pointer_bytes, "little")
            alignment = pointer_bytes
        else:
            member, alignment = struct.pack("<i", value), 4
        out += bytes(-len(out) % alignment) + member
        largest = max(largest, alignment)
    out += bytes(-len(out) % largest)
    return bytes(out), largest
