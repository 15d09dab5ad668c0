"""The stem kernel: the reference's bits on the host and on the simulated core, in plain C and in DSP code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stem_samples import CONV1, SOURCES, bind_stem, make_stem, random_input, random_stem

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.sources import source_path
from ostinato.quant.ops import ConvDims
from ostinato.quant.reference import execute_op

OK, BAD_ARGUMENT, NO_SCRATCH = 0, -1, -2


@pytest.fixture(scope="module")
def host(host_kernels):
    return host_kernels(SOURCES)


@pytest.fixture(scope="module", params=["plain", "dsp"])
def simulated(request, simulated_kernels):
    return simulated_kernels(SOURCES, plain=request.param == "plain")


def check(kernels, op, x):
    binding = bind_stem(op)
    call = kernels.run(binding, x, op.output.size)
    status = call.status
    assert status == OK
    assert call.scratch_bytes == binding.scratch_bytes
    np.testing.assert_array_equal(call.output, execute_op(op, x).ravel())
    return call


@pytest.mark.parametrize("block", range(4))
def test_random_stems_on_the_host(host, block):
    for seed in range(75 * block, 75 * block + 75):
        rng = np.random.default_rng(seed)
        op = random_stem(rng)
        check(host, op, random_input(rng, op))


def test_random_stems_on_the_simulated_core(simulated):
    for seed in range(150):
        rng = np.random.default_rng(1000 + seed)
        op = random_stem(rng)
        check(simulated, op, random_input(rng, op))


CORNERS = [
    ConvDims((1, 1, 1), (1, 1, 1), (1, 1)),
    ConvDims((1, 5, 3), (1, 5, 17), (1, 1)),
    ConvDims((1, 1, 3), (3, 3, 16), (3, 3), padding=(2, 2)),
    ConvDims((16, 16, 2), (1, 1, 5), (16, 16)),
    ConvDims((9, 9, 4), (2, 2, 8), (2, 2), stride=(6, 5)),
    ConvDims((5, 2, 3), (5, 4, 8), (5, 3), padding=(2, 2)),
]


@pytest.mark.parametrize("dims", CORNERS, ids=str)
def test_corner_cases(host, simulated, dims):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        op = make_stem(rng, dims, 3, 4 + seed % 2, 5)
        for x in (random_input(rng, op), np.full(dims.input, 127, np.int8), np.full(dims.input, -128, np.int8)):
            check(host, op, x)
            check(simulated, op, x)


def test_cifarnets_first_layer_is_cheap_and_its_cost_has_phases(simulated_kernels):
    rng = np.random.default_rng(0)
    op = make_stem(rng, CONV1, 10, 6, 20, planes=9)
    call = check(simulated_kernels(SOURCES), op, random_input(rng, op))
    products = CONV1.positions * CONV1.columns * CONV1.output[2]
    assert call.profile.total.cycles < products / 3
    binding = bind_stem(op)
    unknown = set(call.profile.by_function) - set(binding.phases) - {"ost_stem_s8"}
    assert not {name for name in unknown if name.startswith("ost_")}


def test_too_little_scratch_and_nonsense_are_refused(host):
    rng = np.random.default_rng(0)
    op = make_stem(rng, ConvDims((7, 7, 3), (5, 5, 20), (3, 3)), 3, 5, 6)
    binding, x = bind_stem(op), random_input(rng, op)
    assert host.run(binding, x, op.output.size, scratch_bytes=binding.scratch_bytes - 1).status == NO_SCRATCH
    window = binding.params["window"]
    for change in (
        {"window": {**window, "stride": {"height": 0, "width": 1}}},
        {"window": {**window, "dilation": {"height": 1, "width": 2}}},
        {"hashes": 0},
        {"hashes": 9},
        {"rows": 0},
        {"planes": 0},
        {"fraction_bits": 8},
    ):
        broken = replace(binding, params={**binding.params, **change})
        assert host.run(broken, x, op.output.size, scratch_bytes=1 << 16).status == BAD_ARGUMENT, change
    assert host.function("ost_stem_s8")(None, None, None, None) == BAD_ARGUMENT


def test_the_binding_refuses_what_cannot_be_proven():
    rng = np.random.default_rng(0)
    dims = ConvDims((7, 7, 3), (5, 5, 20), (3, 3))
    op = make_stem(rng, dims, 3, 5, 6)
    assert all(source_path(name).is_file() for name in bind_stem(op).sources)
    reach = np.abs(op.rotation.astype(int)).sum(axis=1)
    wrong = {
        "a rotated pixel could reach 48768": {"rotation": np.full((3, 3), 127, np.int8)},
        "a column's sum could reach": {"vertical": np.full_like(op.vertical, 32767)},
        "a coefficient's sum could reach": {
            "horizontal": np.full_like(op.horizontal, 32767),
            "vertical": np.full_like(op.vertical, 32000 * 65536 // (3 * 128 * reach.max())),
            "channels": np.full_like(op.channels, reach.argmax()),
        },
        "a sum of 3 table rows could reach": {"offset": np.full_like(op.offset, 32767)},
        "an id could be": {"maps": np.full_like(op.maps, 31)},
        "no coefficient belongs to group": {"groups": np.zeros_like(op.groups)},
        "8 fraction bits": {"fraction_bits": 8},
    }
    for message, change in wrong.items():
        if "maps" not in change and "groups" in change:
            change = {**change, "maps": np.zeros_like(op.maps)}
        with pytest.raises(QuantizationError, match=message):
            bind_stem(replace(op, **change))
    with pytest.raises(UnsupportedError, match=r"features\.conv: no kernel runs a stem of 5 channels"):
        bind_stem(replace(op, dims=replace(dims, input=(7, 7, 5))))
    with pytest.raises(UnsupportedError, match="reaches element 7 of a padded input of 7"):
        bind_stem(replace(op, dims=replace(dims, output=(6, 5, 20))))
    with pytest.raises(UnsupportedError, match="tables of 31 rows"):
        bind_stem(replace(op, table=op.table[:, :31]))
