"""`QReuseImage` bound to `ost_reuse_image_s8`: constants packed, slots and passes chosen, scratch told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.binding import ArrayRef, Binding, Phase
from ostinato.kernels.conventional import window_params
from ostinato.kernels.reuse_checks import check_layer
from ostinato.kernels.reuse_image_compact import CompactMemory, accumulator_bytes, choose_compact
from ostinato.kernels.reuse_image_memory import (
    ImageMemory,
    blocks_of,
    choose_memory,
    has_pixel_ids,
    is_hashed,
    kernel_slots,
    parts_of,
)
from ostinato.kernels.reuse_layout import (
    SHARED_PHASES,
    SHARED_SOURCES,
    Slices,
    columns_of_slices,
    in_one_row,
    locate_slices,
    most_scratch,
    pack_hash,
    place_columns,
    sram_note,
    times_conventional,
    to_channel_order,
    words,
)
from ostinato.quant.arithmetic import IntArray
from ostinato.quant.ops import QHash, QReuseImage

MOST_HASHES = 16
_MOST_POSITIONS = (1 << 16) - 1
_CENTROID_REACH = 128 * 255
_FILES = (
    "image_s8.c", "pixel_ids.c", "slots.c", "rows.c", "border.c", "single.c", "clusters.c", "sort_ids.S",
    "sum_members.S", "gemm.c", "gemm_pairs.S", "recover.c", "recover_rows.S", "recover_rows_plain.c",
)  # fmt: skip
SOURCES = (*SHARED_SOURCES, *(f"reuse/ost_reuse_{name}" for name in _FILES))
_COMPACT_FILES = (
    "image_compact_s8.c", "compact.c", "slots.c", "rows.c", "border.c", "gemm.c", "gemm_pairs.S",
)  # fmt: skip
COMPACT_SOURCES = (*SHARED_SOURCES, *(f"reuse/ost_reuse_{name}" for name in _COMPACT_FILES))

Form = Literal["tables", "compact"]
"""`reuse_image_s8`, or `reuse_image_compact_s8`, which needs little SRAM and several times as long."""

_COMMON_PHASES: dict[str, Phase] = {
    **SHARED_PHASES,
    "ost_reuse_gather_rows": "transformation",
    "ost_reuse_gather_row": "transformation",
    "ost_reuse_row_corner": "transformation",
    "ost_reuse_border_run": "transformation",
    "ost_reuse_border_edge": "transformation",
    "ost_reuse_border_span": "transformation",
    "ost_reuse_border_word": "transformation",
    "ost_reuse_clear_slots": "clustering",
    "ost_reuse_find_slots": "clustering",
    "ost_reuse_gemm": "gemm",
    **{f"ost_reuse_gemm_pairs_{n}": "gemm" for n in range(1, 5)},
    "ost_reuse_add_offset": "gemm",
}
COMPACT_PHASES: dict[str, Phase] = {
    **_COMMON_PHASES,
    "ost_compact_find_ids": "clustering",
    "ost_compact_sum_members": "clustering",
    "ost_compact_centroids": "clustering",
    "ost_compact_add_clusters": "gemm",
    "ost_compact_add_rows": "gemm",
    "ost_compact_add_members": "recovering",
    "ost_compact_finish_part": "recovering",
}
PHASES: dict[str, Phase] = {
    **_COMMON_PHASES,
    "ost_reuse_cluster_slice": "clustering",
    "ost_reuse_map_pixels": "clustering",
    "ost_reuse_copy_ids": "clustering",
    "ost_reuse_clear_clusters": "clustering",
    "ost_reuse_flush_sums": "clustering",
    "ost_reuse_sum_clusters": "clustering",
    "ost_reuse_add_rows": "clustering",
    "ost_reuse_sort_members": "clustering",
    "ost_reuse_count_ids": "clustering",
    "ost_reuse_place_ids": "clustering",
    **{f"ost_reuse_sum_members_{n}": "clustering" for n in range(1, 5)},
    "ost_reuse_list_clusters": "clustering",
    "ost_reuse_centroids": "clustering",
    "ost_reuse_shift_sums": "clustering",
    "ost_reuse_divide_sums": "clustering",
    "ost_reuse_divide_high": "clustering",
    "ost_reuse_keep_centroids": "clustering",
    "ost_reuse_fill_table": "gemm",
    "ost_reuse_single_products": "gemm",
    "ost_reuse_recover": "recovering",
    "ost_reuse_recover_run": "recovering",
    "ost_reuse_recover_ragged": "recovering",
    "ost_reuse_recover_rows_s8": "recovering",
    "ost_reuse_recover_rows_s16": "recovering",
    "ost_reuse_recover_singles": "recovering",
    "ost_reuse_recover_batch": "recovering",
    "ost_reuse_place": "recovering",
    "ost_reuse_finish": "recovering",
    "ost_reuse_finish_row": "recovering",
}


def bind_reuse_image(op: QReuseImage, form: Form | None = None) -> Binding:
    """A reuse convolution in image scope, vertical direction.

    Args:
        op: the layer.
        form: its kernel; None: by tables where they are within 1.3 times the conventional layer's SRAM, else compact.

    Raises:
        UnsupportedError: H > 16, more than 65,535 output positions, more than 255 clusters a slice (their number is
            `QReuseImage.slots`), or a window that leaves the padded input.
        QuantizationError: an int32 sum could overflow, or the fraction bits are not 1 to 7.
    """
    check_layer(op, "image-scope", MOST_HASHES, "use fewer hashes")
    if op.dims.positions > _MOST_POSITIONS:
        raise UnsupportedError(
            f"Layer {op.name}: {op.dims.positions} output positions; the image-scope kernel counts up to "
            f"{_MOST_POSITIONS} in a cluster."
        )
    op = replace(op, dims=in_one_row(op.dims))
    slices = locate_slices(op.dims, op.columns, op.length)
    tables = choose_memory(op, slices)
    if form == "tables" or (form is None and tables.scratch_bytes <= most_scratch(op.dims)):
        return _by_tables(op, slices, tables)
    compact = choose_compact(op)
    if form is None and tables.scratch_bytes <= compact.scratch_bytes:
        return _by_tables(op, slices, tables)
    return _compact(op, slices, compact, tables)


def _by_tables(op: QReuseImage, slices: Slices, memory: ImageMemory) -> Binding:
    params, arrays = _layer(op, slices, memory, memory.rest)
    return Binding(
        kernel="reuse_image_s8",
        params_type="ost_reuse_image_s8_params",
        params=params,
        arrays=arrays,
        scratch_bytes=memory.scratch_bytes,
        sources=SOURCES,
        phases=PHASES,
        note=_notes(op, memory.note, memory.scratch_bytes),
        counts=_counts(op),
    )


def _compact(op: QReuseImage, slices: Slices, memory: CompactMemory, tables: ImageMemory) -> Binding:
    params, arrays = _layer(op, slices, None, memory.rest)
    parts = parts_of(op, memory.rest, accumulator_bytes(op))
    why = (
        f"compact: clusters are found {parts} times and tables are not kept, which would need "
        f"{times_conventional(op.dims, tables.scratch_bytes):.2f} times the conventional layer's SRAM"
    )
    return Binding(
        kernel="reuse_image_compact_s8",
        params_type="ost_reuse_image_compact_s8_params",
        params={"layer": params, "run": memory.run, "together": memory.together},
        arrays=arrays,
        scratch_bytes=memory.scratch_bytes,
        sources=COMPACT_SOURCES,
        phases=COMPACT_PHASES,
        note=_notes(op, why, memory.scratch_bytes),
        counts=_counts(op),
    )


def _layer(
    op: QReuseImage, slices: Slices, memory: ImageMemory | None, rest: int
) -> tuple[dict[str, Any], dict[str, IntArray]]:
    """The parameters of both kernels, zeros for those of tables where there are none, and the constants."""
    columns = columns_of_slices(op.dims.columns, op.length)
    pixel_ids = memory is not None and has_pixel_ids(op)
    groups = op.dims.input[2] // op.length if pixel_ids else op.slices
    hashing = QHash(vectors=op.hash.vectors[:groups], offset=op.hash.offset[:groups], tree=op.hash.tree)
    params = {
        "window": window_params(op.dims),
        "input_zero_point": int(op.input.zero_point),
        "hash": {
            "hashes": op.hash.hashes,
            "tree": int(op.hash.tree),
            "words": words(op.length) * op.block_rows,
            "offsets": ArrayRef("hash_offsets"),
            "vectors": ArrayRef("hash_vectors"),
        },
        "slices": {"count": op.slices, "starts": ArrayRef("starts"), "gather": ArrayRef("gather")},
        "weights": ArrayRef("weights"),
        "multiplier": ArrayRef("multiplier"),
        "offset": ArrayRef("offset"),
        "fraction_bits": int(op.fraction_bits),
        "slices_per_pass": memory.slices if memory else 0,
        "padded": int(memory.padded) if memory else 0,
        "tiles_per_group": memory.tiles if memory else 0,
        "pixel_ids": int(pixel_ids),
        "slots": kernel_slots(op),
        "block_rows": int(op.block_rows),
        "rows": ArrayRef("rows"),
        "rest": rest,
    }
    arrays = {
        **pack_hash(op.name, hashing, columns[:groups], slices.leading[:groups], op.block_rows),
        "starts": slices.starts,
        "gather": slices.gather,
        "weights": _pack_weights(op, columns, slices.leading),
        "multiplier": to_channel_order(op.multiplier, 4).astype(np.int32),
        "offset": to_channel_order(op.offset, 4).astype(np.int16),
        "rows": (np.zeros(0) if op.rows is None else op.rows).astype(np.uint16),
    }
    return params, arrays


def _notes(op: QReuseImage, memory: str, scratch_bytes: int) -> str:
    return "; ".join(filter(None, (_note(op, kernel_slots(op)), memory, sram_note(op.dims, scratch_bytes))))


def _counts(op: QReuseImage) -> str:
    return "blocks that found no slot" if kernel_slots(op) < min(1 << op.hash.hashes, blocks_of(op)) else ""


def _note(op: QReuseImage, slots: int) -> str:
    if not is_hashed(op):
        return ""
    if slots >= min(1 << op.hash.hashes, blocks_of(op)):
        return f"{slots} clusters a slice, one for each block if need be"
    return f"{slots} clusters a slice for {1 << op.hash.hashes:,} ids; blocks that find none are computed by themselves"


def _pack_weights(op: QReuseImage, columns: list[int], leading: tuple[int, ...]) -> IntArray:
    """(S, M rounded up to 4 / 2, words, 2, 4) int8: the two channels of a pair alternate word by word."""
    weight = to_channel_order(op.weight, 4)
    slices, first = [], 0
    for count, front in zip(columns, leading, strict=True):
        part = weight[:, first : first + count]
        reach = _CENTROID_REACH * np.abs(part.astype(np.int64)).sum(axis=1).max()
        if reach >= 1 << 31:
            raise QuantizationError(
                f"Layer {op.name}: a centroid times a slice of {count} weights could reach {int(reach)}, beyond int32; "
                "use shorter slices."
            )
        lanes = place_columns(part, front, 4 * words(op.length))
        slices.append(lanes.reshape(len(lanes) // 2, 2, -1, 4).transpose(0, 2, 1, 3))
        first += count
    return np.stack(slices).astype(np.int8)
