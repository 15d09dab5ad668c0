"""Which layer is the first to differ: every execution of a network against the integer executor and the float model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ostinato.firmware.verification import Difference, LayerVerification, VerificationReport
from ostinato.kernels.binding import Binding
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.layer_errors import LayerErrors
from ostinato.quant.ops import QGraph, QOp
from ostinato.quant.reference import execute

Trace = Callable[[Int8Array], tuple[Int8Array, Int8Array]]
"""Of one image: the output, and the outputs of all layers one after another."""


class BitMismatchError(RuntimeError):
    """Two executions of a network differ: a bug of ours, never the user's mistake.

    Attributes:
        report: every layer, with what differs in it.
    """

    def __init__(self, report: VerificationReport) -> None:
        super().__init__(str(report.first_difference))
        self.report = report


def verify(
    graph: QGraph,
    bindings: Sequence[Binding],
    images: Int8Array,
    executions: Mapping[str, Trace],
    errors: LayerErrors | None = None,
) -> VerificationReport:
    """Compare every execution with the reference executor on firmware inputs (N, H, W, C), bit for bit.

    Args:
        graph: the network.
        bindings: its kernels, one per operator.
        images: what is run.
        executions: name → what runs one image.
        errors: where the float model is to be compared, too.
    """
    reports = [
        LayerVerification(op.name, type(op).__name__, binding.kernel or "none", elements=op.output.size)
        for op, binding in zip(graph.ops, bindings, strict=True)
    ]
    first: Difference | None = None
    for number, image in enumerate(images):
        tensors = execute(graph, image)
        if errors is not None:
            errors.see(tensors)
        for name, trace in executions.items():
            found = list(_differences(graph, tensors, *trace(image), name, number))
            for i, difference in found:
                reports[i] = reports[i].with_difference(difference)
            first = _earlier(graph, first, found[0][1] if found else None)
    if errors is not None:
        noise = errors.decibels()
        reports = [
            replace(r, snr_db=noise[r.name].total, own_snr_db=noise[r.name].own) if r.name in noise else r
            for r in reports
        ]
    return VerificationReport(graph.name, len(images), ("integer executor", *executions), tuple(reports), first)


def _differences(
    graph: QGraph,
    tensors: Mapping[str, Int8Array],
    output: Int8Array,
    outputs: Int8Array,
    execution: str,
    image: int,
) -> Iterable[tuple[int, Difference]]:
    """(operator, where it differs) of every operator of one image that differs."""
    start = 0
    for i, op in enumerate(graph.ops):
        found = outputs[start : start + op.output.size]
        start += op.output.size
        if op.output.name == graph.output.name:
            found = output.reshape(-1)  # what the caller gets
        expected = tensors[op.output.name].reshape(-1)
        if not np.array_equal(found, expected):
            yield i, _difference(op, expected, found, execution, image)


def _difference(op: QOp, expected: Int8Array, found: Int8Array, execution: str, image: int) -> Difference:
    apart: npt.NDArray[np.int64] = np.abs(found.astype(np.int64) - expected.astype(np.int64))
    at = int(apart.argmax())
    return Difference(
        layer=op.name,
        operator=type(op).__name__,
        execution=execution,
        image=image,
        count=int((apart > 0).sum()),
        elements=op.output.size,
        position=tuple(int(n) for n in np.unravel_index(at, op.output.shape)),
        expected=int(expected[at]),
        found=int(found[at]),
    )


def _earlier(graph: QGraph, one: Difference | None, other: Difference | None) -> Difference | None:
    """The one in the earlier layer; of the same layer, the one that was found first."""
    if one is None or other is None:
        return one or other
    order = [op.name for op in graph.ops]
    return other if order.index(other.layer) < order.index(one.layer) else one
