"""`QStem` bound to the stem kernel: taps by slot and alignment, sums proven, code generated for the table's rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.binding import ArrayRef, Binding, Phase
from ostinato.kernels.conventional import check_window, window_params
from ostinato.kernels.pooled import with_pool
from ostinato.kernels.reuse_layout import CHANNEL_ORDER, TILE, scratch_size, sram_note, to_channel_order
from ostinato.kernels.stem_sum import has_generated_form, name_of, sources_of, tile_orders
from ostinato.kernels.table_sums import is_wide, wide_note, wide_offset
from ostinato.quant.arithmetic import INT16_MAX, INT16_MIN, INT32_MAX, IntArray
from ostinato.quant.ops import ConvDims
from ostinato.quant.stem_ops import QStem

MOST_CHANNELS, LONGEST_KERNEL, MOST_HASHES, MOST_ROWS, MOST_OUTPUTS = 4, 16, 8, 16, 2032
SOURCES = tuple(
    f"stem/ost_stem_{name}" for name in ("s8.c", "rotate.c", "columns.c", "columns.S", "map.c", "map_rows.S", "sum.c")
)
_GENERATED_SOURCES = ("stem/ost_stem_sum_asm.h", "reuse/ost_reuse_add_rows_asm.h")

PHASES: dict[str, Phase] = {
    "ost_stem_rotate_row": "transformation",
    "ost_stem_column_row": "transformation",
    "ost_stem_map_row": "clustering",
    "ost_stem_map_each": "clustering",
    **{f"ost_stem_columns_{height}": "transformation" for height in (3, 5)},
    **{f"ost_stem_map_{form}_{words}": "clustering" for form in ("set", "add") for words in (2, 3)},
    "ost_stem_sum_row": "recovering",
    **dict.fromkeys(("ost_stem_output_row", "ost_stem_lay_out", "ost_stem_arguments_are_valid"), "other"),
}

StemForm = Literal["library", "generated"]
"""Whose sums: those of the library, in C, for any layer, or generated code, which is several times faster."""


def bind_stem(op: QStem, form: StemForm | None = None, pool: ConvDims | None = None) -> Binding:
    """A transform-coded stem, and the max-pool behind it.

    Args:
        op: the layer.
        form: None: generated, unless a row of outputs is too wide for its offsets. Where int16 does not hold the sums
            of table rows it is the library's.
        pool: a max-pool of its outputs (`QPooled`): only rows of one of its windows are held.

    Raises:
        UnsupportedError: sizes that the kernel does not have.
        QuantizationError: a sum could overflow, an id could leave its 2^H, or a group has no coefficient.
    """
    _check_sizes(op)
    _check_sums(op)
    _check_ids(op)
    form = form or ("generated" if has_generated_form(op) else "library")
    library = _bind(op) if pool is None else with_pool(_bind(op), pool, "stem_pooled_s8", "stem")
    if is_wide(op):
        return replace(library, note="; ".join(filter(None, (wide_note(op), library.note))))
    if form == "library":
        return library
    name = name_of(op)
    sums = "sums of generated code, {} of {} pairs of rows in its tiles together"
    pairs, rows = sum(len(order.pairs) for order in tile_orders(op)), op.rows * len(tile_orders(op))
    return replace(
        library,
        kernel=f"{library.kernel}_{name}",
        sources=(*library.sources, *_GENERATED_SOURCES),
        phases={**library.phases, f"ost_stem_sum_{name}": "recovering"},
        generated=sources_of(op, library.kernel.removesuffix("_s8")),
        note="; ".join(filter(None, (sums.format(pairs, rows // 2), library.note))),
    )


def _bind(op: QStem) -> Binding:
    """On the library's code."""
    scratch_bytes = _scratch_bytes(op)
    return Binding(
        kernel="stem_s8",
        params_type="ost_stem_s8_params",
        params={
            "window": window_params(op.dims),
            "input_zero_point": int(op.input.zero_point),
            "rotation": ArrayRef("rotation"),
            "padding": ArrayRef("padding"),
            "planes": len(op.channels),
            "channels": ArrayRef("channels"),
            "vertical": ArrayRef("vertical"),
            "ends": ArrayRef("ends"),
            "horizontal": ArrayRef("horizontal"),
            "centre": ArrayRef("centre"),
            "maps": ArrayRef("maps"),
            "groups": ArrayRef("groups"),
            "hashes": op.hashes,
            "rows": op.rows,
            "table": ArrayRef("table"),
            "offset": ArrayRef("offset"),
            "wide_offset": ArrayRef("wide_offset"),
            "fraction_bits": int(op.fraction_bits),
        },
        arrays={
            "rotation": _pack_rotation(op),
            "padding": (op.rotation.astype(np.int64).sum(axis=1) * op.input.zero_point).astype(np.int16),
            "channels": op.channels.astype(np.int32),
            "vertical": _pack_vertical(op),
            "ends": np.searchsorted(op.planes, np.arange(len(op.channels)), side="right").astype(np.int32),
            "horizontal": _pack_horizontal(op),
            "centre": op.centre.astype(np.int32),
            "maps": op.maps.astype(np.uint8),
            "groups": _pack_groups(op),
            "table": np.pad(op.table, ((0, 0), (0, 0), (0, -op.table.shape[2] % TILE))),
            "offset": to_channel_order(np.clip(op.offset, INT16_MIN, INT16_MAX), TILE).astype(np.int16),
            "wide_offset": wide_offset(op),
        },
        scratch_bytes=scratch_bytes,
        note=sram_note(op.dims, scratch_bytes),
        sources=SOURCES,
        phases=PHASES,
    )


def _check_sizes(op: QStem) -> None:
    d = op.dims
    if d.input[2] > MOST_CHANNELS or max(d.kernel) > LONGEST_KERNEL or d.dilation != (1, 1):
        raise UnsupportedError(
            f"Layer {op.name}: no kernel runs a stem of {d.input[2]} channels, kernel {d.kernel} and dilation "
            f"{d.dilation}; up to {MOST_CHANNELS} channels, {LONGEST_KERNEL}×{LONGEST_KERNEL} and dilation 1 have."
        )
    if not 1 <= op.hashes <= MOST_HASHES or op.table.shape[1] != 1 << op.hashes:
        raise UnsupportedError(
            f"Layer {op.name}: tables of {op.table.shape[1]} rows do not fit the stem kernel, which takes 2^H, H from "
            f"1 to {MOST_HASHES}."
        )
    if op.rows > MOST_ROWS:
        raise UnsupportedError(f"Layer {op.name}: the stem kernel adds up to {MOST_ROWS} rows, not {op.rows}.")
    if d.output[2] > MOST_OUTPUTS:
        raise UnsupportedError(
            f"Layer {op.name}: the stem kernel has up to {MOST_OUTPUTS} output channels, not {d.output[2]}."
        )
    if not 0 <= op.fraction_bits <= 7:
        raise QuantizationError(f"Layer {op.name}: {op.fraction_bits} fraction bits; the stem kernel takes 0 to 7.")
    check_window(op.name, d)


def _check_sums(op: QStem) -> None:
    """Every sum of the transform fits its type, for any input."""
    pixels = 128 * np.abs(op.rotation.astype(np.int64)).sum(axis=1)
    tall = pixels[op.channels] * np.abs(op.vertical.astype(np.int64)).sum(axis=1) + (1 << 15)
    columns = (tall >> 16) + 1
    wide = columns[op.planes] * np.abs(op.horizontal.astype(np.int64)).sum(axis=1) + np.abs(op.centre.astype(np.int64))
    bounds = (
        ("a rotated pixel", int(pixels.max()), INT16_MAX),
        ("a column's sum", int(tall.max()), INT32_MAX),  # its upper half is within int16, then
        ("a coefficient's sum", int(wide.max()), INT32_MAX),
    )
    for what, found, limit in bounds:
        if found > limit:
            raise QuantizationError(f"Layer {op.name}: {what} could reach {found}, beyond {limit}; calibrate it again.")


def _check_ids(op: QStem) -> None:
    largest = np.zeros(op.rows, np.int64)
    np.add.at(largest, op.groups, op.maps.astype(np.int64).max(axis=1))
    if largest.max() >= 1 << op.hashes:
        raise QuantizationError(
            f"Layer {op.name}: an id could be {int(largest.max())}, but its table has {1 << op.hashes} rows."
        )
    missing = sorted(set(range(op.rows)) - set(op.groups.tolist()))
    if missing:
        raise QuantizationError(f"Layer {op.name}: no coefficient belongs to group {missing[0]}; use fewer groups.")


def _pack_rotation(op: QStem) -> IntArray:
    full = np.pad(op.rotation.astype(np.int16), ((0, 0), (0, MOST_CHANNELS - op.rotation.shape[1])))
    packed: IntArray = np.ascontiguousarray(full[:, list(CHANNEL_ORDER)])
    return packed


def _pack_vertical(op: QStem) -> IntArray:
    """(F, KH, KH rounded up to 2): by the slot of a window's first row, taps by slot."""
    height = op.dims.kernel[0]
    slots = (np.arange(height)[None] - np.arange(height)[:, None]) % height  # [first, slot] → row of the window
    taps = op.vertical[:, slots].astype(np.int16)
    packed: IntArray = np.pad(taps, ((0, 0), (0, 0), (0, height % 2)))
    return packed


def _pack_horizontal(op: QStem) -> IntArray:
    """(n, 2, words, 2): taps from an even column on, and from an odd one."""
    width = op.dims.kernel[1]
    lanes = 2 * (width // 2 + 1)
    even, odd = (np.pad(op.horizontal, ((0, 0), (lead, lanes - width - lead))) for lead in (0, 1))
    return np.stack([even, odd], axis=1).astype(np.int16)


def _pack_groups(op: QStem) -> IntArray:
    first = np.array([g not in op.groups[:k] for k, g in enumerate(op.groups.tolist())])
    packed: IntArray = (2 * op.groups + first).astype(np.int32)
    return packed


def _scratch_bytes(op: QStem) -> int:
    """The parts of `stem_scratch` in ost_stem_s8.c."""
    pairs = (op.dims.input[1] + 2 * op.dims.padding[1] + 1) // 2
    ring = op.dims.input[2] * pairs * op.dims.kernel[0] * 4
    return scratch_size(ring, (pairs + 2) * 4, op.dims.output[1] * op.rows * 4)
