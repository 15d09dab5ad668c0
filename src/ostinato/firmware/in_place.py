"""Which tensors may share bytes: sums and poolings over their input, concatenations over their last part.

Each rule follows from the order in which its kernel reads and writes, and from nothing else; a kernel that is not named
here gets an output of its own. `tests/firmware/test_in_place.py` runs the kernels in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ostinato.firmware.joining import Joined
from ostinato.firmware.placement import ALIGNMENT, Buffer, aligned
from ostinato.quant.ops import ConvDims, QAdd, QAvgPool2d, QConcat, QGraph, QMaxPool2d, QOp

_ADDS = ("add_s8",)
_POOLS = ("max_pool_s8", "avg_pool_s8")
_CONCATENATIONS = ("concat_s8",)


@dataclass(frozen=True)
class Sharing:
    """Buffers of all tensors in the arena, some of which lie in blocks.

    `tensors` has, for each tensor, the index of its buffer. `over` has, for an output that is written over an input,
    that input.
    """

    buffers: Sequence[Buffer]
    tensors: Mapping[str, int]
    over: Mapping[str, str]


def written_over(op: QOp, kernel: str, source: str) -> int | None:
    """Bytes from the start of `op`'s output to the start of its input `source`, if it may be written over it."""
    if isinstance(op, QAdd) and kernel in _ADDS:
        return 0  # each element is read before it is written
    if isinstance(op, QMaxPool2d | QAvgPool2d) and kernel in _POOLS and _pools_in_place(op.dims):
        return 0
    if isinstance(op, QConcat) and kernel in _CONCATENATIONS and op.parts[-1].name == source:
        # The kernel moves the last part first, forwards: to addresses at or before those that it reads.
        head = op.output.size - op.parts[-1].size
        alone = all(part.name != source for part in op.parts[:-1])
        return head if alone and head % ALIGNMENT == 0 else None
    return None


def _pools_in_place(dims: ConvDims) -> bool:
    """Whether no window reads what an earlier one has written, if the output starts where the input does.

    Pixel n of the output has the bytes of pixel n of the input. The kernels finish a group of channels before they
    write it, so that the window of output n may itself read pixel n; later windows may not.
    """
    rows, columns = (_first_valid(dims, axis) for axis in (0, 1))
    lowest = (rows[:, None] * dims.input[1] + columns[None]).reshape(-1)
    later = np.minimum.accumulate(lowest[::-1])[::-1]  # the lowest pixel that window n or a later one reads
    return bool((later[1:] > np.arange(len(later) - 1)).all())


def _first_valid(dims: ConvDims, axis: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The first coordinate in the input that each window reads along one axis."""
    starts = np.arange(dims.output[axis]) * dims.stride[axis] - dims.padding[axis]
    skipped = np.maximum(-(starts // dims.dilation[axis]), 0)
    first: np.ndarray[tuple[int], np.dtype[np.int64]] = starts + skipped * dims.dilation[axis]
    return first


def share(graph: QGraph, kernels: Sequence[str], joined: Mapping[str, Joined] | None = None) -> Sharing:
    """Lifetimes of the input and of all tensors between operators, and which of them share bytes.

    The input is never written over: the caller may have it anywhere. The output is the caller's. `kernels` has one name
    per operator; an empty one takes nothing in place. The tensors in `joined` are in the buffer of their concatenation,
    which is there from the first of them on.
    """
    if not graph.ops:
        return Sharing([], {}, {})
    joined = joined or {}
    sizes = {op.output.name: op.output.size for op in graph.ops}
    lives = _lifetimes(graph)
    buffers = [Buffer(graph.input.name, graph.input.size, *lives[graph.input.name])]
    tensors = {graph.input.name: 0}
    over: dict[str, str] = {}
    for step, (op, kernel) in enumerate(zip(graph.ops, kernels, strict=True)):
        name = op.output.name
        if name == graph.output.name or name in tensors:
            continue
        if name in joined:
            whole = joined[name].into
            if whole not in tensors:
                tensors[whole] = len(buffers)
                buffers.append(Buffer(whole, sizes[whole], step, lives[whole][1]))
            tensors[name] = tensors[whole]
            continue
        own = Buffer(name, op.output.size, *lives[name])
        inputs = [s.name for s in op.inputs if s.name in tensors and s.name not in (graph.input.name, *joined)]
        for source in (s for s in inputs if lives[s][1] == step < own.last):
            before, distance = buffers[tensors[source]], written_over(op, kernel, source)
            if distance is None or _collides(buffers, before, own, distance, step):
                continue
            before = replace(before, block=before.block or source)
            buffers[tensors[source]] = before
            own = replace(own, first=step + 1, block=before.block, at=before.at - distance)
            if distance:  # the head of a concatenation is written while its last part is read
                buffers.append(replace(own, name=f"{name}, head", size=distance, first=step, last=step))
            over[name] = source
            break
        tensors[name] = len(buffers)
        buffers.append(own)
    return Sharing(buffers, tensors, over)


def _collides(buffers: Sequence[Buffer], source: Buffer, own: Buffer, distance: int, step: int) -> bool:
    """Whether an output that is placed by `source` would meet another buffer of its block."""
    low = source.at - distance
    if own.size > aligned(source.size) + distance:
        return True
    return any(
        other.last >= step and other.at < low + aligned(own.size) and low < other.at + aligned(other.size)
        for other in buffers
        if other.block and other.block == source.block and other is not source
    )


def _lifetimes(graph: QGraph) -> dict[str, tuple[int, int]]:
    """(step that writes it, last step that reads it) of every tensor; the input is there from the start."""
    lives = {graph.input.name: (0, 0)} | {op.output.name: (i, i) for i, op in enumerate(graph.ops)}
    for i, op in enumerate(graph.ops):
        for source in op.inputs:
            lives[source.name] = (lives[source.name][0], i)
    return lives
