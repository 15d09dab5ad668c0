"""What the reuse bindings promise the kernels, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reuse_samples import bind, column_order, make_compiled, make_image, random_window

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.reuse_image import has_pixel_ids
from ostinato.kernels.reuse_layout import locate_slices, paired_tiles, words
from ostinato.kernels.reuse_map import map_of
from ostinato.kernels.sources import source_path
from ostinato.quant.ops import ConvDims

CONV = ConvDims((7, 7, 8), (5, 5, 20), (3, 3))


@pytest.mark.parametrize("seed", range(40))
def test_whole_words_never_leave_the_padded_input(seed):
    rng = np.random.default_rng(seed)
    for order in ("c.kh.kw", "kh.kw.c"):
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
                read = slices.gather[-1 - start].tolist()
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
    with pytest.raises(UnsupportedError, match=r"features\.conv: 9 hashes \(512 table entries.*takes 1 to 8 \(256"):
        bind(make_image(rng, CONV, 9, 9, "kh.kw.c", tree=False))
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
    with pytest.raises(QuantizationError, match="beyond int16"):
        bind(replace(compiled, offset=np.full(20, 32767, np.int32)))
    with pytest.raises(QuantizationError, match="fraction bits"):
        bind(replace(compiled, fraction_bits=0))
    long = ConvDims((1, 1, 600), (1, 1, 4), (1, 1))
    image = make_image(rng, long, 600, 2, "kh.kw.c")
    with pytest.raises(QuantizationError, match="beyond int32"):
        bind(replace(image, weight=np.full_like(image.weight, 127)))


def test_ids_are_found_once_per_pixel_where_kernel_positions_share_their_hashes():
    rng = np.random.default_rng(0)
    shared = make_image(rng, CONV, 4, 3, "kh.kw.c", tree=False, groups=2)
    assert has_pixel_ids(shared)
    assert bind(shared).arrays["hash_offsets"].size == 2 * 3
    assert not has_pixel_ids(make_image(rng, CONV, 4, 3, "kh.kw.c", tree=False))
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
