"""`QReuseCompiled` bound to `ost_reuse_compiled_s8`: hashes and tables packed, scratch told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ostinato.errors import UnsupportedError
from ostinato.kernels.binding import ArrayRef, Binding, Phase
from ostinato.kernels.conventional import window_params
from ostinato.kernels.reuse_checks import check_layer
from ostinato.kernels.reuse_estimate import cycles_by_addresses, cycles_by_offsets
from ostinato.kernels.reuse_layout import (
    SHARED_PHASES,
    SHARED_SOURCES,
    TILE,
    Slices,
    columns_of_slices,
    in_one_row,
    locate_slices,
    most_scratch,
    pack_hash,
    padded_size,
    padding_ids,
    paired_tiles,
    round_up,
    run_length,
    scratch_size,
    sram_note,
    table_tiles,
    to_channel_order,
    words,
)
from ostinato.kernels.reuse_map import IdMap, existing_map, map_of
from ostinato.kernels.reuse_pointers import bind_reuse_pointers, has_pointer_form, pointers_are_small
from ostinato.kernels.reuse_rows import row_order
from ostinato.kernels.reuse_thresholds import compares_coordinates, hash_form, pack_nodes, with_thresholds
from ostinato.kernels.table_sums import is_wide, wide_note, wide_offset
from ostinato.quant.arithmetic import INT16_MAX, INT16_MIN, IntArray
from ostinato.quant.ops import ConvDims, QReuseCompiled

MOST_HASHES = 12
_NARROW_HASHES = 4
"""Up to this H, an id times 16 is a byte."""
_SHORT_RUN = 4
"""Outputs whose ids are found together where only a band of rows is held."""
_SLACK = 16
"""Bytes behind ids that the kernel may read or write."""

_LOOKUPS = range(3, 9)
"""H that have a look-up in assembly."""
_SOURCES = (
    *SHARED_SOURCES,
    *(f"reuse/ost_reuse_{name}" for name in ("compiled_s8.c", "ids.c", "window_ids.S", "lookup.c")),
)
SOURCES = (*_SOURCES, *(f"reuse/ost_reuse_lookup_rows_{hashes}.S" for hashes in _LOOKUPS))
"""All files; a layer needs only the look-up of its own H."""

PHASES: dict[str, Phase] = {
    **SHARED_PHASES,
    "ost_reuse_pad_ids": "transformation",
    "ost_reuse_copy_tail": "transformation",
    "ost_reuse_map_ids": "clustering",
    "ost_reuse_map_rows": "clustering",
    "ost_reuse_map_row_bytes": "clustering",
    "ost_reuse_row_ids": "clustering",
    "ost_reuse_id_window": "recovering",
    "ost_reuse_window_ids": "recovering",
    "ost_reuse_recover_windows": "recovering",
    "ost_reuse_pool_windows": "recovering",
    "ost_reuse_recover_runs": "recovering",
    "ost_reuse_lookup": "recovering",
    "ost_reuse_lookup_tile": "recovering",
    "ost_reuse_lookup_wide": "recovering",
    **{f"ost_reuse_lookup_{form}_{h}": "recovering" for form in ("rows", "pairs") for h in _LOOKUPS},
}


CompiledForm = Literal["offsets", "addresses"]
"""How table rows are found: by ids of one or two bytes, or by their addresses (generated code, faster)."""


def bind_reuse_compiled(
    op: QReuseCompiled,
    form: CompiledForm | None = None,
    pool: tuple[int, int] = (1, 1),
    *,
    band: bool | None = None,
) -> Binding:
    """A reuse convolution in compiled scope.

    Args:
        op: the layer.
        form: None: the one with fewer estimated cycles (`reuse_estimate`); by addresses only where there is code for
            the sizes, and where the map of addresses leaves the layer's SRAM within bounds. Sums that int16 is not
            proven to hold are int32, by offsets.
        pool: window of a max-pool whose windows lie side by side (`QPooled`): only pooled outputs are stored.
        band: by offsets, of the map, or of a padded input, hold only the rows that a row of outputs reads; None:
            where otherwise the layer needed more than 1.3 times the conventional one's SRAM.

    Raises:
        UnsupportedError: H > 12, a pixel-aligned L that does not divide C, or a window that leaves the padded input.
        QuantizationError: an int32 sum could overflow, or the fraction bits are not 1 to 7.
    """
    check_layer(op, "compiled-scope", MOST_HASHES, "use fewer hashes")
    if form is None:
        form, note = choose_form(op, pool)
        made = bind_reuse_compiled(op, form, pool, band=band)
        return replace(made, note="; ".join(filter(None, (note, made.note))))
    if form == "addresses":
        return bind_reuse_pointers(op, pool)
    if op.pixel_aligned and op.dims.input[2] % op.length:
        raise UnsupportedError(
            f"Layer {op.name}: pixel-aligned slices of L={op.length} do not divide {op.dims.input[2]} channels."
        )
    layer, none = op, np.zeros(0, np.int32)  # empty: a null pointer
    ids = map_of(op)
    if ids is None and pool == (1, 1):
        op = replace(op, dims=in_one_row(op.dims))
    window = window_params(op.dims)
    op = op if ids is None else ids.op
    op = with_thresholds(op) if compares_coordinates(op) else op
    slices = locate_slices(op.dims, op.columns, op.length) if ids is None else None
    pooled = round_up(op.dims.output[2], 8) if pool != (1, 1) else 0
    scratch = {held: _scratch_bytes(op, layer.dims, ids, slices, held) + pooled for held in (False, True)}
    if band is None:
        band = scratch[False] > most_scratch(layer.dims) and scratch[True] < scratch[False]
    return Binding(
        kernel="reuse_compiled_s8",
        params_type="ost_reuse_compiled_s8_params",
        params={**_params(op, window, ids, slices, band), "pool": {"height": pool[0], "width": pool[1]}},
        arrays={
            **_pack_hashes(op, slices),
            "starts": none if slices is None else slices.starts,
            "gather": none if slices is None else slices.gather,
            "padding_ids": none.astype(np.uint16) if ids is None else 16 * padding_ids(op),
            "table": _pack_table(op),
            "offset": to_channel_order(np.clip(op.offset, INT16_MIN, INT16_MAX), TILE).astype(np.int16),
            "wide_offset": wide_offset(op),
            "paired": paired_tiles(op),
        },
        scratch_bytes=scratch[band],
        sources=_sources(op.hash.hashes),
        phases=PHASES,
        note=sram_note(layer.dims, scratch[band]),
        strided=True,
    )


def _pack_hashes(op: QReuseCompiled, slices: Slices | None) -> dict[str, IntArray]:
    columns = columns_of_slices(op.dims.columns, op.length)
    groups = len(op.hash.vectors)  # of a map: fewer than slices, all of them whole
    leading = (0,) * groups if slices is None else slices.leading
    if compares_coordinates(op):
        return pack_nodes(op.hash, leading)
    return pack_hash(op.name, op.hash, columns[:groups] if slices else [op.length] * groups, leading)


def choose_form(op: QReuseCompiled, pool: tuple[int, int] = (1, 1)) -> tuple[CompiledForm, str]:
    """The form that `bind_reuse_compiled` takes, and why."""
    if is_wide(op):
        return "offsets", wide_note(op)
    if not has_pointer_form(op, pool):
        return "offsets", "table rows by offsets: no code can be generated for these sizes"
    order, mapped = row_order(op.table), existing_map(op).op
    by_addresses, by_offsets = cycles_by_addresses(mapped, order), cycles_by_offsets(mapped)
    estimates = f"estimated {by_addresses:,} cycles by addresses, {by_offsets:,} by offsets (Cortex-M4)"
    if not pointers_are_small(op):
        return "offsets", f"table rows by offsets: a map of addresses needs too much SRAM; {estimates}"
    if by_offsets < by_addresses:
        return "offsets", f"table rows by offsets: {estimates}"
    rows = f"{len(order.pairs)} pairs of rows, {len(order.single)} single ones"
    return "addresses", f"table rows by addresses ({rows}): {estimates}"


def _sources(hashes: int) -> tuple[str, ...]:
    lookup = (f"reuse/ost_reuse_lookup_rows_{hashes}.S",) if hashes in _LOOKUPS else ()
    return (*_SOURCES, *lookup)


def _params(
    op: QReuseCompiled, window: dict[str, Any], ids: IdMap | None, slices: Slices | None, band: bool
) -> dict[str, Any]:
    """The fields of `ost_reuse_compiled_s8_params`."""
    no_map = {"window": window, "pixel_step": 0, "row_step": 0, "padded": 0}
    return {
        "window": window,
        "input_zero_point": int(op.input.zero_point),
        "mapped": int(ids is not None),
        "band": int(band),
        "length": int(op.length),
        "hash": {
            "hashes": op.hash.hashes,
            "tree": hash_form(op),
            "words": words(op.length),
            "offsets": ArrayRef("hash_offsets"),
            "vectors": ArrayRef("hash_vectors"),
        },
        "map": no_map if ids is None else ids.params(),
        "slices": {
            "count": 0 if slices is None else len(slices.starts),
            "starts": ArrayRef("starts"),
            "gather": ArrayRef("gather"),
        },
        "padding_ids": ArrayRef("padding_ids"),
        "rows": op.rows,
        "table": ArrayRef("table"),
        "offset": ArrayRef("offset"),
        "paired": ArrayRef("paired"),
        "wide_offset": ArrayRef("wide_offset"),
        "fraction_bits": int(op.fraction_bits),
        "out_stride": int(op.dims.output[2]),
    }


def _pack_table(op: QReuseCompiled) -> IntArray:
    packed: IntArray = np.ascontiguousarray(table_tiles(op)).astype(np.int8)
    return packed


def _scratch_bytes(op: QReuseCompiled, layer: ConvDims, ids: IdMap | None, slices: Slices | None, band: bool) -> int:
    """The parts of `compiled_scratch` in ost_reuse_compiled_s8.c; `op` by its map, `layer` as it is."""
    id_bytes = 1 if op.hash.hashes <= _NARROW_HASHES else 2
    one = op.rows * id_bytes + _SLACK
    if slices is None:
        assert ids is not None
        height, width, channels = padded_size(op.dims)
        entries = (_band_rows(op.dims) if band else height) * width * (channels // op.length)
        tail = round_up(op.length, 4) if op.length % 4 else 0
        padded = _padded_rows(layer, 1) if band and ids.padded_bytes else ids.padded_bytes
        return scratch_size(entries * id_bytes + _SLACK, one, tail, padded)
    longest = run_length(op.dims)
    run = min(longest, _SHORT_RUN) if band else longest
    padded = _padded_rows(op.dims, _band_rows(op.dims)) if band and slices.padded_bytes else slices.padded_bytes
    return scratch_size((run - 1) * op.rows * id_bytes + one, padded, slices.gather_bytes // longest * run)


def _band_rows(dims: ConvDims) -> int:
    """Rows that a row of outputs reads."""
    return (dims.kernel[0] - 1) * dims.dilation[0] + 1


def _padded_rows(dims: ConvDims, rows: int) -> int:
    """Bytes of so many rows of the padded input, and what may be read behind them."""
    _, width, channels = padded_size(dims)
    return rows * width * channels + _SLACK
