"""Where one hyperplane of a tree had better be, given what each vector gains on its upper side."""

from __future__ import annotations

import torch
from torch import Tensor

_NEWTON_ROUNDS = 8
_RIDGE = 1e-3  # of the weights' total: keeps separable vectors from an infinite plane
_LONGEST_STEP = 5.0


def best_threshold(projections: Tensor, gains: Tensor) -> tuple[Tensor, Tensor]:
    """Thresholds halfway between two projections, such that the gains above them sum to the most.

    Args:
        projections: (n, D) of n vectors on D directions.
        gains: (n,), what a vector gains above the threshold.

    Returns:
        Thresholds (D,) and the gains (D,) above them; −∞ where all projections of a direction are the same.
    """
    order = torch.argsort(projections, dim=0)
    ordered = projections.gather(0, order)
    below = torch.cumsum(gains[order], 0)
    above = torch.where(ordered[1:] > ordered[:-1], below[-1:] - below[:-1], -torch.inf)
    most, where = above.max(0)
    middle = (ordered[1:] + ordered[:-1]).gather(0, where.unsqueeze(0)).squeeze(0) / 2
    return middle, most


def logistic_plane(vectors: Tensor, gains: Tensor, plane: Tensor, threshold: Tensor) -> Tensor:
    """Direction (D,) of the hyperplane that puts vectors with a positive gain above, in logistic regression.

    A vector counts by |gain|. Newton's iterations begin at the present plane; the loss is smooth, so the threshold is
    to be chosen again (`best_threshold`).

    Args:
        vectors: (n, D), float64.
        gains: (n,), not all zero.
        plane: (D,), the present one.
        threshold: scalar, the present one.
    """
    mean = vectors.mean(0)
    centred = vectors - mean
    scale = centred.square().mean().sqrt().clamp_min(torch.finfo(vectors.dtype).tiny)
    x = torch.cat([centred / scale, torch.ones_like(centred[:, :1])], 1)
    weights, above = gains.abs() / gains.abs().sum(), (gains > 0).to(x.dtype)
    # The present plane, as steep as a sigmoid that resolves a third of a deviation.
    slopes = torch.cat([plane * scale, (plane @ mean - threshold).unsqueeze(0)])
    slopes = 3 * slopes / slopes[:-1].norm().clamp_min(torch.finfo(x.dtype).tiny)
    ridge = _RIDGE * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    for _ in range(_NEWTON_ROUNDS):
        likely = torch.sigmoid(x @ slopes)
        gradient = x.t() @ (weights * (likely - above)) + _RIDGE * slopes
        curvature = (x * (weights * likely * (1 - likely)).unsqueeze(1)).t() @ x + ridge
        step = torch.linalg.solve(curvature, gradient)
        slopes = slopes - step * (_LONGEST_STEP / step.norm().clamp_min(_LONGEST_STEP))
    plane_found: Tensor = slopes[:-1] / scale
    return plane_found
