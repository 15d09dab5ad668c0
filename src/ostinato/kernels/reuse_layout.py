"""What the two reuse kernels share in packing: hashes, slices, tiles of channels (src/reuse/ost_reuse_*.h)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ostinato.errors import QuantizationError
from ostinato.kernels.binding import Phase
from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN, Int32Array, IntArray
from ostinato.quant.ops import ConvDims, QHash, QReuseCompiled
from ostinato.quant.reference_columns import hash_ids
from ostinato.quant.reuse_slots import SRAM_LIMIT

TILE = 16
"""Output channels that are recovered together."""
CHANNEL_ORDER = (0, 2, 1, 3)
"""Of every four channels in int16 tables, and of every four columns: what SXTB16 and SXTB16 ROR #8 make of a word."""
HASH_PART = 4
"""Hyperplanes that one pass over the vectors asks."""
LONGEST_RUN = 128
"""Vectors that are handled together."""
_INT32 = 1 << 31

SHARED_SOURCES = tuple(
    f"reuse/ost_reuse_{name}"
    for name in (
        "hash.c", "hash_pairs.S", "slices.c", "gather.S", "tree.c", "tree_walk.S", "thresholds.c", "threshold_walk.S",
    )
)  # fmt: skip
SHARED_PHASES: dict[str, Phase] = {
    "ost_reuse_pad_input": "transformation",
    "ost_reuse_pad_rows": "transformation",
    "ost_reuse_padded_bytes": "transformation",
    "ost_reuse_gather_bytes": "transformation",
    "ost_reuse_slice_run": "transformation",
    "ost_reuse_gather_run": "transformation",
    "ost_reuse_gather_word": "transformation",
    "ost_reuse_hash_run": "clustering",
    "ost_reuse_hash_rows": "clustering",
    "ost_reuse_tree_run": "clustering",
    "ost_reuse_tree_walk_long": "clustering",
    "ost_reuse_threshold_run": "clustering",
    "ost_reuse_threshold_walk": "clustering",
    **{f"ost_reuse_tree_walk_{n}": "clustering" for n in (1, 2, 4)},
    **{f"ost_reuse_hash_pairs_{n}": "clustering" for n in range(1, HASH_PART + 1)},
}  # fmt: skip


def columns_of_slices(columns: int, length: int) -> list[int]:
    """Columns of each slice of `length`; the last one may have fewer."""
    return [min(length, columns - start) for start in range(0, columns, length)]


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple that is not less."""
    return -(-value // multiple) * multiple


def words(length: int) -> int:
    """Words of four columns in a slice."""
    return -(-length // 4)


def scratch_size(*parts: int) -> int:
    """Bytes of a scratch whose parts are each aligned to 8."""
    return sum(round_up(part, 8) for part in parts)


@dataclass(frozen=True)
class Slices:
    """Where slices lie in the padded input, and what the kernel reads there."""

    starts: Int32Array
    """(S,): first element read of a contiguous slice, or −1 − g for the g-th gathered one."""
    gather: Int32Array
    """(gathered slices, words · 4) element offsets as `mark_spans` leaves them; lanes beyond a slice repeat them."""
    leading: tuple[int, ...]
    """Lanes in front of each slice's first column, which must have no weight."""
    padded_bytes: int
    """Of the copy with padding, 0 if the input is read where it is."""
    gather_bytes: int


def column_addresses(dims: ConvDims, columns: Int32Array) -> IntArray:
    """(K,) where each column (c, kh, kw) lies from a window's corner in the padded NHWC input."""
    width, channels = dims.input[1] + 2 * dims.padding[1], dims.input[2]
    c, kh, kw = columns.astype(np.int64).T
    addresses: IntArray = (kh * dims.dilation[0] * width + kw * dims.dilation[1]) * channels + c
    return addresses


def locate_slices(dims: ConvDims, columns: Int32Array, length: int) -> Slices:
    """Find each slice of `length` columns (c, kh, kw) in the padded NHWC input.

    A contiguous slice whose whole words would end beyond the tensor at the last output starts that much earlier.
    """
    height, width, channels = padded_size(dims)
    address = column_addresses(dims, columns)
    corner = ((dims.output[0] - 1) * dims.stride[0] * width + (dims.output[1] - 1) * dims.stride[1]) * channels
    lanes, total = 4 * words(length), height * width * channels
    starts: list[int] = []
    gather: list[IntArray] = []
    leading: list[int] = []
    for first in range(0, len(address), length):
        part = address[first : first + length]
        beyond = max(0, int(corner + part[0] + lanes - total))
        if np.all(np.diff(part) == 1) and beyond <= part[0]:
            starts.append(int(part[0]) - beyond)
            leading.append(beyond)
        else:
            starts.append(-1 - len(gather))
            gather.append(mark_spans(np.pad(part, (0, lanes - len(part)), mode="edge")))
            leading.append(0)
    return Slices(
        starts=np.array(starts, np.int32),
        gather=np.array(gather, np.int32).reshape(-1, lanes),
        leading=tuple(leading),
        padded_bytes=total if any(dims.padding) else 0,
        gather_bytes=run_length(dims) * lanes if gather else 0,
    )


def mark_spans(offsets: IntArray) -> IntArray:
    """(words · 4,) offsets; of words that lie side by side, the second becomes minus how many there are from it on."""
    words = offsets.reshape(-1, 4)
    marked, following = words.copy(), 0
    for w in range(len(words) - 1, -1, -1):
        joined = following if w + 1 < len(words) and words[w + 1, 0] == words[w, 3] + 1 else 0
        following = joined + 1 if np.all(np.diff(words[w]) == 1) else 0
        if following:
            marked[w, 1] = -following
    return marked.reshape(-1)


def padded_size(dims: ConvDims) -> tuple[int, int, int]:
    """Height, width and channels of the input with its padding."""
    (height, width, channels), (ph, pw) = dims.input, dims.padding
    return height + 2 * ph, width + 2 * pw, channels


def in_one_row(dims: ConvDims) -> ConvDims:
    """The same convolution with all output positions in one row, where that is possible: longer runs cost less.

    It is for 1×1 windows that take every input pixel.
    """
    if dims.kernel != (1, 1) or dims.stride != (1, 1) or dims.padding != (0, 0) or dims.input[:2] != dims.output[:2]:
        return dims
    return replace(dims, input=(1, dims.positions, dims.input[2]), output=(1, dims.positions, dims.output[2]))


def run_length(dims: ConvDims) -> int:
    """Output positions of a row that are handled together."""
    return min(dims.output[1], LONGEST_RUN)


def place_columns(values: IntArray, leading: int, lanes: int) -> IntArray:
    """(..., columns) → (..., lanes), `leading` zeros in front."""
    before = [(0, 0)] * (values.ndim - 1)
    return np.pad(values, [*before, (leading, lanes - leading - values.shape[-1])])


def pack_hash(
    name: str, hashing: QHash, columns: list[int], leading: tuple[int, ...], block_rows: int = 1
) -> dict[str, IntArray]:
    """`hash_offsets` (int32) and `hash_vectors` (int16) as ost_reuse_hash.h and ost_reuse_tree.h lay them out.

    Args:
        name: the layer's, for messages.
        hashing: G groups.
        columns: columns of each group's vectors (a ragged last slice has fewer).
        leading: lanes in front of them.
        block_rows: rows of X in a vector, each of which has its columns and lanes.

    Raises:
        QuantizationError: a projection could overflow int32.
    """
    groups, planes, size = hashing.vectors.shape
    rows = hashing.vectors.astype(np.int64).reshape(groups, planes, block_rows, size // block_rows)
    lanes = 4 * words(size // block_rows)
    offsets, vectors = [], []
    for group, (count, front) in enumerate(zip(columns, leading, strict=True)):
        v = -place_columns(rows[group, ..., :count], front, lanes).reshape(planes, -1)
        reach = 128 * np.abs(v).sum(axis=1)
        if np.any(2 * reach + 1 >= _INT32):
            raise QuantizationError(
                f"Layer {name}: hashing slices of length {count} could reach {int(2 * reach.max())}, beyond int32; "
                "use shorter slices."
            )
        # Beyond the reach of the projection an offset alone decides, however large it is.
        offset = -np.clip(hashing.offset[group].astype(np.int64), -reach - 1, reach + 1)
        for part in _parts(hashing):
            pairs = v[part].reshape(len(part), -1, 4)[:, :, list(CHANNEL_ORDER)].reshape(len(part), -1, 2, 2)
            offsets.append(offset[part])
            vectors.append(pairs.transpose(1, 2, 0, 3).reshape(-1))
    return {
        "hash_offsets": np.concatenate(offsets).astype(np.int32),
        "hash_vectors": np.concatenate(vectors).astype(np.int16),
    }


def _parts(hashing: QHash) -> list[IntArray]:
    """Planes that lie side by side: up to 4 hashes that one pass computes; the planes of a tree each by itself."""
    planes = hashing.vectors.shape[1]
    return np.array_split(np.arange(planes), planes if hashing.tree else -(-planes // HASH_PART))


def to_channel_order(values: IntArray, multiple: int) -> IntArray:
    """(M, ...) → (M rounded up to a multiple of 4 or 16, ...): zeros appended, then 0 2 1 3 of every four."""
    full = np.pad(values, [(0, -len(values) % multiple), *[(0, 0)] * (values.ndim - 1)])
    return full.reshape(-1, 4, *full.shape[1:])[:, list(CHANNEL_ORDER)].reshape(full.shape)


def sram_note(dims: ConvDims, scratch_bytes: int) -> str:
    """Says so where the layer needs more than 1.3 times the SRAM of the conventional one (CMSIS-NN's); else empty."""
    ratio = times_conventional(dims, scratch_bytes)
    return f"{ratio:.2f} times the conventional layer's SRAM" if ratio > SRAM_LIMIT else ""


def times_conventional(dims: ConvDims, scratch_bytes: int) -> float:
    """A layer's input, output and scratch over the SRAM of the conventional one (CMSIS-NN's)."""
    return (_tensor_bytes(dims) + scratch_bytes) / _conventional_bytes(dims)


def most_scratch(dims: ConvDims) -> int:
    """Bytes of scratch with which a layer needs 1.3 times the SRAM of the conventional one."""
    return int(SRAM_LIMIT * _conventional_bytes(dims)) - _tensor_bytes(dims)


def _tensor_bytes(dims: ConvDims) -> int:
    return int(np.prod(dims.input) + np.prod(dims.output))


def _conventional_bytes(dims: ConvDims) -> int:
    """Input, output, and two windows of int16."""
    return _tensor_bytes(dims) + 4 * dims.columns


def padding_ids(op: QReuseCompiled) -> IntArray:
    """(C / L,) uint16: the ids of a padding pixel's channel blocks."""
    vector = np.full((1, op.length), op.input.zero_point, np.int64)
    ids = [int(hash_ids(vector, op.hash, group)[0]) for group in range(len(op.hash.vectors))]
    return np.array(ids, np.uint16)


def table_tiles(op: QReuseCompiled) -> IntArray:
    """(tiles, R, 2^H, 16), zeros for channels beyond M."""
    rows, ids, channels = op.table.shape
    full = np.pad(op.table, ((0, 0), (0, 0), (0, -channels % TILE)))
    return full.reshape(rows, ids, -1, TILE).transpose(2, 0, 1, 3)


def paired_tiles(op: QReuseCompiled) -> IntArray:
    """(tiles,) uint8: 1 where rows 2r and 2r + 1 of all channels add up within int8, whatever their ids.

    Such tiles are added in pairs of rows by SADD8 before they are widened, which saves a tenth of the time.
    """
    tiles = table_tiles(op).astype(np.int64)
    even, odd = tiles[:, 0 : op.rows - 1 : 2], tiles[:, 1 : op.rows : 2]
    highest = even.max(axis=2) + odd.max(axis=2)
    lowest = even.min(axis=2) + odd.min(axis=2)
    safe = (highest <= INT8_MAX) & (lowest >= INT8_MIN)
    paired: IntArray = safe.reshape(len(tiles), -1).all(axis=1).astype(np.uint8)
    return paired
