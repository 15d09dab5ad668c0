"""Images of no known class: how many of them a network's confidence gives away (GR §5.3.6, Table 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from ostinato.data import to_input
from ostinato.errors import DataError
from ostinato.training.evaluation import evaluating

THRESHOLD = 0.7
"""Of the largest softmax probability, below which GR reports an image as out of distribution."""


@dataclass(frozen=True)
class Detection:
    """`detected`: share of the outside images reported, GR Table 4's detection rate; `false_alarms`: the inside ones'.

    `auroc`: probability that an outside image is less confident than an inside one, over all thresholds (0.5: chance).
    `inside`, `outside`: how many images there were.
    """

    threshold: float
    detected: float
    false_alarms: float
    auroc: float
    inside: int
    outside: int


def detection(inside: Tensor, outside: Tensor, threshold: float = THRESHOLD) -> Detection:
    """How well the largest softmax probability tells two sets of logits apart, (N, classes) each.

    The logits may be a float network's or a firmware's, dequantised.

    Raises:
        DataError: no images on one side, other shapes, or a threshold that is no probability.
    """
    if not 0.0 < threshold < 1.0:
        raise DataError(f"threshold={threshold}; it is a probability, between 0 and 1.")
    fitting = inside.ndim == outside.ndim == 2 and inside.shape[1] == outside.shape[1]
    if not (fitting and len(inside) and len(outside)):
        raise DataError(
            f"logits of shapes {tuple(inside.shape)} and {tuple(outside.shape)}; expected (images, classes) twice, "
            "with the same classes and at least one image each."
        )
    known, strange = _confidence(inside), _confidence(outside)
    is_strange = np.r_[np.zeros(len(known)), np.ones(len(strange))]
    return Detection(
        threshold=threshold,
        detected=float((strange < threshold).mean()),
        false_alarms=float((known < threshold).mean()),
        auroc=float(roc_auc_score(is_strange, -np.r_[known, strange])),
        inside=len(known),
        outside=len(strange),
    )


def detect(
    model: nn.Module, inside: Tensor, outside: Tensor, threshold: float = THRESHOLD, batch_size: int = 250
) -> Detection:
    """`detection` on a model's own logits.

    Args:
        model: in any mode; it is evaluated, and its modes restored.
        inside, outside: images (N, 3, H, W) uint8 of the known classes and of others, such as
            `dataset.test.images` and `data.read_parquet_images(...)`.
        threshold: as for `detection`.
        batch_size: also the scope of clusters, for networks that share them across a batch.
    """
    return detection(_logits(model, inside, batch_size), _logits(model, outside, batch_size), threshold)


def _confidence(logits: Tensor) -> npt.NDArray[np.float64]:
    confidence: npt.NDArray[np.float64] = logits.double().softmax(1).amax(1).numpy()
    return confidence


def _logits(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    if not len(images):
        raise DataError("there are no images to look at.")
    with evaluating(model), torch.inference_mode():
        return torch.cat([model(to_input(part)).float() for part in torch.split(images, batch_size)])
