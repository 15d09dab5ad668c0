"""Softmax at the end of a network: int8 logits to int8 probabilities."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ostinato.errors import QuantizationError
from ostinato.quant.arithmetic import IntArray
from ostinato.quant.ops import QGraph, QTensor, QUnaryOp

SCALE, ZERO_POINT = 1 / 256, -128
"""Of probabilities in int8, as TensorFlow Lite has them: −128 is 0, 127 is 255/256."""

_ONE = (1 << 16) - 1
"""Of the table: exp(0)."""
MOST_CLASSES = 1 << 15
"""With so many, the sum of the table's entries is below 2^31."""


@dataclass(frozen=True, kw_only=True)
class QSoftmax(QUnaryOp):
    """p = softmax over all elements, exact to the table's rounding.

    e_i = table[max q − q_i];  out_i = min(127, ⌊(256 · e_i + ⌊Σ e / 2⌋) / Σ e⌋ − 128)

    table[d] = round((2^16 − 1) · exp(−scale · d)), d from 0 to 255.
    """

    table: IntArray  # (256,) uint16


def with_softmax(graph: QGraph) -> QGraph:
    """The network with its outputs turned into probabilities (scale 1/256, zero point −128).

    Raises:
        QuantizationError: the output is a map, or has more than 32,768 values.
    """
    logits = graph.output
    if logits.size != logits.shape[-1] or logits.size > MOST_CLASSES:
        raise QuantizationError(
            f"softmax needs one vector of up to {MOST_CLASSES:,} outputs; the network's output has shape {logits.shape}"
        )
    names = {op.name for op in graph.ops}
    name = next(n for n in ("softmax", *(f"softmax_{i}" for i in range(len(names) + 1))) if n not in names)
    table = np.rint(_ONE * np.exp(-logits.scale * np.arange(256))).astype(np.uint16)
    output = QTensor(name, logits.shape, SCALE, ZERO_POINT)
    softmax = QSoftmax(name=name, input=logits, output=output, table=table)
    return replace(graph, output=output, ops=(*graph.ops, softmax))
