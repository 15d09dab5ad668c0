"""Candidates: each once, and every combination that is none counted with its reason."""

from __future__ import annotations

import pytest
from search_samples import small_context

from ostinato.errors import PatternError
from ostinato.reuse import ConvGeometry, Pattern, StemPattern
from ostinato.search import SearchSpace
from ostinato.search import generate as g
from ostinato.search.candidate import Candidate, digest, fields_of, read_candidate, summary
from ostinato.search.layer_firmware import KernelProbe
from ostinato.search.layers import Layer
from ostinato.targets.boards import get_board

LAYER = Layer("conv", ConvGeometry(8, 16, 3), 10, 10, False)
ORDERS = 'order = ["kh.kw.c", "c.kh.kw"]'
IMAGE = Layer("first", ConvGeometry(3, 16, 3), 10, 10, True)


def generated(text: str, layers: tuple[Layer, ...] = (LAYER,), flash: int = 1 << 20) -> g.Candidates:
    return g.generate(SearchSpace.parse(text), layers, flash, lambda layer, pattern: None)


def reasons(found: g.Candidates) -> list[str]:
    return sorted({drop.reason for drop in found.drops})


def test_equal_patterns_are_one_candidate() -> None:
    found = generated('[[patterns]]\nlength = [8, "C", 8]\nhashes = 2')
    assert found.patterns == {"conv": (Pattern(8, 2),)}
    assert not found.drops


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[[patterns]]\nlength = 4\nhashes = 2\nsharing = ["slice", "block"]\n' + ORDERS, g.NO_PATTERN),
        ("[[patterns]]\nlength = [4, 500]\nhashes = 2", g.NOT_FOR_LAYER),
        ("[[patterns]]\nlength = 4\nhashes = [2, 16]", g.NEVER_PAYS),
        ('[[patterns]]\nlength = 4\nhashes = [2, 13]\nscope = "compiled"', g.BEYOND_FLASH),
    ],
)
def test_what_is_dropped_and_why(text: str, reason: str) -> None:
    found = generated(text)
    assert reasons(found) == [reason]
    assert found.count > 0
    assert reason in summary(found.drops)[0]
    assert "'conv'" in summary(found.drops)[0]


def test_what_firmware_refuses_is_dropped_with_its_words() -> None:
    space = SearchSpace.parse("[[patterns]]\nlength = [4, 8]\nhashes = 2")
    found = g.generate(space, [LAYER], 1 << 20, lambda _, p: "no kernel for 4" if p == Pattern(4, 2) else None)
    assert found.patterns == {"conv": (Pattern(8, 2),)}
    assert [(d.reason, d.detail) for d in found.drops] == [(g.NO_KERNEL, "no kernel for 4")]


def test_nothing_left_is_one_sentence() -> None:
    with pytest.raises(PatternError, match=r"no candidate for any layer .*do not apply"):
        generated("[[patterns]]\nlength = 500\nhashes = 2")
    with pytest.raises(PatternError, match="none of its tables is for conv"):
        generated('[[patterns]]\nlength = 4\nhashes = 2\nlayers = "fc"')


def test_stems_are_for_layers_that_read_the_image() -> None:
    found = generated("[[stems]]\ngroups = 10\n[[patterns]]\nlength = 3\nhashes = 2", (LAYER, IMAGE))
    assert [type(p) for p in found.patterns["first"]] == [StemPattern, Pattern]
    assert [type(p) for p in found.patterns["conv"]] == [Pattern]


def test_the_key_condition() -> None:
    pattern = Pattern(4, 8)  # H/D_out = 8/16
    assert g.hashing_share(pattern, LAYER) == 0.5
    assert not g.key_condition(pattern, LAYER, 0.5)
    assert g.key_condition(pattern, LAYER, 0.51)
    shared = Pattern(4, 8, sharing="block", scope="compiled")
    assert g.hashing_share(shared, LAYER) == pytest.approx(0.5 * (100 * 8) / (64 * 72))  # pixels, not windows
    assert g.table_bytes(shared, LAYER) == 18 * 256 * 16
    assert g.key_condition(shared, LAYER, 0.0)  # nothing is computed again


def test_keys_are_of_the_pattern_alone() -> None:
    candidate = Candidate("conv", Pattern(4, 8))
    assert read_candidate("conv", fields_of(Pattern(4, 8))).key == candidate.key != Candidate("conv", Pattern(4, 7)).key
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})


def test_the_probe_asks_the_kernels() -> None:
    """Whatever the firmware supports today, the probe's answer is what deploying says."""
    context, probe = small_context(), KernelProbe(get_board("stm32f469i"))
    layer = context.layer("conv2")
    assert probe.refusal(layer, Pattern.compiled(8, 3)) is None
    reason = probe.refusal(layer, Pattern(4, 2, scope="batch"))
    assert reason is not None
    assert "conv2" in reason
    assert "batch" in reason
