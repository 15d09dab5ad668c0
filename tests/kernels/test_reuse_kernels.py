"""The reuse kernels give the integer reference's bits: on the host, and on the simulated core with and without DSP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from reuse_samples import make_compiled, make_image, random_compiled, random_image, random_input

from ostinato.kernels import reuse_compiled, reuse_image
from ostinato.kernels.binding import Binding
from ostinato.kernels.reuse_compiled import bind_reuse_compiled
from ostinato.kernels.reuse_image import bind_reuse_image
from ostinato.quant.ops import ConvDims, QReuseCompiled, QReuseImage
from ostinato.quant.reference import execute_op

Op = QReuseImage | QReuseCompiled
Make = Callable[[np.random.Generator], Op]
SOURCES = tuple(dict.fromkeys((*reuse_image.SOURCES, *reuse_compiled.SOURCES)))
MAKERS = pytest.mark.parametrize("make", [random_image, random_compiled], ids=["image", "compiled"])


def bind(op: Op) -> Binding:
    return bind_reuse_image(op) if isinstance(op, QReuseImage) else bind_reuse_compiled(op)


@pytest.fixture(scope="session")
def host(host_kernels: Callable[[Sequence[str]], Any]) -> Any:
    return host_kernels(SOURCES)


@pytest.fixture(scope="session", params=["dsp", "plain"])
def simulated(request: pytest.FixtureRequest, simulated_kernels: Callable[..., Any]) -> Any:
    return simulated_kernels(SOURCES, plain=request.param == "plain")


def check(kernels: Any, op: Op, x: np.ndarray[Any, Any]) -> None:
    binding = bind(op)
    call = kernels.run(binding, x, op.output.size)
    assert call.status == 0
    assert call.scratch_bytes == binding.scratch_bytes
    np.testing.assert_array_equal(call.output, execute_op(op, x).reshape(-1))


@MAKERS
@pytest.mark.parametrize("block", range(4))
def test_host_has_the_references_bits(host: Any, make: Make, block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        rng = np.random.default_rng(seed)
        op = make(rng)
        check(host, op, random_input(rng, op.input.shape, op.input.zero_point))


@MAKERS
def test_simulated_core_has_the_references_bits(simulated: Any, make: Make) -> None:
    for seed in range(1000, 1050):
        rng = np.random.default_rng(seed)
        op = make(rng)
        check(simulated, op, random_input(rng, op.input.shape, op.input.zero_point))
