"""One layer as the code generator sees it: operator, kernel, C names and its place in the arena."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.firmware.choice import Choice
from ostinato.firmware.codegen.names import unique_identifiers
from ostinato.firmware.external import bytes_outside, staged_offset
from ostinato.firmware.joining import runs
from ostinato.firmware.memory import Plan
from ostinato.kernels.binding import Binding
from ostinato.quant.ops import QGraph, QOp


@dataclass(frozen=True)
class Layer:
    """One call of `model_run`."""

    index: int
    identifier: str
    op: QOp
    binding: Binding
    input: str
    """C expression of the input's address, or of the array of all inputs' addresses where there are several."""
    output: str
    """C expression of the output's address."""
    output_offset: int | None
    """Bytes from the start of the arena; None when the network's caller owns the buffer."""
    scratch: tuple[int, int]
    """(offset, bytes) in the arena."""
    run: tuple[int, int]
    """(bytes of the output that lie together, bytes from one such run to the next)."""
    external: tuple[str, ...] = ()
    """The binding's arrays that are in external flash."""
    staged: bool = False
    """Whether those are copied into the arena before the layer runs."""

    @property
    def external_bytes(self) -> int:
        """Of its constants in external flash."""
        return bytes_outside(self.binding, self.external)

    def staged_arrays(self) -> Iterator[tuple[str, int, int]]:
        """(name in the binding, offset in the arena, bytes) of each array that is copied there."""
        for index, name in enumerate(self.external if self.staged else ()):
            offset = self.scratch[0] + staged_offset(self.binding, self.external, index)
            yield name, offset, bytes_outside(self.binding, [name])

    @property
    def flash_bytes(self) -> int:
        """Of its constants in internal flash."""
        return self.binding.flash_bytes - self.external_bytes

    def array_name(self, array: str) -> str:
        """The C name of one of the binding's arrays."""
        return f"{self.identifier}_{array}"

    def arrays(self) -> Iterator[tuple[str, npt.NDArray[Any], bool]]:
        """(C name, data, whether it is in external flash) of each constant array that is not empty."""
        for name, array in self.binding.arrays.items():
            if np.asarray(array).size:
                yield self.array_name(name), np.asarray(array), name in self.external


def build_layers(
    graph: QGraph, bindings: Sequence[Binding], plan: Plan, choices: Sequence[Choice]
) -> tuple[Layer, ...]:
    """The layers of `graph` in execution order; `choices`, if there are any, tell what is in external flash."""

    def address(tensor: str) -> str:
        if tensor == graph.input.name:
            return "input"
        return "output" if tensor == graph.output.name else f"memory + {plan.offsets[tensor]}"

    def argument(op: QOp, binding: Binding) -> str:
        addresses = [address(source.name) for source in op.inputs]
        for index, there in enumerate(binding.there):
            addresses[index] = "NULL" if there else addresses[index]
        return addresses[0] if binding.inputs == 1 else f"(const int8_t *const[]){{{', '.join(addresses)}}}"

    names = unique_identifiers(op.name for op in graph.ops)
    chosen: Sequence[Choice | None] = choices or [None] * len(bindings)
    return tuple(
        Layer(
            index=i,
            identifier=name,
            op=op,
            binding=binding,
            input=argument(op, binding),
            output=address(op.output.name),
            output_offset=plan.offsets.get(op.output.name),
            scratch=scratch,
            run=runs(plan.joined, op.output.name, op.output.size, op.output.shape[-1]),
            external=choice.external if choice else (),
            staged=choice.staged if choice else False,
        )
        for i, (name, op, binding, scratch, choice) in enumerate(
            zip(names, graph.ops, bindings, plan.scratch, chosen, strict=True)
        )
    )
