"""Compiled-scope patterns of every kind from a float model to firmware: equal bits everywhere, the right kernels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import ostinato.nn as onn
from ostinato.firmware import Firmware, deploy_graph
from ostinato.quant import quantize
from ostinato.quant.accuracy import quantize_input
from ostinato.reuse import Pattern

TREE = {"scope": "compiled", "clustering": "tree", "gradient": "frozen"}
PATTERNS = {
    "0": Pattern(9, 4, sharing="layer", init="thresholds", **TREE),  # whole kernel rows
    "2": Pattern(8, 3, sharing="block", order="kw.kh.c", init="thresholds", **TREE),
    "4": Pattern(7, 3, scope="compiled", order="c:4.kh.kw", init="pca"),  # L divides nothing
    "6": Pattern(30, 4, sharing="layer", init="pca", **TREE),  # half a kernel row
}
FORMS = {"0": "reuse_pointers_s8", "2": "reuse_pointers_s8", "4": "reuse_compiled_s8", "6": "reuse_compiled_s8"}


def images(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 5, 5, generator=generator)
    smooth = nn.functional.interpolate(coarse, (14, 14), mode="bilinear", align_corners=True)
    return (0.5 * smooth + 0.1 * torch.randn(count, 3, 14, 14, generator=generator)).clamp(-1, 127 / 128)


@pytest.fixture(scope="module")
def firmware() -> Firmware:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 20, 3, padding=1),
        nn.ReLU(), nn.Conv2d(20, 16, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64, 5),
    ).eval()  # fmt: skip
    reuse = onn.calibrate(onn.convert(model, PATTERNS), images(32, 1)).eval()
    graph = quantize(reuse, images(8, 2), input_scale=1 / 128)
    return deploy_graph(graph, quantize_input(images(3, 3), graph.input), verify_images=0)


def test_all_executions_agree_in_every_layer(firmware: Firmware) -> None:
    result = firmware.verify()
    assert result.agrees
    assert len(result.executions) == 4


def test_each_layer_has_the_kernel_that_it_can_have(firmware: Firmware) -> None:
    kernels = {op.name: binding.kernel for op, binding in zip(firmware.graph.ops, firmware.bindings, strict=True)}
    assert {name: kernels[name].split("_s8")[0] + "_s8" for name in FORMS} == FORMS
    assert "_cut4_" in kernels["0"]
    assert "_k3x1_" in kernels["0"]
    assert "_cut3_" in kernels["2"]
