"""Proof that four executions of one network have the same bits, or the name of the first layer where they part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QGraph
from ostinato.quant.reference import execute

Checksums = npt.NDArray[np.uint32]
Trace = Callable[[Int8Array], tuple[Int8Array, Checksums]]
"""Output of one image and the checksum of each layer's output."""

_PRIME = 16777619  # odd, so that every byte counts whatever follows it


class BitMismatchError(RuntimeError):
    """Two executions of a network differ: a bug of ours, never the user's mistake."""


@dataclass(frozen=True)
class Verification:
    """`images` images gave the same bits in all of `executions`, in every layer."""

    images: int
    executions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.images} images: {', '.join(self.executions)} agree bit for bit in every layer"


def checksum(data: npt.NDArray[Any]) -> int:
    """What support/trace.c computes over a layer's bytes: s = s · 16777619 + byte (mod 2^32), from s = 1."""
    values = np.concatenate([[1], np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)]).astype(np.uint32)
    powers = np.full(len(values), _PRIME, np.uint32)
    powers[0] = 1
    powers = np.multiply.accumulate(powers)[::-1]
    return int((values * powers).sum(dtype=np.uint32))


def verify(graph: QGraph, images: Int8Array, executions: Mapping[str, Trace]) -> Verification:
    """Compare every execution with the reference executor on firmware inputs (N, H, W, C).

    Raises:
        BitMismatchError: names the image, the execution and the first layer that differs.
    """
    for number, image in enumerate(images):
        tensors = execute(graph, image)
        expected = [checksum(tensors[op.output.name]) for op in graph.ops]
        for name, trace in executions.items():
            output, sums = trace(image)
            for op, want, got in zip(graph.ops, expected, sums.tolist(), strict=True):
                if want != got:
                    raise BitMismatchError(
                        f"Layer {op.name} ({type(op).__name__}): {name} differs from the integer executor on image "
                        f"{number}; all layers before it agree."
                    )
            if not np.array_equal(output, tensors[graph.output.name]):
                raise BitMismatchError(f"The output of {name} differs from the integer executor on image {number}.")
    return Verification(len(images), ("integer executor", *executions))
