"""What the reuse bindings promise the kernels, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from horizontal_samples import make_horizontal
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reuse_samples import (
    ORDERS,
    bind,
    column_order,
    compact_forms,
    make_compiled,
    make_image,
    random_window,
    table_forms,
)

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.reuse_compiled import bind_reuse_compiled
from ostinato.kernels.reuse_horizontal import PanelForm, bind_reuse_horizontal, panel_scratch_bytes, whole_panels
from ostinato.kernels.reuse_image import bind_reuse_image
from ostinato.kernels.reuse_image_memory import has_pixel_ids, kernel_slots
from ostinato.kernels.reuse_layout import locate_slices, paired_tiles, words
from ostinato.kernels.reuse_map import map_of
from ostinato.kernels.sources import source_path
from ostinato.quant.ops import ConvDims
from ostinato.quant.reuse_slots import (
    choose_panel_slots,
    choose_slots,
    compact_panel_sram_bytes,
    compact_sram_bytes,
    panel_sram_bytes,
)
from ostinato.reuse import Pattern

CONV = ConvDims((7, 7, 8), (5, 5, 20), (3, 3))
CONV1 = ConvDims((32, 32, 3), (28, 28, 64), (5, 5))
CONV2 = ConvDims((14, 14, 64), (10, 10, 64), (5, 5))


def unmarked(offsets):
    """Gathered offsets without the marks of spans, every one of which is checked."""
    words = offsets.reshape(-1, 4).copy()
    spans = np.maximum(-words[:, 1], 0)
    words[spans > 0] = words[spans > 0, :1] + np.arange(4)
    for w, span in enumerate(spans):
        assert np.all(np.diff(words[w : w + span].reshape(-1)) == 1)
    return words.reshape(-1)


@pytest.mark.parametrize("seed", range(40))
def test_whole_words_never_leave_the_padded_input(seed):
    rng = np.random.default_rng(seed)
    for order in ORDERS:
        dims = random_window(rng, int(rng.integers(1, 20)), 4)
        length = int(rng.integers(1, dims.columns + 1))
        columns = column_order(dims, order)
        slices = locate_slices(dims, columns, length)
        width = dims.input[1] + 2 * dims.padding[1]
        total = (dims.input[0] + 2 * dims.padding[0]) * width * dims.input[2]
        last = ((dims.output[0] - 1) * dims.stride[0] * width + (dims.output[1] - 1) * dims.stride[1]) * dims.input[2]
        lanes = 4 * words(length)
        address = [
            (kh * dims.dilation[0] * width + kw * dims.dilation[1]) * dims.input[2] + c
            for c, kh, kw in columns.tolist()
        ]
        for s, start in enumerate(slices.starts.tolist()):
            part = address[s * length : (s + 1) * length]
            if start >= 0:
                read = list(range(start, start + lanes))
                assert last + read[-1] < total
            else:
                read = unmarked(slices.gather[-1 - start]).tolist()
            front = slices.leading[s]
            assert read[front : front + len(part)] == part
            assert max(read) + last < total


def test_contiguous_slices_are_not_gathered():
    rows = ConvDims((32, 32, 3), (28, 28, 64), (5, 5))
    assert locate_slices(rows, column_order(rows, "kh.kw.c"), 15).gather.size == 0
    pixels = ConvDims((16, 16, 64), (16, 16, 64), (3, 3), padding=(1, 1), dilation=(1, 1))
    assert locate_slices(pixels, column_order(pixels, "kh.kw.c"), 32).gather.size == 0
    assert locate_slices(pixels, column_order(pixels, "c.kh.kw"), 9).gather.size > 0


def test_pairs_are_found_where_they_are_safe():
    op = make_compiled(np.random.default_rng(0), CONV, 4, 3, "kh.kw.c", pixel_aligned=True, largest=63, tree=False)
    np.testing.assert_array_equal(paired_tiles(op), [1, 1])
    table = op.table.copy()
    table[2, 5, 17], table[3, 1, 17] = 100, 28  # one more than int8 holds, in the second tile
    np.testing.assert_array_equal(paired_tiles(replace(op, table=table)), [1, 0])
    table[3, 1, 17] = 27
    table[3, :, 17] = np.minimum(table[3, :, 17], 27)
    np.testing.assert_array_equal(paired_tiles(replace(op, table=table)), [1, 1])


@pytest.mark.parametrize("scope", ["image", "compiled"])
def test_sources_exist_and_arrays_are_flash(scope):
    rng = np.random.default_rng(0)
    op = (
        make_image(rng, CONV, 9, 3, "c.kh.kw")
        if scope == "image"
        else make_compiled(rng, CONV, 9, 3, "c.kh.kw", pixel_aligned=False)
    )
    binding = bind(op)
    assert all(source_path(name).is_file() for name in binding.sources)
    assert binding.flash_bytes == sum(a.nbytes for a in binding.arrays.values()) > 0


def test_a_layer_that_does_not_fit_the_kernel_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(UnsupportedError, match=r"features\.conv: 17 hashes \(131072 ids\).*takes 1 to 16 \(65536"):
        bind(make_image(rng, CONV, 9, 17, "kh.kw.c", tree=False))
    with pytest.raises(UnsupportedError, match=r"300 clusters a slice \(for 9 hashes and 400 blocks\).*at most 255"):
        bind(make_image(rng, ConvDims((1, 400, 2), (1, 400, 2), (1, 1)), 2, 9, "kh.kw.c", tree=False, slots=300))
    with pytest.raises(UnsupportedError, match=r"features\.conv: 13 hashes .*takes 1 to 12"):
        bind(make_compiled(rng, ConvDims((2, 2, 1), (1, 1, 1), (2, 2)), 2, 13, "kh.kw.c", pixel_aligned=False))
    image = make_image(rng, CONV, 8, 3, "kh.kw.c")
    with pytest.raises(UnsupportedError, match="padded input of 7"):
        bind(replace(image, dims=replace(CONV, output=(6, 5, 20))))
    huge = ConvDims((300, 300, 1), (300, 300, 1), (1, 1))
    with pytest.raises(UnsupportedError, match="90000 output positions"):
        bind(make_image(rng, huge, 1, 1, "kh.kw.c"))


def test_sums_that_could_overflow_are_refused():
    rng = np.random.default_rng(0)
    compiled = make_compiled(rng, CONV, 4, 3, "kh.kw.c", pixel_aligned=True)
    with pytest.raises(QuantizationError, match="beyond int32"):
        bind(replace(compiled, offset=np.full(20, 2**31 - 1, np.int32)))
    with pytest.raises(QuantizationError, match="fraction bits"):
        bind(replace(compiled, fraction_bits=0))
    long = ConvDims((1, 1, 600), (1, 1, 4), (1, 1))
    image = make_image(rng, long, 600, 2, "kh.kw.c")
    with pytest.raises(QuantizationError, match="beyond int32"):
        bind(replace(image, weight=np.full_like(image.weight, 127)))


def test_a_table_has_a_place_for_each_id_or_for_each_cluster():
    rng = np.random.default_rng(0)

    def slots(hashes, **fields):
        return kernel_slots(make_image(rng, CONV, 9, hashes, "kh.kw.c", tree=False, **fields))

    assert [slots(hashes) for hashes in (1, 4, 5, 8, 16)] == [2, 16, 25, 25, 25]  # 25 blocks in a slice
    assert slots(4, block_rows=2) == 16
    assert slots(5, block_rows=2) == 12
    assert slots(3, slots=5) == 5
    assert slots(16, slots=7) == 7
    few = bind(make_image(rng, CONV, 9, 16, "c.kh.kw", tree=False, slots=7))
    assert "7 clusters a slice for 65,536 ids" in few.note
    assert few.counts == "blocks that found no slot"
    assert bind(make_image(rng, CONV, 9, 16, "c.kh.kw", tree=False, slots=25)).counts == ""


def times_conventional(dims, scratch_bytes):
    tensors = np.prod(dims.input) + np.prod(dims.output)
    return (tensors + scratch_bytes) / (tensors + 4 * dims.columns)


def test_a_layer_says_what_it_does_to_need_little_sram():
    """Tables of all channels within the limit; of some of them; outputs in parts; no tables; more, whatever is done."""
    rng = np.random.default_rng(0)
    assert bind_reuse_image(make_image(rng, CONV2, 32, 3, "kh.kw.c", tree=False)).note == ""
    tiled = bind_reuse_image(make_image(rng, CONV2, 32, 6, "kh.kw.c", tree=False, slots=43))
    assert times_conventional(CONV2, tiled.scratch_bytes) <= 1.3
    assert tiled.params["tiles_per_group"] < 4
    assert f"tables of {16 * tiled.params['tiles_per_group']} of 64 channels at a time" in tiled.note
    parted = bind_reuse_image(make_image(rng, CONV2, 32, 8, "kh.kw.c", tree=False))
    assert times_conventional(CONV2, parted.scratch_bytes) <= 1.3
    assert "outputs in 2 parts, each of which finds all clusters" in parted.note
    long = make_image(rng, CONV2, 800, 4, "kh.kw.c", tree=False, slots=16)
    compact = bind_reuse_image(long)
    assert times_conventional(CONV2, compact.scratch_bytes) <= 1.3
    tables = times_conventional(CONV2, bind_reuse_image(long, "tables").scratch_bytes)
    assert f"tables are not kept, which would need {tables:.2f} times the conventional layer's SRAM" in compact.note
    tiny = ConvDims((4, 4, 8), (2, 2, 8), (1, 1), (2, 2))
    beyond = bind_reuse_image(make_image(rng, tiny, 4, 2, "kh.kw.c", tree=False))
    ratio = times_conventional(tiny, beyond.scratch_bytes)
    assert beyond.note.endswith(f"; {ratio:.2f} times the conventional layer's SRAM")


@pytest.mark.parametrize("dims", [CONV1, CONV2], ids=["conv1", "conv2"])
@pytest.mark.parametrize("length", [15, 32])
@pytest.mark.parametrize("hashes", [3, 4, 6, 8, 12, 16])
def test_chosen_slots_keep_a_layer_within_the_sram_limit(dims, length, hashes):
    """Whatever calibration saw, rows of a block, and column order: at most 1.3 times the conventional layer's."""
    rng = np.random.default_rng(0)
    for block_rows, order, peak in ((1, "kh.kw.c", 200), (1, "c.kh.kw", 40), (2, "kh.kw.c", 200)):
        pattern = Pattern(length, hashes, block_rows=block_rows, order=order)
        slots = choose_slots(pattern, dims, peak)
        op = make_image(rng, dims, length, hashes, order, slots=slots, block_rows=block_rows, tree=False)
        binding = bind_reuse_image(op)
        assert times_conventional(dims, binding.scratch_bytes) <= 1.3
        assert "parts" not in binding.note  # no cluster is found twice
        assert slots >= min(1 << hashes, 16)


@pytest.mark.parametrize("rows", [10, 20, 50])
@pytest.mark.parametrize("hashes", [4, 6, 9])
def test_chosen_slots_keep_a_horizontal_layer_within_the_sram_limit(rows, hashes):
    rng = np.random.default_rng(0)
    for length in (1, 2, 5):
        pattern = Pattern(length, hashes, direction="horizontal", sharing="layer", block_rows=rows)
        slots = choose_panel_slots(pattern, CONV2, 200)
        binding = bind_reuse_horizontal(make_horizontal(rng, CONV2, rows, length, hashes, slots=slots, tree=False))
        assert times_conventional(CONV2, binding.scratch_bytes) <= 1.3
        assert slots >= 10


@st.composite
def convolutions(draw, most_channels=64):
    """Windows of networks for small images: 1×1 to 5×5, valid or same, stride 1 or 2."""
    kernel, stride = draw(st.sampled_from([1, 3, 5])), draw(st.sampled_from([1, 2]))
    padding = draw(st.sampled_from([0, kernel // 2]))
    size = draw(st.integers(max(4, kernel), 33))
    channels, outputs = draw(st.sampled_from([1, 3, 4, 8, 16, 24, 32, most_channels])), draw(st.integers(1, 96))
    out = (size + 2 * padding - kernel) // stride + 1
    window = (kernel, kernel), (stride, stride), (padding, padding)
    return ConvDims((size, size, channels), (out, out, outputs), *window)


def conventional_bytes(dims):
    return np.prod(dims.input) + np.prod(dims.output) + 4 * dims.columns


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.floats(0, 1), st.integers(1, 12), st.integers(1, 255), st.integers(1, 8), st.booleans())
def test_an_image_layer_needs_at_most_its_share_of_sram(dims, part, hashes, peak, block_rows, in_order):
    """From four output channels on; blocks of at most four windows, slices of half of one in the smallest layers."""
    length = max(1, round(part * min(dims.columns, 900)))  # for longer ones int32 does not hold all products
    block_rows = min(block_rows, dims.positions)
    assume(conventional_bytes(dims) >= (1024 if length <= dims.columns / 2 else 2048))
    assume(dims.output[2] >= 4 and block_rows * length <= 4 * dims.columns)
    order = "kh.kw.c" if in_order else "c.kh.kw"
    pattern = Pattern(length, hashes, block_rows=block_rows, order=order)
    slots = choose_slots(pattern, dims, min(peak, 1 << hashes, dims.positions // block_rows))
    rng = np.random.default_rng(0)
    op = make_image(rng, dims, length, hashes, order, slots=slots, block_rows=block_rows, tree=False)
    binding = bind_reuse_image(op)
    assert times_conventional(dims, binding.scratch_bytes) <= 1.3
    smallest = min(form.scratch_bytes for form in compact_forms(op))
    assert smallest <= compact_sram_bytes(pattern, dims, slots) - np.prod(dims.input) - np.prod(dims.output)
    tables = bind_reuse_image(op, "tables")
    assert (binding.kernel == "reuse_image_s8") == (times_conventional(dims, tables.scratch_bytes) <= 1.3)


@settings(max_examples=20, deadline=None)
@given(convolutions(8), st.integers(1, 20), st.integers(1, 12), st.integers(1, 8))
def test_an_image_layer_that_needs_more_sram_says_so_and_has_the_least_form(dims, length, hashes, block_rows):
    length, block_rows = min(length, dims.columns), min(block_rows, dims.positions)
    rng = np.random.default_rng(0)
    op = make_image(rng, dims, length, hashes, "kh.kw.c", slots=200, block_rows=block_rows, tree=False)
    binding = bind_reuse_image(op)
    ratio = times_conventional(dims, binding.scratch_bytes)
    assert (ratio > 1.3) == binding.note.endswith(f"; {ratio:.2f} times the conventional layer's SRAM")
    if ratio > 1.3:
        assert binding.scratch_bytes == min(form.scratch_bytes for form in (*table_forms(op), *compact_forms(op)))


@settings(max_examples=30, deadline=None)
@given(convolutions(), st.integers(4, 48), st.integers(1, 12), st.booleans(), st.booleans())
def test_a_compiled_layer_needs_at_most_its_share_of_sram(dims, length, hashes, shared, in_order):
    """From L = 4 on, and where the conventional layer has a kilobyte at least."""
    length, channels = min(length, dims.columns), dims.input[2]
    assume(length >= 4 and dims.columns // length << hashes <= 20_000)
    assume(np.prod(dims.input) + np.prod(dims.output) + 4 * dims.columns >= 1024)
    shares = shared and (channels % length == 0 or dims.kernel[1] * channels % length == 0)
    whole = channels if channels % length == 0 else dims.kernel[1] * channels
    order = "kh.kw.c" if shares or in_order else "c.kh.kw"
    repeat = whole // length if shares else None
    op = make_compiled(
        np.random.default_rng(0), dims, length, hashes, order, pixel_aligned=False, tree=False, repeat=repeat
    )
    for binding in (bind_reuse_compiled(op, "offsets"), bind_reuse_compiled(op)):
        assert times_conventional(dims, binding.scratch_bytes) <= 1.3


@settings(max_examples=60, deadline=None)
@given(convolutions(16), st.integers(1, 9), st.integers(1, 120), st.integers(1, 10), st.integers(1, 255))
def test_a_horizontal_layer_needs_at_most_its_share_of_sram(dims, length, rows, hashes, peak):
    """Where the conventional layer has a kilobyte, of which a unit of a panel is a quarter at most."""
    length, rows = min(length, dims.columns), min(rows, dims.positions)
    assume(conventional_bytes(dims) >= 1024 and rows * length <= conventional_bytes(dims) / 4)
    pattern = Pattern(length, hashes, direction="horizontal", sharing="layer", block_rows=rows)
    slots = choose_panel_slots(pattern, dims, peak)
    op = make_horizontal(np.random.default_rng(0), dims, rows, length, hashes, slots=slots, tree=False)
    binding = bind_reuse_horizontal(op)
    assert times_conventional(dims, binding.scratch_bytes) <= 1.3
    whole = panel_scratch_bytes(op, whole_panels(op))
    assert (binding.scratch_bytes == whole) == (times_conventional(dims, whole) <= 1.3)
    tensors = np.prod(dims.input) + np.prod(dims.output)
    assert whole <= panel_sram_bytes(pattern, dims, slots) - tensors
    smallest = panel_scratch_bytes(op, PanelForm(min(rows, 8), 1, compact=True))
    assert smallest <= compact_panel_sram_bytes(pattern, dims, slots) - tensors


def test_a_horizontal_layer_that_needs_more_sram_says_so():
    """A unit of all rows of a small map, which has to be hashed as one vector."""
    dims = ConvDims((12, 12, 8), (10, 10, 8), (3, 3))
    op = make_horizontal(np.random.default_rng(0), dims, 100, 9, 3, slots=1, tree=False)
    binding = bind_reuse_horizontal(op)
    assert f"{times_conventional(dims, binding.scratch_bytes):.2f} times the conventional layer's SRAM" in binding.note
    assert times_conventional(dims, binding.scratch_bytes) > 1.3
    assert binding.scratch_bytes == panel_scratch_bytes(op, PanelForm(1, 1, compact=True))


def test_padding_is_not_copied_where_that_takes_too_much_sram():
    """The copy alone would be three quarters of the layer's tensors."""
    dims = ConvDims((28, 28, 32), (14, 14, 64), (3, 3), (2, 2), (1, 1))
    rng = np.random.default_rng(0)
    binding = bind(make_image(rng, dims, 32, 3, "kh.kw.c", tree=False))
    assert not binding.params["padded"]
    assert times_conventional(dims, binding.scratch_bytes) <= 1.3
    roomy = ConvDims((16, 16, 3), (16, 16, 64), (3, 3), padding=(1, 1))
    assert bind(make_image(rng, roomy, 9, 2, "kh.kw.c", tree=False)).params["padded"]


def test_ids_are_found_once_per_pixel_where_kernel_positions_share_their_hashes():
    rng = np.random.default_rng(0)
    shared = make_image(rng, CONV, 4, 3, "kh.kw.c", tree=False, groups=2)
    assert has_pixel_ids(shared)
    assert bind(shared).arrays["hash_offsets"].size == 2 * 3
    assert not has_pixel_ids(make_image(rng, CONV, 4, 3, "kh.kw.c", tree=False))
    assert has_pixel_ids(make_image(rng, CONV, 4, 3, "kw.kh.c", tree=False, groups=2))
    assert not has_pixel_ids(make_image(rng, CONV, 4, 3, "c:4.kh.kw", tree=False, groups=2))  # blocks change last
    assert not has_pixel_ids(make_image(rng, CONV, 4, 3, "kh.kw.c", tree=False, groups=2, block_rows=2))
    assert not has_pixel_ids(make_image(rng, CONV, 4, 3, "c.kh.kw", tree=False, groups=2))
    assert not has_pixel_ids(make_image(rng, CONV, 2, 3, "kh.kw.c", tree=False, groups=4))
    sparse = ConvDims((7, 7, 8), (2, 2, 20), (2, 2), (4, 4))
    assert not has_pixel_ids(make_image(rng, sparse, 4, 3, "kh.kw.c", tree=False, groups=2))


def test_where_ids_are_shared_by_kernel_positions():
    """By pixels, where their blocks repeat their hashes; by kernel rows otherwise; not where any group differs."""
    rng = np.random.default_rng(0)
    dims = ConvDims((7, 8, 4), (5, 6, 16), (3, 3))
    padded = ConvDims((7, 8, 4), (4, 4, 16), (3, 3), (2, 2), (1, 1))

    def of(dims, length, repeat, order="kh.kw.c"):
        return map_of(make_compiled(rng, dims, length, 3, order, pixel_aligned=False, tree=False, repeat=repeat))

    pixels = of(dims, 2, 2)
    assert (pixels.op.dims, pixels.pixel_step, pixels.row_step, pixels.padded_bytes) == (dims, 4, 32, 0)
    assert len(pixels.op.hash.vectors) == 2
    assert of(dims, 2, 1) is not None
    rows = of(padded, 6, 2)
    assert rows.op.dims == ConvDims((9, 4, 12), (4, 4, 16), (3, 1), (2, 1))
    assert (rows.pixel_step, rows.row_step, rows.padded_bytes) == (8, 40, 9 * 10 * 4)
    for none in ((dims, 2, None), (dims, 12, None), (dims, 5, 1), (dims, 24, 1)):
        assert of(*none) is None
    assert of(dims, 4, 1, "c.kh.kw") is None
    dilated = ConvDims((7, 8, 4), (5, 4, 16), (3, 3), dilation=(1, 2))
    assert of(dilated, 12, 1) is None
    assert of(dilated, 4, 1) is not None


def test_sums_beyond_int16_take_the_wide_kernel_and_say_so():
    rng = np.random.default_rng(0)
    op = make_compiled(rng, CONV2, 8, 4, "kh.kw.c", pixel_aligned=True, largest=63, tree=False)
    assert bind_reuse_compiled(op).kernel.startswith("reuse_pointers_s8_")
    assert bind_reuse_compiled(op, "offsets").arrays["wide_offset"].size == 0
    wide = bind_reuse_compiled(replace(op, offset=np.full(64, 32767, np.int32)))
    assert wide.kernel == "reuse_compiled_s8"
    assert wide.note.startswith("int32 sums, several times slower: a sum of 200 table rows could reach ")
    assert (wide.arrays["wide_offset"] == 32767).all()
