"""The generated C on this computer: thousands of images a second, with the firmware's own bits."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.firmware.memory import ALIGNMENT
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QGraph

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""

_CHUNK = 64


class HostNetwork:
    """A generated network, loaded into this process.

    Args:
        library: built by `Builder.host_library`.
        graph: the network that it was generated from.
        arena_bytes: of its memory plan.
    """

    def __init__(self, library: Path, graph: QGraph, arena_bytes: int) -> None:
        self._library = ctypes.CDLL(str(library))
        self._graph = graph
        self._arena_bytes = arena_bytes
        self._run_batch = self._library.run_batch
        self._run_batch.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p]
        self._traced_run = self._library.traced_run
        self._traced_run.argtypes = [ctypes.c_void_p] * 4
        self._counted_run = self._library.counted_run
        self._counted_run.argtypes = [ctypes.c_void_p] * 4

    def predict_int8(
        self, images: Int8Array, *, threads: int | None = None, progress: Progress | None = None
    ) -> Int8Array:
        """Outputs (N, *output) of firmware inputs (N, *input); `threads` threads work, by default one per CPU."""
        inputs = np.ascontiguousarray(images, np.int8).reshape(len(images), -1)
        outputs = np.zeros((len(inputs), self._graph.output.size), np.int8)
        starts = range(0, len(inputs), _CHUNK)
        done = 0
        with ThreadPoolExecutor(max_workers=threads or os.cpu_count() or 1) as pool:
            parts = (slice(start, start + _CHUNK) for start in starts)
            for future in as_completed([pool.submit(self._run, inputs[part], outputs[part]) for part in parts]):
                done += future.result()
                if progress is not None:
                    progress(done, len(inputs))
        return outputs.reshape(len(inputs), *self._graph.output.shape)

    def trace(self, image: Int8Array) -> tuple[Int8Array, Int8Array]:
        """Output of one image, and the outputs of all layers one after another."""
        image = np.ascontiguousarray(image, np.int8)
        output = np.zeros(self._graph.output.shape, np.int8)
        outputs = np.zeros(sum(op.output.size for op in self._graph.ops), np.int8)
        arena = _aligned(self._arena_bytes)
        _check(self._traced_run(image.ctypes.data, output.ctypes.data, arena.ctypes.data, outputs.ctypes.data))
        return output, outputs

    def counts(self, images: Int8Array) -> npt.NDArray[np.int64]:
        """(layers,) what each layer counts (`Binding.counts`), summed over firmware inputs (N, *input)."""
        output = np.zeros(self._graph.output.shape, np.int8)
        counts = np.zeros(len(self._graph.ops), np.int64)
        arena = _aligned(self._arena_bytes)
        for image in np.ascontiguousarray(images, np.int8):
            _check(self._counted_run(image.ctypes.data, output.ctypes.data, arena.ctypes.data, counts.ctypes.data))
        return counts

    def _run(self, inputs: Int8Array, outputs: Int8Array) -> int:
        # ctypes releases the interpreter lock, so that chunks run side by side; each call has an arena of its own.
        arena = _aligned(self._arena_bytes)
        _check(self._run_batch(inputs.ctypes.data, outputs.ctypes.data, len(inputs), arena.ctypes.data))
        return len(inputs)


def _aligned(size: int) -> npt.NDArray[Any]:
    """A buffer that starts at a multiple of `ALIGNMENT`, filled with a pattern: no kernel may expect zeros."""
    raw = np.full(size + ALIGNMENT, 0xA5, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


def _check(status: int) -> None:
    if status != 0:
        raise RuntimeError(f"the generated network returned the status {status} (ost_types.h explains it)")
