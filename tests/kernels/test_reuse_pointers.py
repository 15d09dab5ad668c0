"""Compiled scope by addresses: code generated for a layer's sizes gives the reference's bits, on host and simulator."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import INCLUDES, SimulatedKernels
from host_runner import HostKernels
from reuse_samples import make_compiled, pooled_layer, random_input
from strides import apart, expected_output

from ostinato.kernels.reuse_compiled import bind_reuse_compiled
from ostinato.kernels.reuse_estimate import cycles_by_addresses, cycles_by_offsets
from ostinato.kernels.reuse_pointers import bind_reuse_pointers, has_pointer_form, pointers_are_small
from ostinato.kernels.reuse_rows import RowOrder, row_order
from ostinato.kernels.sources import compiled_sources
from ostinato.quant.ops import ConvDims, QReuseCompiled
from ostinato.targets.toolchain import compile_firmware, compile_host_library

CONV2 = ConvDims((14, 14, 64), (10, 10, 64), (5, 5))

# (sizes, L, H, tree, fraction bits, largest entry): every H, words of a slice, rest of rows, kind of window. Up to 63,
# all neighbouring rows are added in pairs; above, the code depends on the table, too.
LAYERS = [
    (CONV2, 8, 4, False, 3, 63),
    (CONV2, 16, 4, True, 3, 127),
    (ConvDims((6, 7, 12), (6, 7, 16), (3, 3), padding=(1, 1)), 4, 1, False, 1, 63),
    (ConvDims((6, 7, 12), (6, 7, 16), (3, 3), padding=(1, 1)), 4, 1, True, 2, 127),
    (ConvDims((5, 8, 8), (4, 7, 32), (2, 2)), 8, 2, False, 4, 127),
    (ConvDims((9, 5, 8), (4, 3, 16), (3, 1), (2, 2), (1, 1), (2, 1)), 8, 3, False, 5, 63),
    (ConvDims((7, 9, 12), (3, 5, 16), (3, 3), (1, 1), (0, 0), (2, 2)), 12, 5, False, 2, 127),
    (ConvDims((3, 3, 8), (3, 3, 48), (1, 1)), 4, 6, False, 7, 63),
    (ConvDims((4, 6, 16), (4, 6, 16), (1, 1)), 16, 7, False, 6, 127),
    (ConvDims((2, 2, 32), (1, 1, 16), (2, 2)), 16, 8, False, 3, 63),
    (ConvDims((4, 5, 8), (4, 5, 32), (1, 3), padding=(0, 1)), 4, 8, True, 3, 63),
    (ConvDims((4, 3, 8), (2, 3, 16), (3, 3), padding=(0, 1)), 8, 9, False, 4, 63),
    (ConvDims((3, 4, 20), (3, 4, 16), (1, 1)), 20, 10, False, 3, 127),
    (ConvDims((1, 2, 64), (1, 2, 16), (1, 1)), 64, 5, False, 3, 63),
    (ConvDims((5, 6, 16), (3, 2, 16), (3, 3), (1, 2)), 8, 3, True, 3, 127),
    (CONV2, 8, 4, "cut", 3, 63),
    (ConvDims((5, 7, 3), (5, 7, 16), (3, 3), padding=(1, 1)), 3, 6, "cut", 2, 127),
    (ConvDims((4, 6, 14), (4, 6, 16), (1, 1)), 7, 1, "cut", 3, 63),
    (ConvDims((4, 4, 72), (2, 2, 32), (3, 3)), 36, 10, "cut", 4, 63),
    # slices that are whole kernel rows, or halves of them
    (ConvDims((8, 9, 3), (6, 5, 16), (3, 5)), 15, 5, "cut", 3, 127),
    (ConvDims((8, 9, 3), (4, 4, 16), (3, 4), (2, 2), (1, 1)), 12, 4, False, 3, 63),
    (ConvDims((7, 9, 4), (3, 7, 16), (3, 3), (1, 1), (0, 0), (2, 1)), 12, 6, False, 3, 127),
    (ConvDims((6, 8, 4), (5, 9, 32), (4, 4), (1, 1), (1, 2)), 8, 4, True, 3, 63),
    # L that is no multiple of 4: the last words reach beyond the input
    (ConvDims((7, 8, 3), (5, 4, 16), (3, 5)), 15, 4, True, 3, 127),
    (ConvDims((7, 8, 3), (3, 3, 16), (3, 3), (2, 2)), 9, 5, False, 3, 63),
    (ConvDims((7, 9, 1), (5, 6, 16), (3, 4), padding=(0, 0)), 2, 3, False, 3, 63),
    (ConvDims((6, 9, 1), (6, 7, 16), (3, 5), padding=(1, 1)), 5, 9, False, 3, 63),
    (ConvDims((4, 5, 6), (4, 5, 16), (1, 1)), 3, 4, True, 3, 63),
    (ConvDims((2, 2, 5), (2, 2, 16), (1, 1)), 1, 3, False, 3, 63),
]  # fmt: skip


def make(rng, layer) -> QReuseCompiled:
    dims, length, hashes, tree, bits, largest = layer
    aligned = dims.input[2] % length == 0
    repeat = None if aligned else dims.kernel[1] * dims.input[2] // length
    return make_compiled(
        rng, dims, length, hashes, "kh.kw.c", pixel_aligned=aligned, largest=largest, bits=bits, tree=tree,
        repeat=repeat,
    )  # fmt: skip


def make_uneven(rng, layer) -> QReuseCompiled:
    """Above 63: `layer` with rows of different reach and always the same table, so that its code is the same, too."""
    op = make(rng, layer)
    if layer[-1] <= 63:
        return op
    fixed = np.random.default_rng(5)
    table = np.fix(make(fixed, layer).table * fixed.uniform(0.05, 1, (op.rows, 1, 1))).astype(np.int8)
    return replace(op, table=table, offset=np.clip(op.offset, -2000, 2000))


POOLED = [
    (LAYERS[n], window)
    for n, window in ((0, (2, 2)), (2, (2, 3)), (4, (3, 2)), (5, (1, 2)), (19, (2, 2)), (24, (2, 1)))
]
"""Layers with a max-pool behind them; of some, outputs are left over."""


@pytest.fixture(scope="module")
def bindings():
    rng = np.random.default_rng
    alone = [bind_reuse_pointers(make_uneven(rng(0), layer)) for layer in LAYERS]
    return [*alone, *(bind_reuse_pointers(make_uneven(rng(0), layer), window) for layer, window in POOLED)]


@pytest.fixture(scope="module")
def host(bindings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("host")
    sources = [path for path in compiled_sources(bindings, folder) if path.suffix == ".c"]
    return HostKernels(compile_host_library(sources, folder / "kernels.so", include_dirs=INCLUDES))


@pytest.fixture(scope="module", params=["dsp", "plain"])
def core(request, bindings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("core")
    sources = [*compiled_sources(bindings, folder), Path(__file__).with_name("harness.c")]
    defines = {"OST_PLAIN_C": 1} if request.param == "plain" else {}
    elf = compile_firmware(sources, folder / "kernels.elf", include_dirs=INCLUDES, defines=defines)
    return SimulatedKernels(elf)


def check(machine, layer, seeds, window=(1, 1)):
    """Other hashes, tables, zero points and inputs run on the code of one size."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        op = make_uneven(rng, layer)
        x = random_input(rng, op.input.shape, op.input.zero_point)
        binding = bind_reuse_pointers(op, window)
        op = op if window == (1, 1) else pooled_layer(op, window)
        binding = apart(rng, op, binding)
        expected = expected_output(op, binding, x)
        call = machine.run(binding, x, len(expected))
        assert (call.status, call.scratch_bytes) == (0, binding.scratch_bytes)
        np.testing.assert_array_equal(call.output, expected)
    return call


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_host(host, layer):
    check(host, layer, range(12))


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_simulator(core, layer):
    call = check(core, layer, range(100, 104))
    binding = bind_reuse_pointers(make_uneven(np.random.default_rng(0), layer))
    known = {*binding.phases, f"ost_{binding.kernel}", "ost_reuse_pointers_run"}
    assert {name for name in call.profile.by_function if name.startswith("ost_")} <= known


@pytest.mark.parametrize(("layer", "window"), POOLED, ids=str)
def test_pooled(host, core, layer, window):
    check(host, layer, range(8), window)
    check(core, layer, range(100, 104), window)


def test_refusals(host):
    op = make(np.random.default_rng(0), LAYERS[2])
    binding, x = bind_reuse_pointers(op), np.zeros(op.input.shape, np.int8)
    assert host.run(binding, x, op.output.size, scratch_bytes=binding.scratch_bytes - 1).status == -2
    narrow = {"hash": {**binding.params["hash"], "words": 2}}
    for change in (
        {"length": 8},
        {"fraction_bits": 0},
        narrow,
        {"out_stride": 15},
        {"pool": {"height": 7, "width": 1}},
    ):
        broken = replace(binding, params={**binding.params, **change})
        assert host.run(broken, x, op.output.size, scratch_bytes=1 << 20).status == -1, change


def test_which_layers_have_code():
    rng = np.random.default_rng(0)
    for layer in LAYERS:
        assert has_pointer_form(make(rng, layer))
    dims, *rest = LAYERS[2]
    for change in ({"output": (6, 7, 20)}, {"input": (6, 1, 12), "output": (6, 1, 16)}):
        assert not has_pointer_form(make(rng, (replace(dims, **change), *rest)))
    assert has_pointer_form(make(rng, (dims, 3, *rest[1:])))
    huge = ConvDims((4, 300, 64), (4, 300, 16), (3, 3), padding=(1, 1))
    assert not has_pointer_form(make(rng, (huge, 4, 2, False, 3, 63)))
    gathered = make_compiled(rng, dims, 4, 3, "c.kh.kw", pixel_aligned=False, tree=False)
    assert not has_pointer_form(gathered)


def test_addresses_are_taken_where_memory_allows():
    """A map of 4 bytes for every 4 input bytes is too large beside the conventional kernel's scratch."""
    rng = np.random.default_rng(0)
    small = make(rng, (CONV2, 8, 4, False, 3, 63))
    large = make(rng, (ConvDims((16, 16, 64), (16, 16, 16), (3, 3), padding=(1, 1)), 4, 2, False, 3, 63))
    assert pointers_are_small(small)
    assert not pointers_are_small(large)
    assert bind_reuse_compiled(small).kernel.startswith("reuse_pointers_s8_")
    assert re.match(r"table rows by addresses \(100 pairs .*: estimated [\d,]+ cycles", bind_reuse_compiled(small).note)
    assert bind_reuse_compiled(large).kernel == "reuse_compiled_s8"
    assert "needs too much SRAM" in bind_reuse_compiled(large).note
    assert bind_reuse_compiled(small, "offsets").kernel == "reuse_compiled_s8"


def test_equal_sizes_share_their_code(bindings):
    again = bind_reuse_pointers(make(np.random.default_rng(7), LAYERS[0]))
    assert again.generated == bindings[0].generated
    other = bind_reuse_pointers(make(np.random.default_rng(7), (*LAYERS[0][:-1], 127)))
    assert set(other.generated).isdisjoint(again.generated)


def test_rows_in_pairs_never_leave_int8():
    """Every row is added once; two in a pair are safe for all ids and channels; large rows find small partners."""
    rng = np.random.default_rng(0)
    found = 0
    for seed in range(20):
        layer = LAYERS[seed % len(LAYERS)]
        op = make_uneven(rng, (*layer[:-1], 127))
        order = row_order(op.table)
        assert sorted(order.rows) == list(range(op.rows))
        table = op.table.astype(int)
        for even, odd in order.pairs:
            sums = table[even][:, None] + table[odd][None]
            assert sums.max() <= 127
            assert sums.min() >= -128
        for n, row in enumerate(order.single):  # no two of them could have been a pair
            for other in order.single[n + 1 :]:
                sums = table[row][:, None] + table[other][None]
                assert sums.max() > 127 or sums.min() < -128
        found += bool(order.pairs) and bool(order.single)
    assert found > 5


def test_neighbours_are_pairs_where_they_all_are_safe():
    table = np.array([[[100], [-100]], [[27], [-28]], [[63], [0]], [[64], [-128]], [[127], [-128]]], np.int8)
    assert row_order(table) == RowOrder(((0, 1), (2, 3)), (4,))
    assert row_order(table[[0, 2, 3, 1]]) == RowOrder(((0, 3), (1, 2)), ())


ESTIMATED = [
    (CONV2, 8, 4, False, 3, 63),
    (ConvDims((16, 16, 32), (16, 16, 64), (3, 3), padding=(1, 1)), 16, 6, True, 3, 63),
    (ConvDims((8, 8, 64), (8, 8, 128), (1, 1)), 8, 5, False, 3, 63),
    (CONV2, 16, 6, "cut", 3, 63),
]


def test_estimates(tmp_path):
    """Within 8 % of what the simulator counts, and right about which form is faster."""
    ops = [make(np.random.default_rng(0), layer) for layer in ESTIMATED]
    pairs = [(bind_reuse_compiled(op, "addresses"), bind_reuse_compiled(op, "offsets")) for op in ops]
    sources = compiled_sources([binding for pair in pairs for binding in pair], tmp_path)
    harness = Path(__file__).with_name("harness.c")
    core = SimulatedKernels(compile_firmware([*sources, harness], tmp_path / "k.elf", include_dirs=INCLUDES))
    for op, (addresses, offsets) in zip(ops, pairs, strict=True):
        x = random_input(np.random.default_rng(0), op.input.shape, op.input.zero_point)
        counted = [core.run(binding, x, op.output.size).profile.total.cycles for binding in (addresses, offsets)]
        estimated = [cycles_by_addresses(op, row_order(op.table)), cycles_by_offsets(op)]
        np.testing.assert_allclose(estimated, counted, rtol=0.08)
        assert (estimated[0] < estimated[1]) == (counted[0] < counted[1])
