"""Random layers of every kind on all three executions of the kernels, as many as asked for.

A sample runs with the other tests. The long run, by hand:

    OSTINATO_LAYERS=400 python -m pytest tests/kernels/test_many_layers.py --timeout 0

Seeds follow those of the other tests, so that no layer is drawn twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import stem_samples
from conventional_samples import SOURCES as CONVENTIONAL
from conventional_samples import random_bindings
from conventional_samples import random_input as random_values
from horizontal_samples import random_horizontal
from reuse_samples import SOURCES as REUSE
from reuse_samples import bind, compact_forms, random_compiled, random_image, random_input, random_pooled, table_forms
from strides import apart, expected_output

from ostinato.kernels.binding import Binding
from ostinato.kernels.reuse_horizontal import SOURCES as HORIZONTAL
from ostinato.kernels.reuse_horizontal import PanelForm, bind_reuse_horizontal
from ostinato.kernels.reuse_image import bind_reuse_image
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QOp

LAYERS = int(os.environ.get("OSTINATO_LAYERS", "8"))
"""Of each kind."""
FIRST_SEED = 1_000_000
ALL_SOURCES = tuple(dict.fromkeys((*CONVENTIONAL, *REUSE, *HORIZONTAL, *stem_samples.SOURCES)))

Case = tuple[QOp, Binding, Int8Array]


def conventional(rng: np.random.Generator) -> Iterator[Case]:
    """The same layer on each kernel that can run it."""
    for op, binding in random_bindings(rng):
        yield op, apart(rng, op, binding), random_values(rng, op.input.shape)


def image(rng: np.random.Generator) -> Iterator[Case]:
    """As it would be bound, and in some other forms."""
    op = random_image(rng)
    x = random_input(rng, op.input.shape, op.input.zero_point)
    for binding in (bind_reuse_image(op), *table_forms(op, 2), *compact_forms(op, 2)):
        yield op, binding, x


def compiled(rng: np.random.Generator) -> Iterator[Case]:
    op = random_compiled(rng)
    yield op, apart(rng, op, bind(op)), random_input(rng, op.input.shape, op.input.zero_point)


def pooled(rng: np.random.Generator) -> Iterator[Case]:
    op = random_pooled(rng)
    yield op, apart(rng, op, bind(op)), random_input(rng, op.input.shape, op.input.zero_point)


def horizontal(rng: np.random.Generator) -> Iterator[Case]:
    op = random_horizontal(rng)
    x = random_input(rng, op.input.shape, op.input.zero_point)
    rows, units = (int(rng.integers(1, most + 1)) for most in (op.panel_rows, 16))
    for form in (None, PanelForm(rows, units, compact=False), PanelForm(rows, units, compact=True)):
        yield op, bind_reuse_horizontal(op, form), x


def stem(rng: np.random.Generator) -> Iterator[Case]:
    op = stem_samples.random_stem(rng)
    x = stem_samples.random_input(rng, op)
    yield op, stem_samples.bind_stem(op, "library"), x
    pair = stem_samples.random_pool_behind(rng, op)
    if pair is not None:
        yield pair, stem_samples.bind_stem(op, "library", pair.pool.dims), x


@pytest.fixture(scope="module")
def executions(host_kernels, simulated_kernels):
    return {
        "host": host_kernels(ALL_SOURCES),
        "DSP code": simulated_kernels(ALL_SOURCES),
        "plain C": simulated_kernels(ALL_SOURCES, plain=True),
    }


@pytest.mark.parametrize("draw", [conventional, image, compiled, pooled, horizontal, stem])
def test_every_execution_has_the_reference_bits(executions, draw: Callable[[np.random.Generator], Iterator[Case]]):
    for seed in range(FIRST_SEED, FIRST_SEED + LAYERS):
        for op, binding, x in draw(np.random.default_rng(seed)):
            expected = expected_output(op, binding, x)
            for name, kernels in executions.items():
                call = kernels.run(binding, x, len(expected))
                assert (call.status, call.scratch_bytes) == (0, binding.scratch_bytes), (name, binding.kernel, seed)
                np.testing.assert_array_equal(call.output, expected, f"{name}, {binding.kernel}, seed {seed}")
