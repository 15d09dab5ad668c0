"""Poolings that layers do, in a search: cycles stay those of the network, and SRAM is what firmware takes."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from search_samples import BOARD, SETTINGS, small_dataset, small_net

from ostinato.quant.pooled_op import QPooled
from ostinato.reuse import Pattern
from ostinato.search.context import Context
from ostinato.search.measure import baseline, firmware_of
from ostinato.search.pooling import candidate_sram
from ostinato.search.profile import profile_layer
from ostinato.targets.boards import get_board
from ostinato.training import apply_patterns


@cache
def context() -> Context:
    return Context.of(small_net(), small_dataset(), get_board(BOARD), SETTINGS)


@cache
def measured() -> dict[str, Any]:
    return baseline(context())


def test_layers_and_poolings_add_up_to_the_network() -> None:
    layers, network = measured()["layers"], measured()
    assert list(layers) == ["conv1", "conv2", "fc", "max_pool2d"]
    assert sum(layer["cmsis_cycles"] for layer in layers.values()) == pytest.approx(network["cmsis_cycles"], rel=0.01)
    assert sum(layer["cycles"] for layer in layers.values()) == pytest.approx(network["cycles"], rel=0.02)
    assert 0 < layers["max_pool2d"]["cycles"] < layers["conv2"]["cycles"]
    assert max(own["alive_bytes"] + own["scratch_bytes"] for own in layers.values()) == network["sram_bytes"]
    assert network["sram_bytes"] < layers["conv2"]["pooled"]["apart_alive_bytes"] + layers["conv2"]["scratch_bytes"]


@pytest.mark.parametrize(
    ("pattern", "most"),
    [
        (Pattern.compiled(8, 3), 1.2),  # rows that it would not hold are counted
        (Pattern(9, 2, order="c.kh.kw", init="itq"), 1.0),
    ],
    ids=["compiled", "image"],
)
def test_sram_of_a_candidate_is_that_of_its_firmware(pattern: Pattern, most: float) -> None:
    base = measured()
    (row,) = profile_layer(context(), "conv2", [pattern])
    network = apply_patterns(context().model, context().calibration, {"conv2": pattern}).eval()
    firmware = firmware_of(context(), network)
    index = next(i for i, op in enumerate(firmware.graph.ops) if op.name == "conv2")
    assert isinstance(firmware.graph.ops[index], QPooled) == (pattern.scope == "compiled")
    fixed = base["sram_bytes"] - firmware_of(context(), context().model).plan.arena_bytes
    taken = max(firmware.plan.live_bytes[index : index + 2]) + fixed
    assert taken <= candidate_sram(row, base["layers"]["conv2"]) <= most * taken
