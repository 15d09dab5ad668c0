"""`QReuseHorizontal` bound to `ost_reuse_horizontal_s8`: constants packed, slots chosen, scratch told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.binding import ArrayRef, Binding, Phase
from ostinato.kernels.conventional import check_window, window_params
from ostinato.kernels.reuse_checks import check_hashes
from ostinato.kernels.reuse_image import MOST_HASHES
from ostinato.kernels.reuse_image_memory import place_ids
from ostinato.kernels.reuse_layout import (
    SHARED_PHASES,
    SHARED_SOURCES,
    column_addresses,
    most_scratch,
    pack_hash,
    round_up,
    scratch_size,
    sram_note,
    times_conventional,
    words,
)
from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN, IntArray
from ostinato.quant.horizontal_ops import QReuseHorizontal

_UNITS = 16
"""Units that are gathered together."""
_MOST = (1 << 16) - 1

# Cycles of a Cortex-M4, about.
_READ, _COLUMN = 25, 60
"""Of a value that is read with its padding filled in, and of a column of them."""
_PLACE, _GO, _PAIR = 12, 300, 80
"""Of a row that is placed; of units that are hashed together; of two columns of a product for four channels."""

_FILES = ("horizontal_s8.c", "panels_cluster.c", "panels_fill.c", "panels_multiply.c", "slots.c")
SOURCES = (*SHARED_SOURCES, *(f"reuse/ost_reuse_{name}" for name in _FILES))

PHASES: dict[str, Phase] = {
    **SHARED_PHASES,
    "ost_reuse_panel_corners": "transformation",
    "ost_reuse_panel_span": "transformation",
    "ost_reuse_panel_units": "transformation",
    "ost_reuse_panel_values": "transformation",
    "ost_reuse_place_rows": "transformation",
    "ost_reuse_take_rows": "transformation",
    "ost_reuse_read_column": "transformation",
    "ost_reuse_fill_units": "transformation",
    "ost_reuse_lay_out_panel": "clustering",
    "ost_reuse_cluster_panel": "clustering",
    "ost_reuse_panel_slots": "clustering",
    "ost_reuse_panel_order": "clustering",
    "ost_reuse_panel_centroids": "clustering",
    "ost_reuse_fill_centroid": "clustering",
    "ost_reuse_clear_slots": "clustering",
    "ost_reuse_find_slots": "clustering",
    "ost_reuse_sum_weights": "gemm",
    "ost_reuse_add_products": "gemm",
    "ost_reuse_add_clusters": "gemm",
    "ost_reuse_multiply_panel": "gemm",
    "ost_reuse_finish_panel": "recovering",
}


@dataclass(frozen=True)
class PanelForm:
    """What of a panel is in SRAM at a time."""

    rows: int
    """That are multiplied together."""
    units: int
    """That are gathered and hashed together."""
    compact: bool
    """Columns are read with their padding filled in; otherwise there is a copy of the rows that windows reach."""


def bind_reuse_horizontal(op: QReuseHorizontal, form: PanelForm | None = None) -> Binding:
    """A reuse convolution in image scope, horizontal direction.

    Args:
        op: the layer.
        form: what is held; None: `choose_form`.

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
    form = form or choose_form(op)
    scratch_bytes = panel_scratch_bytes(op, form)
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
            "rows_together": form.rows,
            "units_together": form.units,
            "compact": int(form.compact),
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
        note="; ".join(filter(None, (few, _form_note(op, form), sram_note(op.dims, scratch_bytes)))),
        counts="units that found no slot" if slots < min(ids, op.units) else "",
    )


def choose_form(op: QReuseHorizontal) -> PanelForm:
    """The fastest, by estimate, within 1.3 times the conventional layer's SRAM, or the smallest.

    Outputs are the same bits.
    """
    whole = whole_panels(op)
    parts = range(1, op.panel_rows + 1)
    forms = [whole] + [
        PanelForm(rows, units, compact)
        for rows in sorted({-(-op.panel_rows // count) for count in parts}, reverse=True)
        for units in (16, 8, 4, 2, 1)
        for compact in (False, True)
    ]
    need = {form: panel_scratch_bytes(op, form) for form in forms}
    fitting = [form for form in forms if need[form] <= most_scratch(op.dims)]
    if whole in fitting:
        return whole
    return min(fitting, key=lambda form: _cycles(op, form)) if fitting else min(forms, key=need.__getitem__)


def _cycles(op: QReuseHorizontal, form: PanelForm) -> int:
    """About what a panel costs beyond what it does in all forms, in cycles of a Cortex-M4."""
    parts, goes = -(-op.panel_rows // form.rows), -(-op.units // form.units)
    reading = 2 * op.dims.columns * (_READ * op.panel_rows + _COLUMN) if form.compact else 0
    placing = _PLACE * op.panel_rows * goes if form.compact and parts > 1 else 0
    hashing = op.units * (op.hash.hashes * op.panel_rows * op.length * 3 // 5 if form.units == 1 else 0) + _GO * goes
    weights = parts * -(-op.dims.output[2] // 4) * (2 * op.dims.columns + _PAIR * _slots(op) * op.length // 2)
    return reading + placing + hashing + weights


def whole_panels(op: QReuseHorizontal) -> PanelForm:
    """All rows of a panel at a time."""
    return PanelForm(op.panel_rows, _UNITS, compact=False)


def _form_note(op: QReuseHorizontal, form: PanelForm) -> str:
    whole = whole_panels(op)
    if form == whole:
        return ""
    ratio = times_conventional(op.dims, panel_scratch_bytes(op, whole))
    made = [f"{form.rows} of {op.panel_rows} rows"] if form.rows < op.panel_rows else []
    made += [f"{form.units} units"] if form.units < whole.units else []
    filled = ", padding filled in" if form.compact else ""
    return (
        f"{' and '.join(made or ['columns'])} at a time{filled}, for whole panels would need {ratio:.2f} times the "
        "conventional layer's SRAM"
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


def panel_scratch_bytes(op: QReuseHorizontal, form: PanelForm) -> int:
    """The parts that `ost_reuse_lay_out_panel` takes."""
    (_, width, depth), (ph, pw), rows = op.dims.input, op.dims.padding, form.rows
    slots = _slots(op)
    hashed = slots < 1 << op.hash.hashes
    places = 1 << max(1, (2 * slots - 1).bit_length()) if hashed else 0
    return scratch_size(
        4,
        _rows_reached(op) * (width + 2 * pw) * depth if (ph or pw) and not form.compact else 0,
        (rows if form.compact else op.panel_rows) * 4,
        rows * 4 if form.compact else 0,
        rows if form.compact else 0,
        form.units * 4 * _words(op),
        form.units * 2 if hashed else 0,
        op.units,
        op.units * 2,
        (slots + 1) * 2,
        (slots * op.length + 1) // 2 * rows * 4,
        rows * 4,
        rows * 16,
        places * 2,
        places,
    )
