"""Packing, sizes and refusals of the conventional bindings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conventional_samples import make_conv, make_linear, make_pool, random_conv, tensor

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.abi import image
from ostinato.kernels.binding import ArrayRef, Binding
from ostinato.kernels.conventional import bind_conv, bind_linear
from ostinato.kernels.pools import bind_avg_pool, bind_max_pool
from ostinato.kernels.sources import include_dir, source_dir, source_path
from ostinato.quant.ops import ConvDims, QAvgPool2d, QMaxPool2d


@pytest.fixture
def conv():
    return make_conv(np.random.default_rng(0), ConvDims((6, 6, 3), (4, 4, 6), (3, 3)))


def test_dense_weights_are_where_the_header_says(conv):
    """Column k of channel m, found again through padding in front, SXTB16 order, blocks and pairs of channels."""
    packed = bind_conv(conv, "dense").arrays["weights"]
    columns, blocks = conv.dims.columns, packed.shape[1]
    flat = conv.weight.reshape(6, columns)
    assert packed.shape == (2, -(-columns // 16), 2, 16)
    assert packed.dtype == np.int16
    found = np.zeros_like(flat, dtype=np.int16)
    for m in range(6):
        for k in range(columns):
            position = k + 16 * blocks - columns
            within = position % 16 // 4 * 4 + [0, 2, 1, 3][position % 4]
            both = int(packed[m // 4, position // 16, m % 4 // 2, within])
            even = (both + 128) % 256 - 128
            found[m, k] = (both - even) // 256 if m % 2 else even
    np.testing.assert_array_equal(found, flat)
    assert np.count_nonzero(packed) <= np.count_nonzero(flat[::2] | flat[1::2])


def test_dense_weights_take_as_much_flash_as_int8(conv):
    flat = make_conv(np.random.default_rng(0), ConvDims((6, 6, 16), (4, 4, 8), (3, 3)))
    assert bind_conv(flat, "dense").arrays["weights"].nbytes == flat.weight.size


def test_sums_that_could_leave_24_bits_are_split(conv):
    """An odd channel's sum is known modulo 2^24 only: more columns than that holds are summed in parts."""
    op = make_conv(np.random.default_rng(0), ConvDims((5, 5, 64), (1, 1, 6), (5, 5)))
    blocks = 100
    for largest, part in ((40, blocks), (127, 32)):  # 65,536 / 127 columns are 32 whole blocks
        binding = bind_conv(replace(op, weight=np.full_like(op.weight, largest)), "dense")
        assert binding.params["part_blocks"] == part
    even = np.where(np.arange(6)[:, None, None, None] % 2, 10, 127) * np.ones_like(op.weight)
    assert bind_conv(replace(op, weight=even.astype(np.int8)), "dense").params["part_blocks"] == blocks
    biased = replace(conv, bias=np.array([0, 1 << 24, 0, 0, 0, 0], np.int32))
    assert np.count_nonzero(bind_conv(biased, "dense").arrays["start"]) == 0


def test_a_weight_of_minus_128_is_refused(conv):
    weight = conv.weight.copy()
    weight[3, 0, 0, 0] = -128
    with pytest.raises(QuantizationError, match=r"features\.conv.*-128"):
        bind_conv(replace(conv, weight=weight), "dense")


def test_flash_bytes_count_every_array(conv):
    binding = bind_conv(conv, "dense")
    assert binding.flash_bytes == sum(a.nbytes for a in binding.arrays.values())
    assert bind_conv(conv, "cmsis").arrays["weights"].nbytes == conv.weight.nbytes


def test_every_array_is_referred_to_and_every_source_exists():
    rng = np.random.default_rng(0)
    conv, linear = random_conv(rng), make_linear(rng, 20, 10)
    pool = ConvDims((4, 4, 3), (2, 2, 3), (2, 2), (2, 2))
    for binding in (
        bind_conv(conv, "cmsis"),
        bind_conv(conv, "dense"),
        bind_linear(linear),
        bind_max_pool(make_pool(QMaxPool2d, pool)),
        bind_avg_pool(make_pool(QAvgPool2d, pool)),
    ):
        assert references(binding.params) == set(binding.arrays)
        assert all(source_path(name).is_file() for name in binding.sources)


def references(fields) -> set[str]:
    found: set[str] = set()
    for value in fields.values():
        if isinstance(value, ArrayRef):
            found.add(value.array)
        elif not isinstance(value, int):
            found |= references(value)
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"activation_min": 0},
        {"activation_max": 100},
        {"shift": np.array([-9, -9, 0, -9, -9, -9], np.int32)},
        {"shift": np.array([-9, -9, -23, -9, -9, -9], np.int32)},
        {"shift": np.array([-9, -9, 1, -9, -9, -9], np.int32)},
        {"multiplier": np.full(6, (1 << 30) - 1, np.int32)},
        {"bias": np.array([0, 1 << 30, 0, 0, 0, 0], np.int32)},
    ],
)
def test_short_requantisation_only_where_it_is_proven(conv, change):
    assert bind_conv(conv, "dense").arrays["narrow"].shape == (6, 3)
    assert bind_conv(replace(conv, **change), "dense").arrays["narrow"].size == 0


@pytest.mark.parametrize("kernel", ["cmsis", "dense"])
def test_an_accumulator_that_could_overflow_is_refused(conv, kernel):
    wild = replace(conv, bias=np.array([0, 0, 0, (1 << 31) - 1, 0, 0], np.int32))
    with pytest.raises(QuantizationError, match=r"features\.conv.*channel 3"):
        bind_conv(wild, kernel)
    shifted = replace(conv, bias=np.full(6, 1 << 28, np.int32), shift=np.full(6, 4, np.int32))
    with pytest.raises(QuantizationError, match=r"features\.conv"):
        bind_conv(shifted, kernel)


def test_a_linear_accumulator_that_could_overflow_is_refused():
    op = make_linear(np.random.default_rng(0), 8, 2)
    with pytest.raises(QuantizationError, match=r"classifier\.fc.*channel 1"):
        bind_linear(replace(op, bias=np.array([0, -(1 << 31)], np.int32)))


def test_an_unknown_kernel_is_refused(conv):
    with pytest.raises(UnsupportedError, match="'winograd'"):
        bind_conv(conv, "winograd")  # type: ignore[arg-type]


def test_windows_that_leave_the_input_are_refused(conv):
    with pytest.raises(UnsupportedError, match=r"features\.conv.*padded input of 6"):
        bind_conv(replace(conv, dims=replace(conv.dims, output=(5, 4, 6))), "dense")
    pool = make_pool(QMaxPool2d, ConvDims((4, 4, 3), (3, 2, 3), (2, 2), (2, 2)))
    with pytest.raises(UnsupportedError, match=r"features\.pool"):
        bind_max_pool(pool)


def test_pools_that_mean_nothing_are_refused():
    with pytest.raises(UnsupportedError, match="padding only"):
        bind_avg_pool(make_pool(QAvgPool2d, ConvDims((1, 1, 3), (3, 3, 3), (1, 1), padding=(1, 1))))
    with pytest.raises(UnsupportedError, match="3 channels into 4"):
        bind_max_pool(make_pool(QMaxPool2d, ConvDims((4, 4, 3), (2, 2, 4), (2, 2), (2, 2))))


def test_libraries_folders():
    assert (include_dir() / "ostinato_nn.h").is_file()
    assert (source_dir() / "support" / "ost_simd.h").is_file()
    with pytest.raises(FileNotFoundError, match=r"nothing\.c"):
        source_path("nothing.c")


def test_image_aligns_pointers_and_nested_structs():
    binding = Binding(
        kernel="k",
        params_type="k_params",
        params={"a": 1, "inner": {"p": ArrayRef("x"), "b": -2}, "q": ArrayRef("none")},
        arrays={"x": np.array([7], np.int16), "none": np.zeros(0, np.int8)},
        scratch_bytes=0,
        sources=(),
    )
    on_host, on_board = image(binding, 4096, 8), image(binding, 4096, 4)
    assert on_host.params == on_board.params == 4112
    ints = np.frombuffer(on_host.data[16:48], "<i4")
    np.testing.assert_array_equal(ints, [1, 0, 4096, 0, -2, 0, 0, 0])
    np.testing.assert_array_equal(np.frombuffer(on_board.data[16:32], "<i4"), [1, 4096, -2, 0])


def test_zero_point_is_folded_into_the_dense_bias(conv):
    shifted = replace(conv, input=tensor("x", conv.dims.input, 5))
    sums = conv.weight.reshape(6, -1).astype(np.int64).sum(axis=1)
    bias = conv.bias - 5 * sums
    starts = bind_conv(shifted, "dense").arrays["start"].reshape(-1, 2)
    np.testing.assert_array_equal(starts[:3, 1], bias[::2])
    np.testing.assert_array_equal(starts[:3, 0], 256 * bias[1::2] + bias[::2])
    np.testing.assert_array_equal(bind_conv(shifted, "cmsis").arrays["bias"], conv.bias)
