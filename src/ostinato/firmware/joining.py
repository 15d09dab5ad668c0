"""Concatenations whose parts are written where they belong: kernels that can write with a stride need no copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ostinato.kernels.binding import Binding
from ostinato.kernels.joins import bind_concat
from ostinato.quant.ops import QConcat, QGraph


@dataclass(frozen=True)
class Joined:
    """Where a tensor lies in the concatenation that it is a part of."""

    into: str
    """The concatenation's output."""
    first: int
    """Its first channel there."""
    stride: int
    """Channels of the concatenation."""


def join(graph: QGraph, bindings: Sequence[Binding]) -> tuple[tuple[Binding, ...], dict[str, Joined]]:
    """The bindings with strides, and by name the tensors that are written into a concatenation.

    A part is, if its kernel can, nothing else reads it, and it occurs once; not where the concatenation is the
    network's output. The concatenation's kernel copies the other parts; if there are none it has nothing to run.
    """
    makers = {op.output.name: index for index, op in enumerate(graph.ops)}
    readers = [source.name for op in graph.ops for source in op.inputs]
    found = list(bindings)
    places: dict[str, Joined] = {}
    for index, op in enumerate(graph.ops):
        if not isinstance(op, QConcat) or op.output.name == graph.output.name:
            continue
        stride, first, there = op.output.shape[-1], 0, []
        for part in op.parts:
            maker = makers.get(part.name)
            there.append(maker is not None and bindings[maker].strided and readers.count(part.name) == 1)
            if maker is not None and there[-1]:
                places[part.name] = Joined(op.output.name, first, stride)
                found[maker] = with_stride(found[maker], stride)
            first += part.size // (op.output.size // stride)
        if any(there):
            found[index] = bind_concat(op, there)
    return tuple(found), places


def with_stride(binding: Binding, stride: int) -> Binding:
    """Writing every pixel's channels `stride` bytes behind the pixel before."""
    return replace(binding, params={**binding.params, "out_stride": stride})


def runs(places: Mapping[str, Joined], name: str, size: int, channels: int) -> tuple[int, int]:
    """(bytes that lie together, bytes from one such run to the next) of a tensor."""
    return (channels, places[name].stride) if name in places else (size, size)
