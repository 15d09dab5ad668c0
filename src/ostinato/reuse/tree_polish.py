"""Polishing a tree: Lloyd's iteration under the constraint that clusters are the leaves of a tree of hyperplanes.

Tree alternating optimisation (Carreira-Perpiñán and Tavallali, NeurIPS 2018) with vector quantisation as its task.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ostinato.reuse.cuts import best_threshold, logistic_plane

SWEEPS = 8
_ENOUGH = 2e-3  # stop when a sweep lowers the error by a smaller share
_FEWEST = 16  # vectors below which a node stays as it is

Directions = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def polish_tree(
    features: Tensor,
    targets: Tensor,
    planes: Tensor,
    thresholds: Tensor,
    sweeps: int = SWEEPS,
    directions: Directions | None = None,
) -> tuple[Tensor, Tensor]:
    """Lower Σ ‖y − mean of y's leaf‖² by changing one node at a time; it never rises.

    A sweep takes the leaves' means as fixed and goes from the lowest level to the root. At a node, each vector has a
    leaf that it would come to on either side, and so a gain of being above; the node's new plane is the best found of
    some directions, each with its best threshold. Then the means are taken again, as in Lloyd's iteration.

    Args:
        features: (n, D) what the planes see, float64.
        targets: (n, L) y, what clusters are means of, float64.
        planes: (2^H − 1, D) in heap order, not changed; planes of zeros stay.
        thresholds: (2^H − 1,), not changed.
        sweeps: at most so many.
        directions: (features, gains, plane, threshold) of a node's vectors to (D, directions) that may replace its
            plane; the default's are the present one and that of `logistic_plane`.

    Returns:
        Planes and thresholds.
    """
    hashes = len(planes).bit_length()
    planes, thresholds, propose = planes.clone(), thresholds.clone(), directions or _oblique
    before = torch.inf
    for _ in range(sweeps):
        bits = features @ planes.t() > thresholds
        prefixes = [torch.zeros(len(features), dtype=torch.long)]
        for level in range(hashes):
            prefixes.append(_descend(bits, prefixes[-1], level, level + 1))
        means = _leaf_means(targets, prefixes[-1], 1 << hashes)
        error = float((targets - means[prefixes[-1]]).square().sum())
        if error >= before * (1 - _ENOUGH):
            break
        before = error
        for level in reversed(range(hashes)):
            lower, upper = (_errors(targets, means, bits, 2 * prefixes[level] + side, level + 1) for side in (0, 1))
            first, end = (1 << level) - 1, (2 << level) - 1
            sizes = torch.bincount(prefixes[level], minlength=1 << level).tolist()
            members = torch.split(torch.argsort(prefixes[level], stable=True), sizes)
            for k, mine in zip(range(first, end), members, strict=True):
                if len(mine) >= _FEWEST and bool(planes[k].any()):
                    gains = (lower - upper)[mine]
                    planes[k], thresholds[k] = _better(features[mine], gains, planes[k], thresholds[k], propose)
            bits[:, first:end] = features @ planes[first:end].t() > thresholds[first:end]
    return planes, thresholds


def _better(x: Tensor, gains: Tensor, plane: Tensor, threshold: Tensor, propose: Directions) -> tuple[Tensor, Tensor]:
    """The plane with the largest gain above it: the present one, or a proposed direction with its best threshold."""
    if not bool(gains.any()):
        return plane, threshold
    directions = propose(x, gains, plane, threshold)
    found, above = best_threshold(x @ directions, gains)
    best = int(above.argmax())
    present = gains[x @ plane > threshold].sum()
    if float(above[best]) <= float(present):
        return plane, threshold
    return directions[:, best], found[best]


def _oblique(x: Tensor, gains: Tensor, plane: Tensor, threshold: Tensor) -> Tensor:
    return torch.stack([plane, logistic_plane(x, gains, plane, threshold)], 1)


def _descend(bits: Tensor, prefix: Tensor, level: int, end: int) -> Tensor:
    """Prefixes (n,) at level `end` of vectors that are at `prefix` in `level`, by the `bits` (n, 2^H − 1) of all."""
    for h in range(level, end):
        node = prefix + ((1 << h) - 1)
        prefix = 2 * prefix + bits.gather(1, node.unsqueeze(1)).squeeze(1)
    return prefix


def _errors(targets: Tensor, means: Tensor, bits: Tensor, prefix: Tensor, level: int) -> Tensor:
    """(n,) ‖y − mean‖² at the leaf that a vector comes to from `prefix` in `level`."""
    leaf = _descend(bits, prefix, level, len(means).bit_length() - 1)
    return (targets - means[leaf]).square().sum(1)


def _leaf_means(targets: Tensor, leaves: Tensor, count: int) -> Tensor:
    """(2^H, L) means; zeros where no vector is, which any vector may move to if zero is nearer."""
    sums = targets.new_zeros(count, targets.shape[1]).index_add_(0, leaves, targets)
    return sums / torch.bincount(leaves, minlength=count).clamp_min(1).unsqueeze(1)
