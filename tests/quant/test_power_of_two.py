"""The papers' 8-bit fixed point: every scale a power of two, every requantisation a shift."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import ostinato as ost
from ostinato.errors import QuantizationError
from ostinato.quant import QGraph, dequantize, execute, outputs, quantize
from ostinato.quant.ops import QAdd, QConv2d, QLinear, QReuseCompiled, QReuseImage
from ostinato.quant.ranges import Observer, Range, least_squares_power_of_two, power_of_two


def exact(value: float) -> bool:
    return math.frexp(value)[0] == 0.5


@given(st.floats(-1e6, 0, allow_subnormal=False), st.floats(0, 1e6, allow_subnormal=False))
def test_a_range_becomes_the_least_fixed_point_around_it(low: float, high: float) -> None:
    scale, zero = power_of_two(Range(low, high)).parameters()
    assert exact(scale)
    assert zero == (-128 if low == 0 else 0)
    if low == high == 0:
        return
    bottom, top = scale * (-128 - zero), scale * (127 - zero)
    slack = 1 + 1e-12
    assert bottom * slack <= low
    assert top * slack >= high
    assert low < bottom / 2 or high > top / 2  # half the scale would not do
    again = power_of_two(power_of_two(Range(low, high)))
    assert again.parameters() == (scale, zero)


def test_a_range_too_small_for_any_step_is_nothing_but_zero() -> None:
    assert power_of_two(Range(0.0, 5e-324)).parameters() == (1.0, -128)


def test_clipping_is_weighed_against_rounding() -> None:
    """A single outlier far beyond the rest is clipped; the exponent is the best of all."""
    observer = Observer(1)
    values = torch.cat([torch.rand(4000, generator=torch.Generator().manual_seed(0)), torch.tensor([1.9])])
    observer.see(values)
    found, _ = least_squares_power_of_two(observer).parameters()

    def error(scale: float) -> float:
        return float(((values / scale).round().sub(128).clamp(-128, 127).add(128) * scale - values).square().mean())

    assert error(found) == min(error(2.0**-k) for k in range(5, 12))


class Residual(nn.Module):
    """A sum, a concatenation, ReLU6, and no batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.right, self.head = nn.Conv2d(8, 8, 1), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu6(self.stem(x))
        joined = torch.cat([nn.functional.relu(self.left(x) + x), nn.functional.relu(self.right(x))], 1)
        return self.head(joined.mean((2, 3)))


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(4)).clamp(-1, 127 / 128)


def check_shifts(graph: QGraph) -> None:
    tensors = [graph.input, *(op.output for op in graph.ops)]
    assert all(exact(tensor.scale) for tensor in tensors)
    assert {tensor.zero_point for tensor in tensors} <= {0, -128}
    for op in graph.ops:
        if isinstance(op, QConv2d | QLinear):
            assert (op.multiplier == 1 << 30).all()
            assert len(set(op.shift.tolist())) == 1
        if isinstance(op, QAdd):
            assert all(exact(m) for m in op.multipliers)
        if isinstance(op, QReuseImage):
            assert all(exact(float(m)) for m in op.multiplier)


def noise(graph: QGraph, model: nn.Module) -> float:
    with torch.no_grad():
        wanted = model(images(8)).numpy()
    found = dequantize(outputs(graph, images(8)), graph.output)
    return float(np.square(found - wanted).sum() / np.square(wanted).sum())


def test_every_requantisation_is_a_shift_and_the_network_still_works() -> None:
    torch.manual_seed(7)
    model = Residual().eval()
    fixed = quantize(model, images(32), input_scale=1 / 128, scales="power_of_two")
    check_shifts(fixed)
    assert fixed.metadata["scales"] == "power_of_two"
    real = quantize(model, images(32), input_scale=1 / 128)
    assert "scales" not in real.metadata
    assert not all(exact(op.output.scale) for op in real.ops)
    assert noise(real, model) < noise(fixed, model) < 0.01  # coarser, and still 20 dB


@pytest.mark.parametrize("scope", ["image", "compiled"])
def test_reuse_layers_and_firmware(scope: str) -> None:
    torch.manual_seed(8)
    first, second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3)
    with torch.no_grad():
        first.weight.mul_(10)  # so that ReLU6 limits, inside a range that ends at 255/32
    model = nn.Sequential(first, nn.ReLU6(), second, nn.ReLU(), nn.Flatten(), nn.Linear(1024, 4))
    sharing = "block" if scope == "compiled" else "slice"
    reuse = ost.convert(model.eval(), {"2": ost.Pattern(8, 4, scope=scope, sharing=sharing)})  # type: ignore[arg-type]
    reuse = ost.calibrate(reuse, images(32)).eval()
    firmware = ost.deploy(reuse, images(32), input_scale=1 / 128, scales="power_of_two", verify_images=1)
    check_shifts(firmware.graph)
    limited = firmware.graph.op("0")
    assert isinstance(limited, QConv2d)
    assert (limited.output.scale, limited.activation_max) == (1 / 32, 6 * 32 - 128)
    assert execute(firmware.graph, firmware.samples[0])["0"].max() == limited.activation_max
    kind = QReuseImage if scope == "image" else QReuseCompiled
    assert isinstance(firmware.graph.op("2"), kind)
    assert firmware.verification is not None
    assert firmware.verification.agrees
    assert all((layer.snr_db or 0) > 10 for layer in firmware.verification.layers)


def test_bad_arguments() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3)).eval()
    with pytest.raises(QuantizationError, match="'binary' are not known"):
        quantize(model, images(2), scales="binary")  # type: ignore[arg-type]
    with pytest.raises(QuantizationError, match="no power of two"):
        quantize(model, images(2), input_scale=0.01, scales="power_of_two")
