"""What `ost_reuse_image_s8` keeps in SRAM: slots, and the tables that are held at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ostinato.errors import UnsupportedError
from ostinato.kernels.reuse_layout import (
    LONGEST_RUN,
    TILE,
    Slices,
    locate_slices,
    most_scratch,
    round_up,
    run_length,
    scratch_size,
    words,
)
from ostinato.quant.ops import QReuseImage

MOST_SLOTS = 255
"""Clusters of a slice whose ids are looked up; ids that are places themselves can be one more (H = 8)."""
_FEW_IDS = 16
"""So many ids have a place each, even where there are fewer blocks."""
_BLOCKS = 16
"""Blocks of several rows that are gathered together."""
_EXACT_ROWS = 256
_SINGLES, _TOGETHER = 4, 16
"""Rows by themselves that are multiplied, and recovered, together."""

_MOST_PARTS = 4

# About how many cycles of a Cortex-M4 a choice costs beyond what all of them do.
_PASS = 55
"""Of a pass over 16 channels of an output: accumulators loaded and stored."""
_FINISH = 24
"""Of 16 channels of an output that are finished behind the last of several passes."""
_GROUP = 250
"""Of four centroids times another group of channels: calls."""
_KEEP = 1
"""Of a value of a centroid that is kept."""
_FILL_RUN, _FILL = 800, 9
"""Of a slice that is gathered with its padding filled in: of a run of outputs, and of a word at each of them."""
_SUM, _HASH, _PRODUCT = 1.5, 0.6, 0.7
"""Of a value that is summed, of that and a hash, and of a product: what another part costs."""


@dataclass(frozen=True)
class ImageMemory:
    """Tables that are held at a time: of some slices, and of some tiles of 16 channels."""

    slices: int
    tiles: int
    padded: bool
    """The input is copied with its padding; otherwise that is filled in where slices are gathered."""
    rest: int
    """Positions whose accumulators are in the scratch, if there are several passes; else 0."""
    scratch_bytes: int
    note: str
    """Says so where tables of all channels would need too much; else empty."""


def choose_memory(op: QReuseImage, slices: Slices) -> ImageMemory:
    """The fastest, by estimate, whose scratch keeps the layer within 1.3 times the conventional one's SRAM.

    Where none does, the smallest. Outputs are the same bits.
    """
    limit = most_scratch(op.dims)
    sized = [(scratch_bytes(op, slices, *c), _cycles(op, *c), *c) for c in memory_choices(op)]
    fitting = [choice for choice in sized if choice[0] <= limit]
    need, _, held, group, padded, rest = min(fitting, key=lambda choice: choice[1:]) if fitting else min(sized)
    return ImageMemory(held, group, padded, rest, need, _note(op, group, rest))


def _note(op: QReuseImage, group: int, rest: int) -> str:
    parts, channels = parts_of(op, rest) if rest else 1, op.dims.output[2]
    made = [f"tables of {group * TILE} of {channels} channels at a time"] if group * TILE < channels else []
    made += [f"outputs in {parts} parts, each of which finds all clusters"] if parts > 1 else []
    return f"{' and '.join(made)}, at once would need more than 1.3 times the conventional layer's SRAM" if made else ""


def memory_choices(op: QReuseImage) -> Iterator[tuple[int, int, bool, int]]:
    """Slices of a pass, tiles of a group, whether the input is copied with its padding, and `ImageMemory.rest`.

    Not those that only need more for the same number of passes, groups and parts.
    """
    tiles = -(-op.dims.output[2] // TILE)
    copies = [True, False] if any(op.dims.padding) else [False]
    rests = sorted({fewest_rest(op, parts, _row_bytes(op)) for parts in range(1, _MOST_PARTS + 1)})
    for held in sorted({-(-op.slices // passes) for passes in range(1, op.slices + 1)}):
        for group in sorted({-(-tiles // groups) for groups in range(1, tiles + 1)}):
            for rest in rests if held < op.slices else [0]:
                yield from ((held, group, padded, rest) for padded in copies)


def parts_of(op: QReuseImage, rest: int, row_bytes: int | None = None) -> int:
    """Parts of the outputs, if accumulators of `rest` positions are in the scratch; others lie in the output tensor."""
    left, parts = op.dims.positions, 0
    while left > 0:
        left -= left * op.dims.output[2] // (row_bytes or _row_bytes(op)) + rest
        parts += 1
    return parts


def fewest_rest(op: QReuseImage, parts: int, row_bytes: int) -> int:
    """Positions whose accumulators, of `row_bytes` each, must be in the scratch for so many parts."""
    low, high = 1, op.dims.positions
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if parts_of(op, middle, row_bytes) <= parts else (middle + 1, high)
    return low


def _cycles(op: QReuseImage, held: int, group: int, padded: bool, rest: int) -> int:
    """About what the choice costs beyond what all of them do."""
    parts = parts_of(op, rest) if rest else 1
    vectors = blocks_of(op) * op.slices * 4 * words(op.length) * op.block_rows
    products = op.slices * kernel_slots(op) * 4 * words(op.length) * op.block_rows * op.dims.output[2]
    again = round((parts - 1) * (vectors * (_SUM + _HASH * op.hash.hashes) + products * _PRODUCT))
    return again + parts * _once(op, held, group, padded)


def _once(op: QReuseImage, held: int, group: int, padded: bool) -> int:
    """The same, of one part."""
    tiles = -(-op.dims.output[2] // TILE)
    passes, groups = -(-op.slices // held), -(-tiles // group)
    several = passes > 1
    recovery = op.dims.positions * tiles * (passes * _PASS + several * _FINISH)
    kept = (groups > 1) * op.slices * kernel_slots(op) * 4 * words(op.length) * op.block_rows * _KEEP
    runs = op.dims.output[0] * -(-op.dims.output[1] // LONGEST_RUN)
    filled = _FILL_RUN * runs + _FILL * op.dims.positions * words(op.length)
    gathered = (any(op.dims.padding) and not padded) * op.slices * filled
    return recovery + kept + gathered + (groups - 1) * op.slices * -(-kernel_slots(op) // 4) * op.block_rows * _GROUP


def blocks_of(op: QReuseImage) -> int:
    """Blocks of a slice."""
    return op.dims.positions // op.block_rows


def kernel_slots(op: QReuseImage) -> int:
    """Places in the tables of a slice; see `place_ids`."""
    return place_ids(op.name, op.hash.hashes, op.slots, blocks_of(op), "slice")


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


def is_hashed(op: QReuseImage) -> bool:
    """Whether ids are looked up, for they are too many for a place each."""
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


def _row_bytes(op: QReuseImage) -> int:
    """Of a table row, or of the sums of a position, of all channels."""
    return round_up(op.dims.output[2], TILE) * 2


def scratch_bytes(op: QReuseImage, slices: Slices, per_pass: int, group: int, padded: bool, rest: int) -> int:
    """The parts of `image_scratch` in ost_reuse_image_scratch.h."""
    fills = any(op.dims.padding) and not padded
    gathered = run_length(op.dims) * 4 * words(op.length) if fills else slices.gather_bytes
    b, hashed, slots = op.block_rows, is_hashed(op), kernel_slots(op)
    values, clusters = 4 * words(op.length) * b, slots + hashed
    areas = per_pass if group * TILE < op.dims.output[2] else 1
    places = 1 << max(1, (2 * slots - 1).bit_length()) if hashed else 0
    run = _BLOCKS if b > 1 else run_length(op.dims) * max(1, LONGEST_RUN // (op.dims.output[1] + 1))
    id_bytes = 2 if hashed else 1
    single, row = hashed or op.dims.positions % b != 0, group * TILE * 2
    return scratch_size(
        4,
        0 if fills else slices.padded_bytes,
        _BLOCKS * values if b > 1 else gathered,
        _padded_pixels(op) * (op.dims.input[2] // op.length) * id_bytes if has_pixel_ids(op) else 0,
        2 * run if hashed else 0,
        2 * places,
        places,
        blocks_of(op) * per_pass + 1,
        areas * clusters * values * 2,
        clusters * values * 2 if blocks_of(op) > _EXACT_ROWS else 0,
        clusters * 2,
        areas * clusters,
        areas * 2,
        4 * values * 2,
        per_pass * b * slots * row,
        values // b if single else 0,
        _SINGLES * row if single else 0,
        _TOGETHER * row if single and per_pass == op.slices else 0,
        rest * _row_bytes(op) if per_pass < op.slices else 0,
    )
