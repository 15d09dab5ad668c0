from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ostinato.quant import dequantize, execute, quantize, quantize_input
from ostinato.quant.layer_errors import LayerErrors


def test_own_and_total_errors_of_a_convolution() -> None:
    torch.manual_seed(3)
    first, second = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3, padding=1)
    model = nn.Sequential(first, second).eval()
    images = torch.randn(5, 3, 9, 8)
    graph = quantize(model, images)
    errors = LayerErrors.of(graph, model)
    runs = [execute(graph, image) for image in quantize_input(images, graph.input)]
    for run in runs:
        errors.see(run)

    def real(name: str, tensor: object) -> torch.Tensor:
        stacked = np.stack([dequantize(run[name], tensor) for run in runs])  # type: ignore[arg-type]
        return torch.from_numpy(stacked).permute(0, 3, 1, 2)

    def ratio(exact: torch.Tensor, found: torch.Tensor) -> float:
        return 10 * math.log10(float(exact.square().sum()) / float((exact - found).square().sum()))

    x, y, z = (real(t.name, t) for t in (graph.input, *(op.output for op in graph.ops)))
    with torch.no_grad():
        exact = F.conv2d(x, first.weight.double(), first.bias.double())  # type: ignore[union-attr]
        weight, bias = second.weight.double(), second.bias.double()  # type: ignore[union-attr]
        chained, alone = (F.conv2d(source, weight, bias, padding=1) for source in (exact, y))
    found = errors.decibels()
    assert found["0"].total == pytest.approx(ratio(exact, y))
    assert found["0"].own == pytest.approx(ratio(exact, y))
    assert found["1"].total == pytest.approx(ratio(chained, z))
    assert found["1"].own == pytest.approx(ratio(alone, z))
    assert found["1"].own > found["1"].total


def test_a_silent_network_has_no_error() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False)).eval()
    nn.init.zeros_(model[0].weight)  # type: ignore[arg-type]
    graph = quantize(model, torch.randn(2, 1, 3, 3))
    errors = LayerErrors.of(graph, model)
    errors.see(execute(graph, quantize_input(torch.randn(1, 1, 3, 3), graph.input)[0]))
    assert errors.decibels()["0"].total == math.inf
