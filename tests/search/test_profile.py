"""Profiled numbers against the same numbers computed by other means."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from search_samples import SETTINGS, small_context
from torch import nn

from ostinato.nn import calibrate, convert, measure_reuse
from ostinato.nn.capture import capture_input
from ostinato.reuse import Pattern
from ostinato.search import profile as profile_module
from ostinato.search.candidate import Candidate
from ostinato.search.context import divergence
from ostinato.search.latency import kernel_family
from ostinato.search.measure import simulate_candidate
from ostinato.search.profile import lightweight, profile_layer, relative_error

IMAGE = Pattern(9, 2, order="c.kh.kw", init="itq")
TABLE = Pattern(4, 3, scope="compiled", sharing="block", clustering="tree", init="pca", gradient="frozen")


@pytest.mark.parametrize("pattern", [IMAGE, TABLE], ids=["image", "table"])
@torch.no_grad()
def test_a_row_is_what_the_converted_network_does(pattern: Pattern) -> None:
    """The same layer in the same network, converted and calibrated whole; the other layer stays conventional."""
    context = small_context()
    (row,) = profile_layer(context, "conv2", [pattern])
    network = calibrate(convert(context.model, {"conv2": pattern}), context.calibration).eval()
    with measure_reuse(network) as stats:
        answers = network(context.probe).double().log_softmax(1)
    assert row["r_t"] == pytest.approx(stats["conv2"].r_t)
    assert row["kl"] == pytest.approx(divergence(context.answers, answers), rel=1e-4)
    inputs = capture_input(context.model, context.model.conv2, context.probe)  # type: ignore[arg-type]
    y, made = context.model.conv2(inputs), network.conv2(inputs)  # type: ignore[operator]
    flat = y.transpose(0, 1).flatten(1).double()
    variation = (flat - flat.mean(1, keepdim=True)).square().sum()
    assert row["error"] == pytest.approx(float((y - made).double().square().sum() / variation), rel=1e-4)
    assert row["corrected"] >= row["published"] > 0
    assert row["flash_bytes"] > 0
    assert kernel_family(row["kernel"]).startswith("reuse_")
    assert row["input_zeros"] == pytest.approx(float((inputs == 0).float().mean()))


@torch.no_grad()
def test_the_error_of_nothing_and_of_the_mean() -> None:
    y = torch.randn(4, 5, 3, 3, generator=torch.Generator().manual_seed(0)) + 7
    assert relative_error(y, y) == 0
    assert relative_error(y.mean((0, 2, 3), keepdim=True).expand_as(y), y) == pytest.approx(1, rel=1e-5)


def test_answers_are_compared_in_nats() -> None:
    p = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
    q = torch.tensor([[0.25, 0.75], [0.9, 0.1]]).log()
    expected = 0.5 * (0.5 * (torch.tensor(2.0).log() + torch.tensor(2 / 3).log()))
    assert divergence(p, q) == pytest.approx(float(expected))
    assert divergence(p, p) == 0


def test_images_to_fit_to_are_not_those_to_measure_on() -> None:
    context = small_context()
    fitted = {image.numpy().tobytes() for image in context.calibration}
    assert len(context.calibration) == SETTINGS.calibration_images
    assert not fitted & {image.numpy().tobytes() for image in context.probe}


def test_a_failing_candidate_is_a_row_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    real = profile_module.fit_layer

    def failing(context: object, name: str, pattern: Pattern, inputs: torch.Tensor) -> nn.Module:
        if pattern == IMAGE:
            raise ZeroDivisionError("of all things")
        return real(context, name, pattern, inputs)  # type: ignore[arg-type]

    monkeypatch.setattr(profile_module, "fit_layer", failing)
    bad, good = profile_layer(small_context(), "conv2", [IMAGE, TABLE])
    assert bad["failed"] == "ZeroDivisionError: of all things"
    assert "kl" not in bad
    assert "failed" not in good
    assert good["kl"] > 0


def test_polished_trees_are_profiled_unpolished() -> None:
    assert lightweight(Pattern.compiled(8, 4)) == Pattern.compiled(8, 4, init="pca")
    assert lightweight(IMAGE) is IMAGE


@torch.no_grad()
def test_a_candidate_simulated_alone() -> None:
    """Fewer slices are fewer additions, and nothing else changes."""
    context = small_context()
    cycles = [
        simulate_candidate(context, Candidate("conv2", dataclasses.replace(TABLE, length=length))) for length in (4, 8)
    ]
    assert cycles[0]["cycles"] > cycles[1]["cycles"] > 0
