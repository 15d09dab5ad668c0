"""Every tree of `ostinato.reuse` as integers: polished ones, and those that compare coordinates with thresholds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quant_helpers import decibels, images, reused

from ostinato.quant import dequantize, outputs, quantize_input
from ostinato.quant.calibrate import calibrate
from ostinato.quant.evaluate import run
from ostinato.quant.frontend import from_module
from ostinato.quant.graph import FloatReuse
from ostinato.quant.ops import QReuseCompiled
from ostinato.quant.passes import prepare
from ostinato.quant.quantize import quantize_graph
from ostinato.quant.reference import compiled_ids, execute
from ostinato.quant.reuse_statistics import row_ids
from ostinato.reuse import Pattern


@pytest.mark.parametrize("init", ["polished", "thresholds", "level-thresholds"])
def test_a_fitted_tree_deploys(init: str) -> None:
    pattern = Pattern(8, 4, scope="compiled", sharing="block", clustering="tree", init=init, gradient="frozen")
    graph = prepare(from_module(reused(pattern), images(1)))
    integers = quantize_graph(graph, calibrate(graph, images(48, seed=3)), input_parameters=(1 / 128, 0))
    op, layer = integers.op("3"), graph.op("3")
    assert isinstance(op, QReuseCompiled)
    assert isinstance(layer, FloatReuse)
    x = images(4, seed=21)
    q = np.stack([execute(integers, image)[op.input.name] for image in quantize_input(x, integers.input)])
    real = layer_input(q, op)
    made = np.stack([compiled_ids(op, image) for image in q])
    differ = float((made != row_ids(layer, real).numpy()).mean())
    if init == "polished":
        assert differ < 0.06
    else:  # a comparison is exact in int8: one entry of the hash vector is 127, the others 0
        assert differ == 0
        assert ((op.hash.vectors == 0) | (op.hash.vectors == 127)).all()
    expected = run(graph, x)[graph.output].double().numpy()
    assert decibels(expected, dequantize(outputs(integers, x), integers.output)) > 20


def layer_input(q: np.ndarray, op: QReuseCompiled) -> torch.Tensor:
    """The reals (N, C, H, W) that the layer's int8 inputs (N, H, W, C) stand for."""
    return torch.from_numpy(dequantize(q, op.input)).permute(0, 3, 1, 2)
