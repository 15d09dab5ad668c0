"""Layers that do the max-pool behind them on rows of their outputs, as many of which are held as a window has."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ostinato.errors import UnsupportedError
from ostinato.kernels.binding import Binding, Phase
from ostinato.kernels.conventional import bind_conv, window_params
from ostinato.kernels.conventional_packing import round_up
from ostinato.kernels.pools import MAX_POOL_SOURCES, POOL_PHASES
from ostinato.quant.ops import ConvDims, QConv2d

_DIR = "conventional"
_CALLED: dict[str, Phase] = {"ost_max_pool_s8": "other"}


def bind_conv_pooled(op: QConv2d, kernel: Literal["cmsis", "dense"], pool: ConvDims) -> Binding:
    """A convolution and the max-pool behind it (`QPooled`), without the outputs that no window reads.

    Raises:
        UnsupportedError: a convolution in groups, and as `bind_conv`.
        QuantizationError: see `bind_conv`.
    """
    if op.groups != 1:
        raise UnsupportedError(f"Layer {op.name}: no kernel runs a convolution in {op.groups} groups and its pooling.")
    height, width = read_part(pool)
    output, channels = (height, width, op.dims.output[2]), pool.input[2]
    layer = bind_conv(replace(op, dims=replace(op.dims, output=output)), kernel)
    return with_pool(layer, replace(pool, input=(height, width, channels)), f"{layer.kernel}_pooled", _DIR)


def with_pool(layer: Binding, pool: ConvDims, kernel: str, folder: str) -> Binding:
    """`layer` as `kernel`, which has its parameters and those of the pooling, and rows of outputs in its scratch."""
    return replace(
        layer,
        kernel=kernel,
        params_type=f"ost_{kernel}_params",
        params={"layer": layer.params, "pool": window_params(pool)},
        scratch_bytes=round_up(layer.scratch_bytes, 8) + held_bytes(pool),
        sources=(*layer.sources, f"{folder}/ost_{kernel}.c", *MAX_POOL_SOURCES),
        phases={**layer.phases, **POOL_PHASES, **_CALLED, f"ost_{layer.kernel}_scratch_bytes": "other"},
        strided=False,
    )


def held_bytes(pool: ConvDims) -> int:
    """Of the rows that are held: `ost_pool_rows_bytes`."""
    height, width, channels = pool.input
    return round_up(min(pool.kernel[0], height) * width * channels, 8)


def read_part(pool: ConvDims) -> tuple[int, int]:
    """Rows and columns of its input up to the last one that a window reads."""
    height, width = (
        min(pool.input[axis], (pool.output[axis] - 1) * pool.stride[axis] - pool.padding[axis] + reach)
        for axis, reach in enumerate((k - 1) * d + 1 for k, d in zip(pool.kernel, pool.dilation, strict=True))
    )
    return height, width
