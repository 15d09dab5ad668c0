"""What `ost_reuse_image_compact_s8` keeps in SRAM: the form of image scope for layers whose tables are too large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ostinato.kernels.reuse_image_memory import blocks_of, fewest_rest, is_hashed, kernel_slots, parts_of
from ostinato.kernels.reuse_layout import LONGEST_RUN, TILE, most_scratch, round_up, scratch_size, words
from ostinato.quant.ops import QReuseImage

_TOGETHER = (4, 2, 1)
_RUNS = (LONGEST_RUN, 32, 16, 8, 4, 2, 1)
_MOST_PARTS = 16
"""Each of them finds all clusters again; with so many, one position's accumulators are in the scratch at a time."""

# About how many cycles of a Cortex-M4 a choice costs.
_HASH, _GATHER, _SUM, _MULTIPLY = 0.6, 1.5, 5.0, {1: 1.6, 2: 1.0, 4: 0.7}
"""Of a value and a hash; of a value that is hashed or summed; of a value that is summed; of a product."""
_RUN, _SCAN = 900, 6
"""Of a run of vectors; of a block that is looked at."""


@dataclass(frozen=True)
class CompactMemory:
    """Vectors of a run, centroids that are multiplied together, and positions whose accumulators are in the scratch."""

    run: int
    together: int
    rest: int
    scratch_bytes: int


def choose_compact(op: QReuseImage) -> CompactMemory:
    """The fastest, by estimate, within 1.3 times the conventional layer's SRAM; if none is, the smallest.

    Outputs are the same bits.
    """
    limit = most_scratch(op.dims)
    sized = [(compact_bytes(op, *c), _cycles(op, *c), c) for c in compact_choices(op)]
    fitting = [choice for choice in sized if choice[0] <= limit]
    need, _, (run, together, rest) = min(fitting, key=lambda choice: choice[1:]) if fitting else min(sized)
    return CompactMemory(run, together, rest, need)


def compact_choices(op: QReuseImage) -> Iterator[tuple[int, int, int]]:
    """`run`, `together` and `rest` of `CompactMemory`; of the last, the fewest for each number of parts."""
    longest = min(LONGEST_RUN, op.dims.output[1] if op.block_rows == 1 else blocks_of(op))
    for rest in sorted({fewest_rest(op, parts, accumulator_bytes(op)) for parts in range(1, _MOST_PARTS + 1)}):
        for run in sorted({min(run, longest) for run in _RUNS}):
            yield from ((run, together, rest) for together in _TOGETHER)


def accumulator_bytes(op: QReuseImage) -> int:
    """Of an output position."""
    return 2 * round_up(op.dims.output[2], 4)


def compact_bytes(op: QReuseImage, run: int, together: int, rest: int) -> int:
    """The parts of `lay_out` in ost_reuse_image_compact_s8.c."""
    values, slots, hashed = 4 * words(op.length), kernel_slots(op), is_hashed(op)
    places = 1 << max(1, (2 * slots - 1).bit_length()) if hashed else 0
    return scratch_size(
        4,
        max(run * op.block_rows * values, round_up(values, 8) + 4 * values),
        together * values * 2 if together > 1 else 0,
        together * TILE * 2,
        (slots + 1) * 2,
        blocks_of(op),
        2 * run if hashed else 0,
        2 * places,
        places,
        rest * accumulator_bytes(op),
    )


def _cycles(op: QReuseImage, run: int, together: int, rest: int) -> float:
    """About what the layer costs."""
    values, slots, tiles = op.dims.positions * 4 * words(op.length), kernel_slots(op), -(-op.dims.output[2] // TILE)
    hashing = values * (_GATHER + _HASH * op.hash.hashes) + blocks_of(op) / run * _RUN
    scans = blocks_of(op) * _SCAN * (slots + -(-slots // together) * tiles * op.block_rows)
    clusters = min(slots, blocks_of(op)) * op.block_rows
    products = clusters * 4 * words(op.length) * op.dims.output[2] * _MULTIPLY[together]
    slice_cycles = hashing + values * (_GATHER + _SUM) + scans + products
    return parts_of(op, rest, accumulator_bytes(op)) * op.slices * slice_cycles
