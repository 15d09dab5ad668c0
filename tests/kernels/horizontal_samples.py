"""Random horizontal reuse operators, for tests of their kernel."""

from __future__ import annotations

import numpy as np
from reuse_samples import ORDERS, ROW_ORDERS, column_order, random_hash, random_window, row_positions, tensor

from ostinato.quant.arithmetic import quantize_multiplier
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.ops import ConvDims


def make_horizontal(
    rng: np.random.Generator,
    dims: ConvDims,
    panel_rows: int,
    length: int,
    hashes: int,
    order: str = "kh.kw.c",
    *,
    row_order: str = "b.oh.ow",
    slots: int = 255,
    tree: bool | None = None,
    bits: int | None = None,
) -> QReuseHorizontal:
    """Outputs spread over int8; as many centroid bits as int32 permits unless `bits` are given."""
    channels, columns = dims.output[2], dims.columns
    zero = int(rng.integers(-128, 128))
    weight = rng.integers(-127, 128, (channels, columns)).astype(np.int8)
    bias = rng.integers(-(1 << 16), 1 << 16, channels)
    if bits is None:
        most = max(127 - zero, zero + 128) * np.abs(weight.astype(int)).sum(axis=1).max() + (1 << 16)
        bits = int(min(7, np.floor(np.log2((2**31 - 1) / most))))
    reals = rng.uniform(0.5, 2.0, channels) * 60 / (np.sqrt(columns) * 70 * 70 * 2**bits)
    pairs = np.array([quantize_multiplier(float(real)) for real in reals], np.int32)
    return QReuseHorizontal(
        name="features.conv",
        input=tensor("x", dims.input, zero),
        output=tensor("y", dims.output, int(rng.integers(-128, 60))),
        dims=dims,
        length=length,
        columns=column_order(dims, order),
        panel_rows=panel_rows,
        rows=row_positions(dims, row_order),
        hash=random_hash(rng, 1, hashes, panel_rows * length, zero, tree),
        slots=slots,
        weight=weight,
        bias=bias.astype(np.int32),
        multiplier=pairs[:, 0].copy(),
        shift=pairs[:, 1].copy(),
        centroid_bits=bits,
    )


def random_horizontal(rng: np.random.Generator) -> QReuseHorizontal:
    """Any order, panel, length and number of hashes."""
    while True:
        dims = random_window(rng, int(rng.integers(1, 34)), int(rng.integers(1, 23)))
        if dims.columns > 1:
            break
    panel_rows = int(rng.integers(1, min(dims.positions, 12) + 1))
    length = int(rng.integers(1, min(dims.columns // 2, 40) + 1)) if rng.random() < 0.7 else 1
    hashes = int(rng.integers(1, 17)) if rng.random() < 0.5 else int(rng.integers(1, 9))
    return make_horizontal(
        rng, dims, panel_rows, length, hashes, str(rng.choice(ORDERS)), row_order=str(rng.choice(ROW_ORDERS)),
        slots=int(rng.integers(1, 40)) if rng.random() < 0.4 else 255, tree=None if hashes <= 8 else False,
    )  # fmt: skip


def horizontal_corners() -> list[QReuseHorizontal]:
    """Clusters of more than 255 units, sums that are flushed, panels of one row and of all, ragged ends."""
    rng = np.random.default_rng(7)
    wide, one = ConvDims((3, 3, 150), (2, 2, 6), (2, 2)), ConvDims((1, 2, 2), (1, 1, 1), (1, 2))
    ops = [
        make_horizontal(rng, wide, 2, 1, 1, tree=False),  # 600 units of a column, in two clusters
        make_horizontal(rng, wide, 4, 1, 16, tree=False, slots=255),
        make_horizontal(rng, wide, 3, 7, 3, tree=False),  # a panel of one row at the end, five columns left
        make_horizontal(rng, wide, 1, 300, 2, tree=False),
        make_horizontal(rng, one, 1, 2, 8, tree=False),
        make_horizontal(rng, one, 1, 1, 5, tree=False, slots=1),
    ]
    for length in (1, 2, 3, 4, 5):
        for panel_rows in (1, 2, 3, 5, 25):
            dims = ConvDims((7, 7, 3), (5, 5, 5), (3, 3))
            ops.append(make_horizontal(rng, dims, panel_rows, length, 4, "c.kh.kw", slots=6))
    return ops
