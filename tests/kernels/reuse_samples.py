"""Random reuse operators, and those of CifarNet, for tests and benchmarks of their kernels."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Literal

import numpy as np

from ostinato.kernels import reuse_compiled, reuse_image
from ostinato.kernels.binding import Binding
from ostinato.kernels.reuse_compiled import bind_reuse_compiled
from ostinato.kernels.reuse_image import bind_reuse_image
from ostinato.kernels.reuse_image_compact import compact_bytes, compact_choices
from ostinato.kernels.reuse_image_memory import memory_choices, scratch_bytes
from ostinato.kernels.reuse_layout import in_one_row, locate_slices
from ostinato.kernels.reuse_pointers import has_pointer_form
from ostinato.quant.arithmetic import Int8Array, Int32Array, IntArray, truncating_divide
from ostinato.quant.ops import ConvDims, QHash, QMaxPool2d, QReuseCompiled, QReuseImage, QTensor
from ostinato.quant.pooled_op import QPooled, pooled
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.order import ROW_AXES, parse_order, permutation
from ostinato.reuse.views import column_indices

ORDERS = ("c.kh.kw", "kh.kw.c", "kw.kh.c", "kw.c.kh", "c:3.kh.kw", "kh:2.c:4.kw", "c:2.kw:2.kh")
ROW_ORDERS = ("b.oh.ow", "b.ow.oh", "b.oh:2.ow:2", "b.ow:3.oh", "b.oh:2.ow")
Tree = Literal["cut"] | bool | None
"""`cut`: a tree of thresholds, each node's plane with one entry; None: any."""


def column_order(dims: ConvDims, order: str) -> Int32Array:
    """(K, 3): (c, kh, kw) of every im2col column."""
    geometry = ConvGeometry(dims.input[2], dims.output[2], dims.kernel)
    return column_indices(geometry, order).astype(np.int32)


def row_positions(dims: ConvDims, order: str) -> Int32Array | None:
    """(N,) the output position of each row of X, None if it is its own."""
    if order == "b.oh.ow":
        return None
    return permutation(parse_order(order, ROW_AXES), ROW_AXES, (1, *dims.output[:2])).astype(np.int32)


def tensor(name: str, shape: tuple[int, ...], zero_point: int) -> QTensor:
    return QTensor(name, shape, 0.05, zero_point)


def smooth_input(rng: np.random.Generator, shape: tuple[int, ...], zero_point: int) -> Int8Array:
    """Waves with a little noise, cut off below zero: neighbours are alike, as in activations after ReLU."""
    height, width, channels = shape
    y, x = np.mgrid[0:height, 0:width]
    waves = np.zeros(shape)
    for _ in range(4):
        fy, fx, phase = (
            rng.uniform(0, 1.5 / height, channels),
            rng.uniform(0, 1.5 / width, channels),
            rng.random(channels),
        )
        waves += rng.normal(size=channels) * np.cos(2 * np.pi * (fy * y[..., None] + fx * x[..., None] + phase))
    waves += rng.normal(0, 0.05, shape)
    real = np.maximum(waves, 0) / max(np.abs(waves).max(), 1e-9)
    return np.clip(np.rint(real * 250) + zero_point, -128, 127).astype(np.int8)


def random_input(rng: np.random.Generator, shape: tuple[int, ...], zero_point: int) -> Int8Array:
    if rng.random() < 0.5:
        return smooth_input(rng, shape, zero_point)
    return rng.integers(-128, 128, shape).astype(np.int8)


def random_window(rng: np.random.Generator, channels: int, outputs: int, most_columns: int = 400) -> ConvDims:
    """Any kernel, stride, padding and dilation; sides of the output up to about 9."""
    while True:
        kernel = tuple(int(v) for v in rng.integers(1, 6, 2))
        if kernel[0] * kernel[1] * channels <= most_columns:
            break
    stride = tuple(int(v) for v in rng.choice([1, 1, 2, 3], 2))
    dilation = tuple(int(v) for v in rng.choice([1, 1, 1, 2], 2))
    padding = tuple(int(rng.integers(0, k)) if rng.random() < 0.6 else 0 for k in kernel)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [int(rng.integers(max(1, r - 2 * p), r + 9)) for r, p in zip(reach, padding, strict=True)]
    out = [(n + 2 * p - r) // s + 1 for n, p, r, s in zip(size, padding, reach, stride, strict=True)]
    return ConvDims(
        input=(size[0], size[1], channels),
        output=(out[0], out[1], outputs),
        kernel=(kernel[0], kernel[1]),
        stride=(stride[0], stride[1]),
        padding=(padding[0], padding[1]),
        dilation=(dilation[0], dilation[1]),
    )


def random_hash(
    rng: np.random.Generator, groups: int, hashes: int, length: int, zero_point: int, tree: Tree
) -> QHash:
    """Hyperplanes through the middle of the data, some of them far away from it; a tree of them now and then."""
    if tree is None:
        tree = bool(hashes <= 8 and rng.random() < 0.4)
        tree = "cut" if tree and rng.random() < 0.4 else tree
    if tree == "cut":
        return _cuts(rng, groups, hashes, length)
    planes = (1 << hashes) - 1 if tree else hashes
    vectors = rng.integers(-127, 128, (groups, planes, length)).astype(np.int8)
    vectors[rng.random((groups, planes)) < 0.05] = 0
    centre = vectors.astype(np.int64) @ np.full(length, (zero_point + rng.integers(-128, 128)) // 2)
    offset = -centre + rng.normal(0, 1500 * np.sqrt(length), (groups, planes)).astype(np.int64)
    far = rng.random((groups, planes)) < 0.03
    offset[far] = rng.choice([-(1 << 30), 1 << 30], int(far.sum()))
    return QHash(vectors=vectors, offset=offset.astype(np.int32), tree=tree)


def _cuts(rng: np.random.Generator, groups: int, hashes: int, length: int) -> QHash:
    """A tree of planes with one entry or none, of either sign; some thresholds are beyond int8 or at its ends."""
    planes = (1 << hashes) - 1
    vectors = np.zeros((groups, planes, length), np.int8)
    value = rng.choice([127, 127, -127, -128, 1, -1, 3, 0, 50], (groups, planes))
    np.put_along_axis(vectors, rng.integers(0, length, (groups, planes, 1)), value[..., None].astype(np.int8), 2)
    threshold = rng.integers(-130, 131, (groups, planes))
    offset = -value * threshold + rng.integers(-2, 3, (groups, planes))
    return QHash(vectors=vectors, offset=offset.astype(np.int32), tree=True)


def make_image(
    rng: np.random.Generator,
    dims: ConvDims,
    length: int,
    hashes: int,
    order: str,
    *,
    gain: float = 1.0,
    tree: Tree = None,
    groups: int | None = None,
    slots: int = 1 << 16,
    block_rows: int = 1,
    row_order: str = "b.oh.ow",
) -> QReuseImage:
    """Outputs spread over int8 at gain 1; a large gain saturates the int16 tables and sums.

    Slice s is hashed like slice s mod `groups`; by default every slice has hashes of its own.
    """
    channels, columns = dims.output[2], dims.columns
    zero, bits, slices = int(rng.integers(-128, 128)), int(rng.integers(1, 8)), -(-columns // length)
    weight = rng.integers(-127, 128, (channels, columns)).astype(np.int8)
    spread = 128 * 60 * 73 * np.sqrt(columns)  # of an int32 sum over all slices
    multiplier = rng.uniform(0.3, 1.0, channels) * gain * 60 * 2**bits / spread * 2**32
    offset = rng.integers(-30 << bits, 30 << bits, channels) + (1 << (bits - 1))
    if gain > 1:
        offset = rng.integers(-(1 << 15), 1 << 15, channels)
    hashing = random_hash(rng, groups or slices, hashes, length * block_rows, zero, tree)
    index = np.arange(slices) % (groups or slices)
    return QReuseImage(
        name="features.conv",
        input=tensor("x", dims.input, zero),
        output=tensor("y", dims.output, 0),
        dims=dims,
        length=length,
        columns=column_order(dims, order),
        hash=replace(hashing, vectors=hashing.vectors[index], offset=hashing.offset[index]),
        weight=weight,
        multiplier=np.clip(multiplier, 1, (1 << 31) - 1).astype(np.int32),
        offset=offset.astype(np.int32),
        fraction_bits=bits,
        slots=slots,
        block_rows=block_rows,
        rows=row_positions(dims, row_order),
    )


def random_image(rng: np.random.Generator) -> QReuseImage:
    """Any order, up to 16 hashes with few slots or enough, blocks of up to five rows."""
    channels, outputs = int(rng.integers(1, 34)), int(rng.integers(1, 50))
    dims = random_window(rng, channels, outputs)
    order = str(rng.choice(ORDERS[:2] if rng.random() < 0.5 else ORDERS))
    block_rows = int(rng.integers(1, min(5, dims.positions) + 1)) if rng.random() < 0.4 else 1
    row_order = str(rng.choice(ROW_ORDERS)) if block_rows > 1 else "b.oh.ow"
    divisors = [n for n in range(1, channels + 1) if channels % n == 0]
    groups = None
    if order in ("kh.kw.c", "kw.kh.c") and rng.random() < 0.5:
        length = int(rng.choice(divisors))
        groups = channels // length if rng.random() < 0.5 else None
    else:
        length = int(rng.integers(1, min(dims.columns, 70) + 1))
    gain = float(rng.choice([1.0, 1.0, 40.0, 4000.0]))
    hashes = int(rng.integers(1, 17)) if rng.random() < 0.5 else int(rng.integers(1, 9))
    slots = int(rng.integers(1, 40)) if rng.random() < 0.3 else 255
    tree = None if hashes <= 8 else False
    return make_image(
        rng, dims, length, hashes, order, gain=gain, groups=groups, tree=tree, slots=slots, block_rows=block_rows,
        row_order=row_order,
    )  # fmt: skip


def safe_table(rng: np.random.Generator, rows: int, ids: int, channels: int, largest: int) -> tuple[IntArray, IntArray]:
    """A table within ±largest and offsets whose int16 sums cannot overflow, however close they come."""
    table = np.clip(rng.normal(0, largest / 2.5, (rows, ids, channels)).round(), -largest, largest)
    reach = np.abs(table).max(axis=1).sum(axis=0)
    while np.any(reach > 30000):
        table = np.fix(table / 2)
        reach = np.abs(table).max(axis=1).sum(axis=0)
    room = (32767 - reach).astype(np.int64)
    return table.astype(np.int8), np.clip(rng.integers(-3000, 3000, channels), -room, room)


def make_compiled(
    rng: np.random.Generator,
    dims: ConvDims,
    length: int,
    hashes: int,
    order: str,
    *,
    pixel_aligned: bool,
    largest: int = 127,
    bits: int | None = None,
    tree: Tree = None,
    repeat: int | None = None,
) -> QReuseCompiled:
    """`largest` bounds the table's entries: up to 63 all rows can be added in pairs.

    Slice s is hashed like slice s mod `repeat`; by default every slice that is not pixel-aligned has its own hashes.
    """
    zero = int(rng.integers(-128, 128))
    rows = -(-dims.columns // length)
    groups = dims.input[2] // length if pixel_aligned else rows
    table, offset = safe_table(rng, rows, 1 << hashes, dims.output[2], largest)
    if bits is None:
        spread = largest / 2.5 * np.sqrt(rows)
        bits = int(np.clip(np.log2(max(spread / 50, 2.0)), 1, 7))
    hashing = random_hash(rng, groups, hashes, length, zero, tree)
    index = np.arange(groups) % (repeat or groups)
    return QReuseCompiled(
        name="features.conv",
        input=tensor("x", dims.input, zero),
        output=tensor("y", dims.output, 0),
        dims=dims,
        length=length,
        columns=column_order(dims, order),
        pixel_aligned=pixel_aligned,
        hash=replace(hashing, vectors=hashing.vectors[index], offset=hashing.offset[index]),
        table=table,
        offset=offset.astype(np.int32),
        fraction_bits=bits,
    )


def random_compiled(rng: np.random.Generator) -> QReuseCompiled:
    channels, outputs = int(rng.integers(1, 34)), int(rng.integers(1, 50))
    dims = random_window(rng, channels, outputs)
    largest = int(rng.choice([7, 50, 127]))
    hashes = int(rng.integers(1, 13)) if dims.columns < 100 else int(rng.integers(1, 7))
    bits = int(rng.integers(1, 8))
    if rng.random() < 0.5:
        length = int(rng.choice([n for n in range(1, channels + 1) if channels % n == 0]))
        order = "kh.kw.c"
        aligned = True
    else:
        length = int(rng.integers(1, min(dims.columns, 70) + 1))
        order = "c.kh.kw" if rng.random() < 0.5 else "kh.kw.c"
        aligned = False
    repeat = None
    row = dims.kernel[1] * channels
    if not aligned and rng.random() < 0.6:  # slices that are parts of a pixel, or of a kernel row
        order = "kh.kw.c"
        whole = channels if rng.random() < 0.3 else row
        length = int(rng.choice([n for n in range(1, min(whole, 70) + 1) if whole % n == 0][-4:]))
        repeat = int(rng.choice([1, whole // length]))
    if dims.columns // length << hashes > 20000:  # keep the table small
        hashes = 4
    op = make_compiled(
        rng, dims, length, hashes, order, pixel_aligned=aligned, largest=largest, bits=bits, repeat=repeat
    )
    return beyond_int16(rng, op) if rng.random() < 0.1 else op


def beyond_int16(rng: np.random.Generator, op: QReuseCompiled) -> QReuseCompiled:
    """Offsets around both ends of int16 or far from them: wrapped int16 sums would give other outputs."""
    far = rng.choice([32767, -32768, 100_000, -3_000_000], op.dims.output[2])
    return replace(op, offset=np.where(rng.random(len(far)) < 0.5, op.offset, far).astype(np.int32))


def pooled_layer(op: QReuseCompiled, window: tuple[int, int]) -> QPooled:
    """The layer and a max-pool whose windows lie side by side."""
    height, width, channels = op.dims.output
    dims = ConvDims(op.dims.output, (height // window[0], width // window[1], channels), window, window)
    output = replace(op.output, name="pooled", shape=dims.output)
    return pooled(op, QMaxPool2d(name="pool", input=op.output, output=output, dims=dims))


def random_pooled(rng: np.random.Generator) -> QPooled:
    """Windows of up to three by three outputs, some of which are left over."""
    while True:
        op = random_compiled(rng)
        window = tuple(int(rng.integers(1, min(3, size) + 1)) for size in op.dims.output[:2])
        if window != (1, 1):
            return pooled_layer(op, (window[0], window[1]))


def random_with_addresses(count: int) -> list[tuple[QReuseCompiled, tuple[int, int]]]:
    """Layers that code by addresses can be generated for, and the window of a max-pool behind them."""
    found: list[tuple[QReuseCompiled, tuple[int, int]]] = []
    for seed in itertools.count(50_000):
        rng = np.random.default_rng(seed)
        op = random_compiled(rng)
        op = replace(op, dims=replace(op.dims, output=(*op.dims.output[:2], 16)))
        table, offset = safe_table(rng, op.rows, op.table.shape[1], 16, 50)
        op = replace(op, output=tensor("y", op.dims.output, 0), table=table, offset=offset.astype(np.int32))
        window = (int(rng.integers(1, op.dims.output[0] + 1)), int(rng.integers(1, op.dims.output[1] + 1)))
        if has_pointer_form(op, window):
            found.append((op, window))
        if len(found) == count:
            return found
    raise AssertionError


SOURCES = tuple(dict.fromkeys((*reuse_image.SOURCES, *reuse_image.COMPACT_SOURCES, *reuse_compiled.SOURCES)))


def bind(op: QReuseImage | QReuseCompiled | QPooled) -> Binding:
    """On the library's code, compiled once for all layers; test_reuse_pointers.py tests what is generated."""
    if isinstance(op, QPooled):
        return bind_reuse_compiled(op.layer, "offsets", op.pool.dims.kernel)
    return bind_reuse_image(op, "tables") if isinstance(op, QReuseImage) else bind_reuse_compiled(op, "offsets")


def every_form(op: QReuseImage | QReuseCompiled | QPooled) -> tuple[Binding, ...]:
    """`bind`, and in image scope the kernel that needs little SRAM."""
    return (bind(op), bind_reuse_image(op, "compact")) if isinstance(op, QReuseImage) else (bind(op),)


def compact_forms(op: QReuseImage, most: int = 1 << 16) -> list[Binding]:
    """The compact kernel with every number of runs, centroids and parts, or `most` of them."""
    flat, binding = replace(op, dims=in_one_row(op.dims)), bind_reuse_image(op, "compact")
    choices = list(compact_choices(flat))
    made = []
    for run, together, rest in choices[:: -(-len(choices) // most)]:
        params = {"layer": {**binding.params["layer"], "rest": rest}, "run": run, "together": together}
        made.append(replace(binding, params=params, scratch_bytes=compact_bytes(flat, run, together, rest)))
    return made


def table_forms(op: QReuseImage, most: int = 1 << 16) -> list[Binding]:
    """The kernel by tables with every form of `memory_choices`, or `most` of them."""
    flat, binding = replace(op, dims=in_one_row(op.dims)), bind(op)
    slices, choices = locate_slices(flat.dims, op.columns, op.length), list(memory_choices(flat))
    made = []
    for held, group, padded, rest in choices[:: -(-len(choices) // most)]:
        form = {"slices_per_pass": held, "tiles_per_group": group, "padded": int(padded), "rest": rest}
        need = scratch_bytes(flat, slices, held, group, padded, rest)
        made.append(replace(binding, params={**binding.params, **form}, scratch_bytes=need))
    return made


def corner_cases() -> list[QReuseImage | QReuseCompiled]:
    """What random layers seldom are: as small as can be, wider than a run, every rest of rows, words and channels."""
    rng = np.random.default_rng(99)
    ops: list[QReuseImage | QReuseCompiled] = []
    smallest = ConvDims((1, 1, 1), (1, 1, 1), (1, 1))
    wide = ConvDims((3, 300, 2), (2, 299, 5), (2, 2))
    tall = ConvDims((24, 24, 3), (22, 22, 20), (3, 3))  # more than 256 rows: sums are flushed
    for dims in (smallest, wide, tall):
        for length in (1, dims.columns):
            ops.append(make_image(rng, dims, length, 2, "kh.kw.c", tree=False))
            ops.append(make_compiled(rng, dims, length, 3, "c.kh.kw", pixel_aligned=False, tree=False))
        ops.append(make_compiled(rng, dims, dims.input[2], 4, "kh.kw.c", pixel_aligned=True, tree=False))
    for length in (4, 8, 16):  # ids once per pixel
        dims = ConvDims((6, 7, 16), (3, 7, 20), (3, 3), (2, 1), (1, 1))
        ops.append(make_image(rng, dims, length, 5, "kh.kw.c", groups=16 // length))
    for hashes in range(1, 9):
        for length in (*range(1, 10), 31, 32, 33, 37, 65):  # every entry into the unrolled products
            dims = ConvDims((1, 4, length), (1, 4, 18), (1, 1))
            ops.append(make_image(rng, dims, length, hashes, "kh.kw.c", tree=False))
    for hashes in range(1, 13):
        for taps in range(1, 36 if hashes <= 4 else 19):  # every entry into the unrolled look-up
            dims = ConvDims((1, taps + 1, 2), (1, 2, 33), (1, taps))
            largest = (63, 127)[taps % 2]
            ops.append(
                make_compiled(rng, dims, 2, hashes, "kh.kw.c", pixel_aligned=True, largest=largest, tree=hashes == 5)
            )
    return ops


def one_cluster(x: Int8Array, zero_point: int) -> QReuseImage:
    """A layer for the (1, N, 4) image x: a single cluster, whose centroid shows in the outputs to its last bit.

    Channels m and m + 4 are column m's centroid less what it should be (plus one): 0 after >> 1, unless it is wrong.
    """
    members = x.shape[1]
    dims = ConvDims(x.shape, (1, members, 8), (1, 1))
    op = make_image(np.random.default_rng(0), dims, 4, 1, "kh.kw.c", tree=False)
    sums = (x.reshape(-1, 4).astype(np.int64) - zero_point).sum(axis=0)
    centroid = truncating_divide(128 * sums, np.array(members))
    return replace(
        op,
        input=replace(op.input, zero_point=zero_point),
        hash=QHash(vectors=np.zeros((1, 1, 4), np.int8), offset=np.zeros((1, 1), np.int32)),
        weight=(64 * np.tile(np.eye(4), (2, 1))).astype(np.int8),
        multiplier=np.full(8, 1 << 26, np.int32),
        offset=np.concatenate([-centroid, 1 - centroid]).astype(np.int32),
        fraction_bits=1,
    )
