"""The models of latency and of interactions recover what they are made of."""

from __future__ import annotations

import numpy as np
import pytest

from ostinato.reuse import ConvGeometry, Pattern, StemPattern
from ostinato.search.interactions import Interactions, Joint, correct
from ostinato.search.latency import (
    FEATURES,
    LatencyModel,
    Sample,
    features,
    kernel_family,
    published_share,
    summary,
    unseen_layer_errors,
)
from ostinato.search.layers import Layer

LAYERS = [
    Layer(f"c{c}", ConvGeometry(c, m, k, padding=k // 2), side, side, False)
    for c, m, k, side in ((8, 16, 3, 8), (16, 32, 3, 8), (32, 64, 1, 16), (64, 64, 5, 14), (48, 192, 3, 4))
]
PATTERNS = [Pattern(8, h, scope=scope) for h in (2, 4) for scope in ("image", "compiled")]


def made_up(costs: np.ndarray) -> list[Sample]:
    found = []
    for layer in LAYERS:
        for pattern in PATTERNS:
            counts = features(pattern, layer, 0.1 * pattern.slices(layer.geometry) * layer.positions)
            found.append(Sample("reuse", layer.name, counts, float(counts @ costs)))
    return found


def test_cycles_that_are_linear_are_predicted_on_unseen_layers() -> None:
    costs = np.zeros(len(FEATURES))
    costs[[0, 1, 2, 5, 7, 8]] = 500, 3, 0.9, 1.1, 20, 0.7
    samples = made_up(costs)
    model = LatencyModel.fit(samples)
    for sample in samples:
        assert model.predict("reuse", sample.counts) == pytest.approx(sample.cycles, rel=1e-6)
    assert model.predict("other", samples[0].counts) is None
    assert summary(unseen_layer_errors(samples))["reuse"]["largest"] < 0.02


def test_nothing_is_said_of_unseen_layers_where_there_are_too_few() -> None:
    two = [sample for sample in made_up(np.ones(len(FEATURES))) if sample.layer in ("c8", "c16")]
    assert unseen_layer_errors(two) == {}


def test_features_count_what_kernels_do() -> None:
    layer = Layer("l", ConvGeometry(8, 16, 3, padding=1), 10, 10, False)
    image = dict(zip(FEATURES, features(Pattern(8, 4), layer, 50.0), strict=True))
    assert image["rows added"] == 100 * 9 * 16
    assert (image["vectors"], image["hashes"], image["hash products"]) == (900, 3600, 28800)
    assert image["cluster products"] == 50 * 8 * 16
    table = dict(zip(FEATURES, features(Pattern.compiled(8, 4), layer, 50.0), strict=True))
    assert table["vectors"] == 100
    assert table["cluster products"] == 0
    assert features(StemPattern(), layer, 0.0)[2] == 100 * 10 * 16
    assert features(None, layer, 0.0)[-1] == layer.macs


def test_the_published_count() -> None:
    layer = Layer("l", ConvGeometry(8, 16, 3), 10, 10, False)
    assert published_share(Pattern(8, 4), layer, 0.9) == pytest.approx(4 / 16 + 0.1)
    assert published_share(None, layer, 0.0) == 1.0


def test_kernels_of_one_family() -> None:
    assert kernel_family("reuse_pointers_s8_14x14x64_k5x5_10x10x64_L8_tree4_F3") == "reuse_pointers_s8"
    assert kernel_family("conv_s8_dense") == "conv_s8_dense"


def test_interactions_of_equal_networks_are_one_factor() -> None:
    alone = [{"a": 0.1, "b": 0.02}, {"a": 0.01, "b": 0.2}, {"b": 0.05}]
    found = correct([Joint(each, 0.8 * sum(each.values()), 20 * 0.8 * sum(each.values())) for each in alone])
    assert found.common == pytest.approx(0.8)
    assert found.points_per_nat == pytest.approx(20)
    for each in alone:
        assert found.joint(each) == pytest.approx(0.8 * sum(each.values()), rel=1e-6)
    assert found.factor("never reused") == pytest.approx(0.8)


def test_interactions_tell_layers_apart() -> None:
    alone = [{"a": 0.1, "b": 0.02}, {"a": 0.02, "b": 0.2}, {"a": 0.1}, {"b": 0.1}]
    joints = [Joint(each, 1.5 * each.get("a", 0) + 0.5 * each.get("b", 0), 1.0) for each in alone]
    found = correct(joints)
    assert found.factor("a") > 1.2
    assert found.factor("b") < 0.7
    before = sum(abs(Interactions({}).joint(j.alone) / j.kl - 1) for j in joints)
    assert sum(abs(found.joint(j.alone) / j.kl - 1) for j in joints) < 0.4 * before


def test_without_measurements_sums_are_believed() -> None:
    assert correct([]) == Interactions({})
    assert correct([Joint({}, 0.0, 0.0)]).joint({"a": 0.1}) == pytest.approx(0.1)
