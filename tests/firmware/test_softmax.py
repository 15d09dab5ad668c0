"""Probabilities at the end of a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato.errors import QuantizationError
from ostinato.firmware import Firmware
from ostinato.firmware.graph_io import _TYPES
from ostinato.quant import dequantize, quantize
from ostinato.quant.ops import QOp


def model(*last: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 5), *last).eval()


def test_probabilities_are_deployed_where_asked_for(tmp_path) -> None:
    images = torch.randn(4, 3, 8, 8)
    logits = ost.deploy(model(nn.Softmax(1)), images, verify=False)  # left out
    firmware = ost.deploy(model(), images, softmax=True, out_dir=tmp_path / "fw")
    assert firmware.verification is not None
    assert [layer.snr_db is None for layer in firmware.verification.layers] == [False, False, True]
    assert logits.graph.ops[-1].name == "3"
    assert firmware.graph.ops[-1].name == "softmax"
    found = dequantize(firmware.predict_int8(images), firmware.graph.output)
    exact = model(nn.Softmax(1))(images).detach().numpy()
    assert abs(found - exact).max() < 0.03
    winners = logits.predict_int8(images).argmax(1)
    assert (found[range(4), winners] == found.max(1)).all()  # close ones may be equal
    assert Firmware.load(tmp_path / "fw").graph.ops[-1].table.tolist() == firmware.graph.ops[-1].table.tolist()
    assert ost.plan(model(), images, softmax=True).layers[-1].kernel == "softmax_s8"


def test_a_map_has_no_softmax() -> None:
    with pytest.raises(QuantizationError, match=r"one vector.*\(6, 6, 8\)"):
        quantize(nn.Conv2d(3, 8, 3), torch.randn(1, 3, 8, 8), softmax=True)


def test_every_operator_can_be_saved() -> None:
    def leaves(kind: type) -> set[str]:
        return {kind.__name__} if not kind.__subclasses__() else set().union(*map(leaves, kind.__subclasses__()))

    assert leaves(QOp) <= set(_TYPES)
