"""`QReuseHorizontal` bound to `ost_reuse_horizontal_s8`: constants packed, slots chosen, scratch told."""

from __future__ import annotations

import numpy as np

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.binding import ArrayRef, Binding, Phase
from ostinato.kernels.conventional import window_params
from ostinato.kernels.reuse_checks import check_hashes, check_window
from ostinato.kernels.reuse_image import MOST_HASHES
from ostinato.kernels.reuse_image_memory import place_ids
from ostinato.kernels.reuse_layout import (
    SHARED_PHASES,
    SHARED_SOURCES,
    column_addresses,
    pack_hash,
    round_up,
    scratch_size,
    sram_note,
    words,
)
from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN, IntArray
from ostinato.quant.horizontal_ops import QReuseHorizontal

_UNITS = 16
"""Units that are gathered together."""
_MOST = (1 << 16) - 1

_FILES = ("horizontal_s8.c", "panels_cluster.c", "panels_multiply.c", "slots.c")
SOURCES = (*SHARED_SOURCES, *(f"reuse/ost_reuse_{name}" for name in _FILES))

PHASES: dict[str, Phase] = {
    **SHARED_PHASES,
    "ost_reuse_panel_corners": "transformation",
    "ost_reuse_panel_span": "transformation",
    "ost_reuse_panel_units": "transformation",
    "ost_reuse_panel_values": "transformation",
    "ost_reuse_lay_out_panel": "clustering",
    "ost_reuse_cluster_panel": "clustering",
    "ost_reuse_panel_slots": "clustering",
    "ost_reuse_panel_order": "clustering",
    "ost_reuse_panel_centroids": "clustering",
    "ost_reuse_clear_slots": "clustering",
    "ost_reuse_find_slots": "clustering",
    "ost_reuse_sum_weights": "gemm",
    "ost_reuse_add_products": "gemm",
    "ost_reuse_add_clusters": "gemm",
    "ost_reuse_multiply_panel": "gemm",
    "ost_reuse_finish_panel": "recovering",
}


def bind_reuse_horizontal(op: QReuseHorizontal) -> Binding:
    """A reuse convolution in image scope, horizontal direction.

    Raises:
        UnsupportedError: H > 16, more than 65,535 columns or output positions, more than 255 clusters a panel, or a
            window that leaves the padded input.
        QuantizationError: an int32 sum could overflow.
    """
    check_hashes(op.name, op.hash, "horizontal", MOST_HASHES, "use fewer hashes")
    check_window(op.name, op.dims)
    _check(op)
    ids, slots = 1 << op.hash.hashes, _slots(op)
    channels = round_up(op.dims.output[2], 4)
    scratch_bytes = _scratch_bytes(op)
    few = "" if slots == ids else f"{slots} clusters a panel for {ids:,} ids"
    pad = (0, channels - op.dims.output[2])
    return Binding(
        kernel="reuse_horizontal_s8",
        params_type="ost_reuse_horizontal_s8_params",
        params={
            "window": window_params(op.dims),
            "input_zero_point": int(op.input.zero_point),
            "panel_rows": int(op.panel_rows),
            "length": int(op.length),
            "columns": ArrayRef("columns"),
            "rows": ArrayRef("rows"),
            "hash": {
                "hashes": op.hash.hashes,
                "tree": int(op.hash.tree),
                "words": _words(op),
                "offsets": ArrayRef("hash_offsets"),
                "vectors": ArrayRef("hash_vectors"),
            },
            "slots": slots,
            "weights": ArrayRef("weights"),
            "bias": ArrayRef("bias"),
            "output": {
                "multiplier": ArrayRef("multiplier"),
                "shift": ArrayRef("shift"),
                "zero_point": int(op.output.zero_point),
                "activation_min": INT8_MIN,
                "activation_max": INT8_MAX,
            },
            "centroid_bits": int(op.centroid_bits),
        },
        arrays={
            **pack_hash(op.name, op.hash, [op.panel_rows * op.length], (0,)),
            "columns": column_addresses(op.dims, op.columns).astype(np.int32),
            "rows": (np.zeros(0) if op.rows is None else op.rows).astype(np.uint16),
            "weights": _pack_weights(op),
            "bias": np.pad(op.bias, pad).astype(np.int32),
            "multiplier": op.multiplier.astype(np.int32),
            "shift": op.shift.astype(np.int32),
        },
        scratch_bytes=scratch_bytes,
        sources=SOURCES,
        phases=PHASES,
        note="; ".join(filter(None, (few, sram_note(op.dims, scratch_bytes)))),
        counts="units that found no slot" if slots < min(ids, op.units) else "",
    )


def _slots(op: QReuseHorizontal) -> int:
    return place_ids(op.name, op.hash.hashes, op.slots, op.units, "panel")


def _words(op: QReuseHorizontal) -> int:
    return words(op.panel_rows * op.length)


def _check(op: QReuseHorizontal) -> None:
    for count, what in ((op.dims.positions, "output positions"), (op.dims.columns, "columns")):
        if count > _MOST:
            raise UnsupportedError(f"Layer {op.name}: {count} {what}; the horizontal kernel counts up to {_MOST}.")
    reach = max(INT8_MAX - op.input.zero_point, op.input.zero_point - INT8_MIN) << op.centroid_bits
    largest = reach * np.abs(op.weight.astype(np.int64)).sum(axis=1) + np.abs(op.bias.astype(np.int64))
    largest = largest * 2 ** np.maximum(op.shift.astype(np.int64), 0)
    if largest.max() >= 1 << 31 or not 0 <= op.centroid_bits <= 7:
        raise QuantizationError(
            f"Layer {op.name}: with {op.centroid_bits} centroid bits (of 0 to 7) a sum could reach "
            f"{int(largest.max())}, beyond int32; use fewer."
        )


def _pack_weights(op: QReuseHorizontal) -> IntArray:
    """(ceil(M / 4), K, 4) int8."""
    padded = np.pad(op.weight, ((0, -len(op.weight) % 4), (0, 0)))
    packed: IntArray = np.ascontiguousarray(padded.reshape(-1, 4, op.dims.columns).transpose(0, 2, 1)).astype(np.int8)
    return packed


def _rows_reached(op: QReuseHorizontal) -> int:
    """Rows of the padded input that the windows of any panel reach."""
    positions = np.arange(op.dims.positions) if op.rows is None else op.rows
    rows = positions // op.dims.output[1]
    spans = [int(np.ptp(rows[first : first + op.panel_rows])) for first in range(0, len(rows), op.panel_rows)]
    return max(spans) * op.dims.stride[0] + (op.dims.kernel[0] - 1) * op.dims.dilation[0] + 1


def _scratch_bytes(op: QReuseHorizontal) -> int:
    """The parts that `ost_reuse_lay_out_panel` takes."""
    (_, width, depth), (ph, pw), rows = op.dims.input, op.dims.padding, op.panel_rows
    slots = _slots(op)
    hashed = slots < 1 << op.hash.hashes
    places = 1 << max(1, (2 * slots - 1).bit_length()) if hashed else 0
    return scratch_size(
        4,
        _rows_reached(op) * (width + 2 * pw) * depth if ph or pw else 0,
        rows * 4,
        _UNITS * 4 * _words(op),
        _UNITS * 2 if hashed else 0,
        op.units,
        op.units * 2,
        (slots + 1) * 2,
        (slots * op.length + 1) // 2 * rows * 4,
        rows * 4,
        rows * 16,
        places * 2,
        places,
    )
