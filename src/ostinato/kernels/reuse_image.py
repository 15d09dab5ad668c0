"""`QReuseImage` bound to `ost_reuse_image_s8`: constants packed, slots and passes chosen, scratch told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.binding import ArrayRef, Binding, Phase
from ostinato.kernels.conventional import window_params
from ostinato.kernels.reuse_layout import (
    LONGEST_RUN,
    SHARED_PHASES,
    SHARED_SOURCES,
    TILE,
    Slices,
    check_layer,
    columns_of_slices,
    in_one_row,
    locate_slices,
    pack_hash,
    place_columns,
    round_up,
    run_length,
    scratch_size,
    sram_note,
    to_channel_order,
    words,
)
from ostinato.quant.arithmetic import IntArray
from ostinato.quant.ops import QHash, QReuseImage

MOST_HASHES = 16
MOST_SLOTS = 255
"""Clusters of a slice whose ids are looked up; ids that are places themselves can be one more (H = 8)."""
_FEW_IDS = 16
"""So many ids have a place each, even where there are fewer blocks."""
_BLOCKS = 16
"""Blocks of several rows that are gathered together."""
_EXACT_ROWS = 256
_MOST_POSITIONS = (1 << 16) - 1
_CENTROID_REACH = 128 * 255
_SLICES_OF_A_PASS = 5
"""Tables held at a time where not all are: accumulators then are loaded and stored once for five slices."""
_SMALL_TABLES = 8192
"""... unless they need more bytes than this."""

_FILES = (
    "image_s8.c", "slots.c", "rows.c", "single.c", "clusters.c", "sum_runs.S", "gemm.c", "gemm_pairs.S", "recover.c",
    "recover_rows.S", "recover_rows_plain.c",
)  # fmt: skip
SOURCES = (*SHARED_SOURCES, *(f"reuse/ost_reuse_{name}" for name in _FILES))

PHASES: dict[str, Phase] = {
    **SHARED_PHASES,
    "ost_reuse_gather_rows": "transformation",
    "ost_reuse_cluster_slice": "clustering",
    "ost_reuse_map_pixels": "clustering",
    "ost_reuse_copy_ids": "clustering",
    "ost_reuse_clear_slots": "clustering",
    "ost_reuse_find_slots": "clustering",
    "ost_reuse_clear_clusters": "clustering",
    "ost_reuse_flush_sums": "clustering",
    "ost_reuse_sum_clusters": "clustering",
    "ost_reuse_find_runs": "clustering",
    **{f"ost_reuse_sum_runs_{n}": "clustering" for n in range(1, 5)},
    "ost_reuse_list_clusters": "clustering",
    "ost_reuse_centroids": "clustering",
    "ost_reuse_fill_table": "gemm",
    "ost_reuse_gemm": "gemm",
    **{f"ost_reuse_gemm_pairs_{n}": "gemm" for n in range(1, 5)},
    "ost_reuse_add_offset": "gemm",
    "ost_reuse_single_product": "gemm",
    "ost_reuse_recover": "recovering",
    "ost_reuse_recover_run": "recovering",
    "ost_reuse_recover_ragged": "recovering",
    "ost_reuse_recover_rows_s8": "recovering",
    "ost_reuse_recover_rows_s16": "recovering",
    "ost_reuse_recover_singles": "recovering",
    "ost_reuse_recover_single": "recovering",
    "ost_reuse_place": "recovering",
    "ost_reuse_finish": "recovering",
    "ost_reuse_finish_row": "recovering",
}


def bind_reuse_image(op: QReuseImage) -> Binding:
    """A reuse convolution in image scope, vertical direction.

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
    columns = columns_of_slices(op.dims.columns, op.length)
    slots, per_pass, pixel_ids = kernel_slots(op), _slices_per_pass(op), has_pixel_ids(op)
    groups = op.dims.input[2] // op.length if pixel_ids else op.slices
    hashing = QHash(vectors=op.hash.vectors[:groups], offset=op.hash.offset[:groups], tree=op.hash.tree)
    scratch_bytes = _scratch_bytes(op, slices, per_pass)
    return Binding(
        kernel="reuse_image_s8",
        params_type="ost_reuse_image_s8_params",
        params={
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
            "slices_per_pass": per_pass,
            "pixel_ids": int(pixel_ids),
            "slots": slots,
            "block_rows": int(op.block_rows),
            "rows": ArrayRef("rows"),
        },
        arrays={
            **pack_hash(op.name, hashing, columns[:groups], slices.leading[:groups], op.block_rows),
            "starts": slices.starts,
            "gather": slices.gather,
            "weights": _pack_weights(op, columns, slices.leading),
            "multiplier": to_channel_order(op.multiplier, 4).astype(np.int32),
            "offset": to_channel_order(op.offset, 4).astype(np.int16),
            "rows": (np.zeros(0) if op.rows is None else op.rows).astype(np.uint16),
        },
        scratch_bytes=scratch_bytes,
        sources=SOURCES,
        phases=PHASES,
        note="; ".join(filter(None, (_note(op, slots), sram_note(op.dims, scratch_bytes)))),
        counts="blocks that found no slot" if slots < min(1 << op.hash.hashes, _blocks(op)) else "",
    )


def _note(op: QReuseImage, slots: int) -> str:
    if not _is_hashed(op):
        return ""
    if slots >= min(1 << op.hash.hashes, _blocks(op)):
        return f"{slots} clusters a slice, one for each block if need be"
    return f"{slots} clusters a slice for {1 << op.hash.hashes:,} ids; blocks that find none are computed by themselves"


def _blocks(op: QReuseImage) -> int:
    return op.dims.positions // op.block_rows


def kernel_slots(op: QReuseImage) -> int:
    """Places in the tables of a slice; see `place_ids`."""
    return place_ids(op.name, op.hash.hashes, op.slots, _blocks(op), "slice")


def place_ids(name: str, hashes: int, slots: int, blocks: int, where: str) -> int:
    """2^H where an id is its own place, or the clusters that ids are looked up for; the bits are the same.

    There are never more clusters than blocks.

    Raises:
        UnsupportedError: more than the kernels have.
    """
    ids = 1 << hashes
    if ids <= min(slots, max(blocks, _FEW_IDS), MOST_SLOTS + 1):
        return ids
    slots = min(slots, blocks)
    if slots > MOST_SLOTS:
        raise UnsupportedError(
            f"Layer {name}: {slots} clusters a {where} (for {hashes} hashes and {blocks} blocks); the image-scope "
            f"kernels have at most {MOST_SLOTS}: quantise with fewer slots."
        )
    return slots


def _is_hashed(op: QReuseImage) -> bool:
    return kernel_slots(op) < 1 << op.hash.hashes


def has_pixel_ids(op: QReuseImage) -> bool:
    """Whether ids are found once per padded input pixel and channel block, instead of once per output and slice.

    That can be so where slices are channel blocks in whole words (channels innermost, L divides C) and all kernel
    positions have the same hashes (sharing `block` or `layer`); it is so where there are fewer pixels than vectors of a
    block.
    """
    groups, rest = divmod(op.dims.input[2], op.length)
    if rest or op.length % 4 or op.hash.vectors.shape[0] % groups or op.block_rows > 1:
        return False
    kh, kw = op.dims.kernel
    if _padded_pixels(op) >= op.dims.positions * kh * kw:
        return False
    starts = locate_slices(op.dims, op.columns, op.length).starts
    if np.any(starts < 0) or np.any(starts % op.length):
        return False
    same_block = starts // op.length % groups == np.arange(op.slices) % groups
    vectors = op.hash.vectors.reshape(-1, groups, *op.hash.vectors.shape[1:])
    offset = op.hash.offset.reshape(-1, groups, op.hash.offset.shape[1])
    return bool(np.all(same_block) and np.all(vectors == vectors[:1]) and np.all(offset == offset[:1]))


def _padded_pixels(op: QReuseImage) -> int:
    (height, width, _), (ph, pw) = op.dims.input, op.dims.padding
    return (height + 2 * ph) * (width + 2 * pw)


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


def _row_bytes(op: QReuseImage) -> int:
    """Of a table row, or of the sums of a position."""
    return round_up(op.dims.output[2], TILE) * 2


def _table_bytes(op: QReuseImage) -> int:
    """Of one slice: b x tiles x slots x 16 int16."""
    return op.block_rows * kernel_slots(op) * _row_bytes(op)


def _accumulator_bytes(op: QReuseImage) -> int:
    """Accumulators between passes that do not fit into the output tensor."""
    positions, channels = op.dims.positions, op.dims.output[2]
    return (positions - positions * channels // _row_bytes(op)) * _row_bytes(op)


def _slices_per_pass(op: QReuseImage) -> int:
    """All slices at once, or a few with accumulators between: whichever needs less scratch."""
    each = _table_bytes(op) + _blocks(op)
    few = max(1, min(_SLICES_OF_A_PASS, op.slices, _SMALL_TABLES // _table_bytes(op)))
    return op.slices if op.slices * each <= few * each + _accumulator_bytes(op) else few


def _scratch_bytes(op: QReuseImage, slices: Slices, per_pass: int) -> int:
    """The parts of `image_scratch` in ost_reuse_image_scratch.h."""
    b, hashed, slots = op.block_rows, _is_hashed(op), kernel_slots(op)
    values, clusters = 4 * words(op.length) * b, slots + hashed
    places = 1 << max(1, (2 * slots - 1).bit_length()) if hashed else 0
    run = _BLOCKS if b > 1 else run_length(op.dims) * max(1, LONGEST_RUN // (op.dims.output[1] + 1))
    id_bytes = 2 if hashed else 1
    single = hashed or op.dims.positions % b != 0
    return scratch_size(
        4,
        slices.padded_bytes,
        _BLOCKS * values if b > 1 else slices.gather_bytes,
        _padded_pixels(op) * (op.dims.input[2] // op.length) * id_bytes if has_pixel_ids(op) else 0,
        2 * run if hashed else 0,
        2 * places,
        places,
        _blocks(op) * per_pass + 1,
        clusters * values * 2,
        clusters * values * 4 if _blocks(op) > _EXACT_ROWS else 0,
        clusters * 2,
        clusters,
        4 * values * 2,
        per_pass * _table_bytes(op),
        values // b if single else 0,
        _row_bytes(op) if single else 0,
        _row_bytes(op) if single else 0,
        _accumulator_bytes(op) if per_pass < op.slices else 0,
    )
