"""Random max-pools behind layers, for tests of kernels that do both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ostinato.quant.ops import ConvDims, QMaxPool2d
from ostinato.quant.pooled_op import PoolableOp, QPooled, can_pool, pooled


def random_pool_behind(rng: np.random.Generator, op: PoolableOp) -> QPooled | None:
    """The layer with a max-pool of any window, stride and padding; None where no kernel does both."""
    kernel, stride = (tuple(int(n) for n in rng.integers(1, 5, 2)) for _ in range(2))
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    return pool_behind(op, (kernel[0], kernel[1]), (stride[0], stride[1]), (padding[0], padding[1]))


def pool_behind(
    op: PoolableOp, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int] = (0, 0)
) -> QPooled | None:
    """The layer with this max-pool; None where there is no window, or no kernel does both."""
    sizes = zip(op.dims.output[:2], padding, kernel, stride, strict=True)
    height, width = ((n + 2 * p - k) // s + 1 for n, p, k, s in sizes)
    if min(height, width) < 1:
        return None
    dims = ConvDims(op.dims.output, (height, width, op.dims.output[2]), kernel, stride, padding)
    target = replace(op.output, name="z", shape=dims.output)
    pool = QMaxPool2d(name="features.pool", input=op.output, output=target, dims=dims)
    return pooled(op, pool) if can_pool(op, pool) else None
