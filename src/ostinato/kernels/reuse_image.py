"""`QReuseImage` bound to `ost_reuse_image_s8`: constants packed, the number of passes chosen, scratch told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.binding import ArrayRef, Binding, Phase
from ostinato.kernels.conventional import window_params
from ostinato.kernels.reuse_layout import (
    SHARED_PHASES,
    SHARED_SOURCES,
    TILE,
    Slices,
    check_layer,
    in_one_row,
    locate_slices,
    pack_hash,
    place_columns,
    round_up,
    scratch_size,
    to_channel_order,
    words,
)
from ostinato.quant.arithmetic import IntArray
from ostinato.quant.ops import QHash, QReuseImage

MOST_HASHES = 8
_EXACT_ROWS = 256
_MOST_POSITIONS = (1 << 16) - 1
_CENTROID_REACH = 128 * 255
_SLICES_OF_A_PASS = 5
"""Tables held at a time where not all are: accumulators then are loaded and stored once for five slices."""
_SMALL_TABLES = 8192
"""... unless they need more bytes than this."""

_FILES = (
    "image_s8.c", "clusters.c", "sum_runs.S", "gemm.c", "gemm_pairs.S", "recover.c", "recover_rows.S",
    "recover_rows_plain.c",
)  # fmt: skip
SOURCES = (*SHARED_SOURCES, *(f"reuse/ost_reuse_{name}" for name in _FILES))

PHASES: dict[str, Phase] = {
    **SHARED_PHASES,
    "ost_reuse_cluster_slice": "clustering",
    "ost_reuse_map_pixels": "clustering",
    "ost_reuse_copy_ids": "clustering",
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
    "ost_reuse_recover": "recovering",
    "ost_reuse_recover_ragged": "recovering",
    "ost_reuse_accumulate": "recovering",
    "ost_reuse_recover_rows_s8": "recovering",
    "ost_reuse_recover_rows_s16": "recovering",
    "ost_reuse_finish": "recovering",
}


def bind_reuse_image(op: QReuseImage) -> Binding:
    """A reuse convolution in image scope.

    Raises:
        UnsupportedError: H > 8, more than 65,535 output positions, or a window that leaves the padded input.
        QuantizationError: an int32 sum could overflow, or the fraction bits are not 1 to 7.
    """
    check_layer(op, "image-scope", MOST_HASHES, "use fewer hashes, or the compiled scope")
    if op.dims.positions > _MOST_POSITIONS:
        raise UnsupportedError(
            f"Layer {op.name}: {op.dims.positions} output positions; the image-scope kernel counts up to "
            f"{_MOST_POSITIONS} in a cluster."
        )
    op = replace(op, dims=in_one_row(op.dims))
    slices = locate_slices(op.dims, op.columns, op.length)
    ends = [*range(op.length, op.dims.columns, op.length), op.dims.columns]
    columns = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    per_pass, pixel_ids = _slices_per_pass(op), has_pixel_ids(op)
    if pixel_ids:
        groups = op.dims.input[2] // op.length
        shared = QHash(vectors=op.hash.vectors[:groups], offset=op.hash.offset[:groups], tree=op.hash.tree)
        hashes = pack_hash(op.name, shared, columns[:groups], slices.leading[:groups])
    else:
        hashes = pack_hash(op.name, op.hash, columns, slices.leading)
    return Binding(
        kernel="reuse_image_s8",
        params_type="ost_reuse_image_s8_params",
        params={
            "window": window_params(op.dims),
            "input_zero_point": int(op.input.zero_point),
            "hash": {
                "hashes": op.hash.hashes,
                "tree": int(op.hash.tree),
                "words": words(op.length),
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
        },
        arrays={
            **hashes,
            "starts": slices.starts,
            "gather": slices.gather,
            "weights": _pack_weights(op, columns, slices.leading),
            "multiplier": to_channel_order(op.multiplier, 4).astype(np.int32),
            "offset": to_channel_order(op.offset, 4).astype(np.int16),
        },
        scratch_bytes=_scratch_bytes(op, slices, per_pass),
        sources=SOURCES,
        phases=PHASES,
    )


def has_pixel_ids(op: QReuseImage) -> bool:
    """Whether ids are found once per padded input pixel and channel block, instead of once per output and slice.

    That can be so where slices are channel blocks in whole words (order kh.kw.c, L divides C) and all kernel positions
    have the same hashes (sharing `block` or `layer`); it is so where there are fewer pixels than vectors of a block.
    """
    groups, rest = divmod(op.dims.input[2], op.length)
    if rest or op.length % 4 or op.hash.vectors.shape[0] % groups:
        return False
    kh, kw = op.dims.kernel
    if _padded_pixels(op) >= op.dims.positions * kh * kw:
        return False
    order = np.indices((kh, kw, op.dims.input[2])).reshape(3, -1).T[:, [2, 0, 1]]
    vectors = op.hash.vectors.reshape(-1, groups, *op.hash.vectors.shape[1:])
    offset = op.hash.offset.reshape(-1, groups, op.hash.offset.shape[1])
    return bool(np.array_equal(op.columns, order) and np.all(vectors == vectors[:1]) and np.all(offset == offset[:1]))


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


def _table_bytes(op: QReuseImage) -> int:
    """Of one slice: tiles x 2^H x 16 int16."""
    return round_up(op.dims.output[2], TILE) * (1 << op.hash.hashes) * 2


def _accumulator_bytes(op: QReuseImage) -> int:
    """Accumulators between passes that do not fit into the output tensor."""
    positions, channels = op.dims.positions, op.dims.output[2]
    padded = round_up(channels, TILE)
    return (positions - positions * channels // (2 * padded)) * padded * 2


def _slices_per_pass(op: QReuseImage) -> int:
    """All slices at once, or a few with accumulators between: whichever needs less scratch."""
    each = _table_bytes(op) + op.dims.positions
    few = max(1, min(_SLICES_OF_A_PASS, op.slices, _SMALL_TABLES // _table_bytes(op)))
    return op.slices if op.slices * each <= few * each + _accumulator_bytes(op) else few


def _scratch_bytes(op: QReuseImage, slices: Slices, per_pass: int) -> int:
    """The parts of `image_scratch` in ost_reuse_image_s8.c."""
    ids, values = 1 << op.hash.hashes, 4 * words(op.length)
    return scratch_size(
        slices.padded_bytes,
        slices.gather_bytes,
        _padded_pixels(op) * (op.dims.input[2] // op.length) if has_pixel_ids(op) else 0,
        op.dims.positions * per_pass + 1,
        ids * values * 2,
        ids * values * 4 if op.dims.positions > _EXACT_ROWS else 0,
        ids * 2,
        ids,
        4 * values * 2,
        per_pass * _table_bytes(op),
        _accumulator_bytes(op) if per_pass < op.slices else 0,
    )
