"""Outputs whose pixels lie apart, as a concatenation's parts do: the kernel leaves alone what lies between."""

from __future__ import annotations

import numpy as np
from host_runner import GUARD

from ostinato.firmware.joining import with_stride
from ostinato.kernels.binding import Binding
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QOp
from ostinato.quant.reference import execute_op


def apart(rng: np.random.Generator, op: QOp, binding: Binding) -> Binding:
    """The binding, half of the time with some bytes between its pixels."""
    if not binding.strided or rng.random() < 0.5:
        return binding
    return with_stride(binding, op.output.shape[-1] + int(rng.choice([1, 4, 16, 51])))


def expected_output(op: QOp, binding: Binding, x: Int8Array) -> Int8Array:
    """From the first byte of the output to its last, with what the runners fill it with in between."""
    values = execute_op(op, x)
    channels = op.output.shape[-1]
    pixels = values.reshape(-1, channels)
    stride = binding.params.get("out_stride", channels)
    full = np.full((len(pixels), stride), GUARD, np.int8)
    full[:, :channels] = pixels
    return full.ravel()[: full.size - (stride - channels)]
