"""The stem kernel: the reference's bits on the host and on the simulated core, in plain C and in DSP code.

Random layers run on the library's code, compiled once; what is generated for one layer is tested for a few.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import INCLUDES, SimulatedKernels
from host_runner import HostKernels
from stem_samples import (
    CONV1,
    SOURCES,
    bind_stem,
    make_stem,
    random_input,
    random_pool_behind,
    random_stem,
)

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.sources import compiled_sources, source_path
from ostinato.kernels.stem_sum import has_generated_form, tile_orders
from ostinato.quant.ops import ConvDims, QMaxPool2d, QTensor
from ostinato.quant.pooled_op import QPooled, pooled
from ostinato.quant.reference import execute_op
from ostinato.quant.stem_ops import QStem
from ostinato.targets.toolchain import compile_firmware, compile_host_library

OK, BAD_ARGUMENT, NO_SCRATCH = 0, -1, -2


@pytest.fixture(scope="module")
def host(host_kernels):
    return host_kernels(SOURCES)


@pytest.fixture(scope="module", params=["plain", "dsp"])
def simulated(request, simulated_kernels):
    return simulated_kernels(SOURCES, plain=request.param == "plain")


def check(kernels, op, x, form="library"):
    layer, pool = (op.layer, op.pool.dims) if isinstance(op, QPooled) else (op, None)
    binding = bind_stem(layer, form, pool)
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


def pooled_stems(seeds):
    """Random stems with any max-pool that one kernel does with them, and inputs."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        op = random_pool_behind(rng, random_stem(rng))
        if op is not None:
            yield op, random_input(rng, op)


def test_random_pooled_stems_on_the_host(host):
    found = list(pooled_stems(range(5000, 5200)))
    assert len(found) > 120
    clipped = [op.pool.dims for op, _ in found if op.pool.dims.padding[0] > 0]
    assert any(d.input[0] < d.kernel[0] for d in clipped)
    assert any((d.output[0] - 1) * d.stride[0] - d.padding[0] + d.kernel[0] > d.input[0] > d.kernel[0] for d in clipped)
    for op, x in found:
        check(host, op, x)


def test_random_pooled_stems_on_the_simulated_core(simulated):
    for op, x in pooled_stems(range(6000, 6060)):
        check(simulated, op, x)


def test_poolings_that_a_stem_cannot_hold_are_refused_by_the_kernel(host):
    rng = np.random.default_rng(0)
    op = make_stem(rng, ConvDims((7, 7, 3), (5, 5, 20), (3, 3)), 3, 5, 6)
    binding = bind_stem(op, "library", ConvDims((5, 5, 20), (2, 2, 20), (2, 2), (2, 2)))
    x, pool = random_input(rng, op), binding.params["pool"]
    assert host.run(binding, x, 80).status == OK
    assert host.run(binding, x, 80, scratch_bytes=binding.scratch_bytes - 1).status == NO_SCRATCH
    one = {"height": 1, "width": 1}
    for change in (
        {"dilation": {"height": 2, "width": 1}},
        {"padding": {"height": 2, "width": 0}},
        {"input": {**pool["input"], "height": 6}},
        {"output": {**pool["output"], "channels": 19}},
        {"kernel": one, "stride": {"height": 5, "width": 1}, "padding": {"height": 1, "width": 0}},
    ):
        broken = replace(binding, params={**binding.params, "pool": {**pool, **change}})
        assert host.run(broken, x, 80, scratch_bytes=1 << 16).status == BAD_ARGUMENT, change


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


def uneven(op, rng):
    """Rows of different reach: some tiles have pairs of rows, some have not."""
    scale = rng.uniform(0.05, 1, (op.rows, 1, op.table.shape[2]))
    return replace(op, table=np.fix(op.table * scale).astype(np.int8))


def small(op):
    """All rows can be added in pairs."""
    return replace(op, table=np.clip(op.table, -63, 63))


def generated_layers():
    """Every number of fraction bits, of channels in a last tile, odd rows; kernels with assembly and without."""
    rng = np.random.default_rng(7)
    ops = [uneven(make_stem(rng, CONV1, 10, 6, 20, planes=9), rng)]
    for bits, (channels, rows) in enumerate(((16, 1), (17, 2), (34, 3), (51, 4), (7, 5), (24, 11), (60, 16), (96, 8))):
        dims = ConvDims((9, 10, 3), (7, 8, channels), (3, 3))
        if bits % 2:
            dims = ConvDims((8, 9, 2), (5, 5, channels), (6, 7), padding=(1, 1))
        op = make_stem(rng, dims, rows, 1 + bits, rows + 4)
        ops.append(replace((uneven(op, rng), small(op), op)[bits % 3], fraction_bits=bits))
    wide = make_stem(rng, ConvDims((3, 1200, 1), (1, 1198, 5), (3, 3)), 9, 3, 10)  # addresses beyond 4,095 bytes
    return [*ops, wide, *(with_pool(op) for op in ops[:3])]


def with_pool(op):
    dims = replace(op.dims, input=op.dims.output, output=((op.dims.output[0] - 1) // 2, (op.dims.output[1] - 1) // 2,
                   op.dims.output[2]), kernel=(3, 3), stride=(2, 2), padding=(0, 0))  # fmt: skip
    target = QTensor("z", dims.output, op.output.scale, op.output.zero_point)
    return pooled(op, QMaxPool2d(name="pool", input=op.output, output=target, dims=dims))


def bound(op):
    return bind_stem(op.layer, "generated", op.pool.dims) if isinstance(op, QPooled) else bind_stem(op, "generated")


@pytest.fixture(scope="module", params=["host", "plain", "dsp"])
def generated(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    sources = compiled_sources([bound(op) for op in generated_layers()], folder)
    if request.param == "host":
        files = [path for path in sources if path.suffix == ".c"]
        return HostKernels(compile_host_library(files, folder / "kernels.so", include_dirs=INCLUDES))
    defines = {"OST_PLAIN_C": 1} if request.param == "plain" else {}
    files = [*sources, Path(__file__).with_name("harness.c")]
    elf = compile_firmware(files, folder / "kernels.elf", include_dirs=INCLUDES, defines=defines)
    return SimulatedKernels(elf)


def test_generated_code_has_the_references_bits(generated):
    for op in generated_layers():
        assert has_generated_form(op.layer if isinstance(op, QPooled) else op)
        for seed in range(3):
            check(generated, op, random_input(np.random.default_rng(seed), op), "generated")


def test_tiles_are_added_in_pairs_only_where_that_is_safe():
    orders = [order for op in generated_layers() if isinstance(op, QStem) for order in tile_orders(op)]
    assert any(order.pairs and order.single for order in orders)
    assert any(len(order.single) <= 1 for order in orders)
    assert any(not order.pairs for order in orders)


def test_rows_too_wide_for_generated_code_run_on_the_library(host):
    op = make_stem(np.random.default_rng(0), ConvDims((1, 2000, 1), (1, 2000, 3), (1, 1)), 9, 2, 9)
    assert not has_generated_form(op)
    assert bind_stem(op).kernel == "stem_s8"
    check(host, op, random_input(np.random.default_rng(0), op), None)


def test_cifarnets_first_layer_keeps_its_bound_and_its_cost_has_phases(tmp_path):
    rng = np.random.default_rng(0)
    op = make_stem(rng, CONV1, 10, 6, 20, planes=9)
    binding = bind_stem(op)
    sources = [*compiled_sources([binding], tmp_path), Path(__file__).with_name("harness.c")]
    kernels = SimulatedKernels(compile_firmware(sources, tmp_path / "stem.elf", include_dirs=INCLUDES))
    call = check(kernels, op, random_input(rng, op), None)
    assert call.profile.total.cycles <= 950_000  # without a pair of rows
    unknown = set(call.profile.by_function) - set(binding.phases) - {f"ost_{binding.kernel}", "ost_stem_run"}
    assert not {name for name in unknown if name.startswith("ost_")}


def test_too_little_scratch_and_nonsense_are_refused(host):
    rng = np.random.default_rng(0)
    op = make_stem(rng, ConvDims((7, 7, 3), (5, 5, 20), (3, 3)), 3, 5, 6)
    binding, x = bind_stem(op, "library"), random_input(rng, op)
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
        "a sum of 3 table rows could reach": {"offset": np.full_like(op.offset, 2**31 - 1)},
        "an id could be": {"maps": np.full_like(op.maps, 31)},
        "no coefficient belongs to group": {"groups": np.zeros_like(op.groups)},
        "8 fraction bits": {"fraction_bits": 8},
    }
    for message, change in wrong.items():
        if "maps" not in change and "groups" in change:
            change = {**change, "maps": np.zeros_like(op.maps)}
        with pytest.raises(QuantizationError, match=message):
            bind_stem(replace(op, **change))
    wide = bind_stem(replace(op, offset=np.full_like(op.offset, 32767)))
    assert wide.kernel == "stem_s8"
    assert wide.note.startswith("int32 sums, several times slower: a sum of 3 table rows could reach ")
    with pytest.raises(UnsupportedError, match=r"features\.conv: no kernel runs a stem of 5 channels"):
        bind_stem(replace(op, dims=replace(dims, input=(7, 7, 5))))
    with pytest.raises(UnsupportedError, match="reaches element 7 of a padded input of 7"):
        bind_stem(replace(op, dims=replace(dims, output=(6, 5, 20))))
    with pytest.raises(UnsupportedError, match="tables of 31 rows"):
        bind_stem(replace(op, table=op.table[:, :31]))
