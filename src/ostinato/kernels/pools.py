"""Maximum and average poolings bound to their kernels."""

from __future__ import annotations

import numpy as np

from ostinato.errors import UnsupportedError
from ostinato.kernels.binding import Binding, Phase
from ostinato.kernels.conventional import check_window, window_params
from ostinato.quant.ops import QAvgPool2d, QMaxPool2d

_DIR = "conventional"
MAX_POOL_SOURCES = (f"{_DIR}/ost_max_pool_s8.c", f"{_DIR}/ost_max_pool_s8_columns.S")
POOL_PHASES: dict[str, Phase] = {
    f"ost_{kernel}_{part}": "other"
    for kernel in ("max_pool_s8", "avg_pool_s8")
    for part in ("windows", "shared", "together", "columns", "squares")
}


def bind_max_pool(op: QMaxPool2d) -> Binding:
    """Maximum pooling.

    Raises:
        UnsupportedError: the window leaves the padded input, or the channels change.
    """
    return _bind_pool("max_pool_s8", op)


def bind_avg_pool(op: QAvgPool2d) -> Binding:
    """Average pooling.

    Raises:
        UnsupportedError: the window leaves the padded input, the channels change, or a window is padding only.
    """
    dims = op.dims
    for axis, size in enumerate(dims.input[:2]):
        starts = np.arange(dims.output[axis]) * dims.stride[axis] - dims.padding[axis]
        taps = starts[:, None] + np.arange(dims.kernel[axis]) * dims.dilation[axis]
        if not np.all(np.any((taps >= 0) & (taps < size), axis=1)):
            raise UnsupportedError(
                f"Layer {op.name}: an average pooling window of {dims.kernel} with padding {dims.padding} holds "
                "padding only; use less padding."
            )
    return _bind_pool("avg_pool_s8", op)


def _bind_pool(kernel: str, op: QMaxPool2d | QAvgPool2d) -> Binding:
    check_window(op.name, op.dims)
    if op.dims.input[2] != op.dims.output[2]:
        raise UnsupportedError(
            f"Layer {op.name}: pooling cannot turn {op.dims.input[2]} channels into {op.dims.output[2]}."
        )
    return Binding(
        kernel=kernel,
        params_type="ost_pool_s8_params",
        params={"window": window_params(op.dims)},
        arrays={},
        scratch_bytes=0,
        sources=MAX_POOL_SOURCES if kernel == "max_pool_s8" else (f"{_DIR}/ost_{kernel}.c",),
        phases=POOL_PHASES,
    )
