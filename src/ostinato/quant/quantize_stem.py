"""A transform-coded stem as integers: its transform already is, its table is rounded."""

from __future__ import annotations

import math

import numpy as np

from ostinato.errors import QuantizationError
from ostinato.quant.graph import FloatStem
from ostinato.quant.ops import ConvDims, QTensor
from ostinato.quant.quantize_table import quantize_table
from ostinato.quant.stem_layer import StemStatistics
from ostinato.quant.stem_ops import QStem
from ostinato.reuse.stem import PIXEL_STEPS, vertical_taps


def quantize_stem(op: FloatStem, dims: ConvDims, source: QTensor, target: QTensor, statistics: StemStatistics) -> QStem:
    """`QStem` with the very integers that the float layer computes its ids by.

    Raises:
        QuantizationError: an input whose int8 values are other pixels than those, or sums that int32 cannot hold.
    """
    if not math.isclose(source.scale, 1 / PIXEL_STEPS, rel_tol=1e-6) or source.zero_point != 0:
        raise QuantizationError(
            f"layer '{op.name}': the input has scale {source.scale:.6g} and zero point {source.zero_point}, but a "
            f"transform-coded stem is fitted to pixels of scale 1/{PIXEL_STEPS} and zero point 0; pass "
            f"input_scale=1/{PIXEL_STEPS} and input_zero_point=0, or a data set, to deploy"
        )
    t = op.transform
    pairs = [(int(c), int(v)) for c, v, _ in t.axes.tolist()]
    kept = [k for k in range(len(pairs)) if bool(t.maps[k].any())]  # the others add nothing to any id
    order = sorted(kept, key=lambda k: pairs[k])
    if not order:
        raise QuantizationError(f"layer '{op.name}': all ids are 0 whatever the image; calibrate it on real images")
    planes = sorted({pairs[k] for k in order})
    groups = t.groups.numpy()[order]
    real = op.weight.permute(1, 2, 0).numpy() / target.scale
    used = sorted(set(groups.tolist()))
    constant = np.delete(real, used, axis=0)[:, 0].sum(axis=0)  # rows of groups without coefficients: id 0
    made = quantize_table(
        op.name, real[used], op.bias.numpy() / target.scale + constant, target.zero_point,
        statistics.ids.numpy()[:, used], "use fewer groups", fewest_bits=0,
    )  # fmt: skip
    return QStem(
        name=op.name, input=source, output=target, dims=dims,
        rotation=t.rotation.numpy().astype(np.int8),
        channels=np.array([c for c, _ in planes], np.int32),
        vertical=vertical_taps(op.geometry.kernel_size[0]).numpy().astype(np.int16)[[v for _, v in planes]],
        planes=np.array([planes.index(pairs[k]) for k in order], np.int32),
        horizontal=t.horizontal.numpy()[order].astype(np.int16),
        centre=t.offset.numpy()[order].astype(np.int32),
        maps=t.maps.numpy()[order].astype(np.uint8),
        groups=np.array([used.index(g) for g in groups.tolist()], np.int32),
        table=made.table, offset=made.offset, fraction_bits=made.bits,
    )  # fmt: skip
