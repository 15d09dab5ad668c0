"""Detection rates follow from the largest softmax probability, as GR §5.3.6 says."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ostinato.errors import DataError
from ostinato.training import detect, detection


def logits(*confidences: float) -> torch.Tensor:
    """Two classes, the first with the given probability (at least a half)."""
    p = torch.tensor(confidences, dtype=torch.float64)
    return torch.stack([p.log(), (1 - p).log()], 1)


def test_rates_count_what_is_below_the_threshold():
    found = detection(logits(0.9, 0.8, 0.71, 0.6), logits(0.5, 0.69, 0.95, 0.55, 0.65))
    assert found.detected == 4 / 5
    assert found.false_alarms == 1 / 4
    assert (found.threshold, found.inside, found.outside) == (0.7, 4, 5)


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    inside, outside = (0.9, 0.8, 0.71, 0.6), (0.5, 0.69, 0.95, 0.55, 0.65)
    pairs = [(i > o) + 0.5 * (i == o) for i in inside for o in outside]
    assert detection(logits(*inside), logits(*outside)).auroc == pytest.approx(sum(pairs) / len(pairs))


def test_a_model_is_evaluated_and_its_mode_restored():
    class Brightness(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert not self.training
            bright = x.mean((1, 2, 3))
            return torch.stack([8 * bright, torch.zeros_like(bright)], 1)

    model = Brightness().train()
    inside = torch.full((3, 3, 4, 4), 255, dtype=torch.uint8)
    outside = torch.full((7, 3, 4, 4), 130, dtype=torch.uint8)
    found = detect(model, inside, outside, batch_size=2)
    assert (found.detected, found.false_alarms, found.auroc) == (1.0, 0.0, 1.0)
    assert model.training


@pytest.mark.parametrize(
    ("inside", "outside", "threshold"),
    [
        (torch.zeros(0, 2), torch.zeros(1, 2), 0.7),
        (torch.zeros(1, 2), torch.zeros(1, 3), 0.7),
        (torch.zeros(2), torch.zeros(2), 0.7),
        (torch.zeros(1, 2), torch.zeros(1, 2), 1.0),
    ],
)
def test_nonsense_is_refused(inside, outside, threshold):
    with pytest.raises(DataError):
        detection(inside, outside, threshold)
