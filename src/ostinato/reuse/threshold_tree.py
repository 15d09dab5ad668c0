"""Trees that compare one coordinate a level with a threshold, as MADDNESS does: no multiplications to hash."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.reuse.tree import FEWEST, square_root, unit_deviation
from ostinato.reuse.tree_polish import polish_tree


def fit_threshold_tree(
    vectors: Tensor, hashes: int, gram: Tensor | None = None, *, shared: bool = False
) -> tuple[Tensor, Tensor]:
    """Cuts of each node's vectors at one of their coordinates, the coordinate and threshold of least output error.

    The tree is grown from the root, a node's cut minimising Σ ‖(x − mean of its side)·gram^½‖²; then all its nodes are
    fitted together (`polish_tree`). With `shared`, the nodes of a level look at the same coordinate, the one with the
    least error in sum, and have thresholds of their own (MADDNESS, Blalock and Guttag, ICML 2021, §4.2).

    Args:
        vectors: (G, n, L), float64.
        hashes: H.
        gram: (G, L, L) from `output_gram`; None: the identity.
        shared: whether a level has one coordinate.

    Returns:
        Hash vectors (G, L, 2^H − 1), each with one entry that is not zero (none, where a node is not cut), and
        thresholds (G, 2^H − 1), nodes in the heap order of `tree_ids`.
    """
    trees = []
    for g, z in enumerate(vectors):
        y = z if gram is None else z @ square_root(gram[g])
        planes, thresholds = _grow(z, y, hashes, shared)
        polished = polish_tree(z, y, planes, thresholds, directions=_own_coordinate if shared else _coordinates)
        trees.append(unit_deviation(z, *polished))
    return torch.stack([planes.t() for planes, _ in trees]), torch.stack([thresholds for _, thresholds in trees])


def _coordinates(z: Tensor, _gains: Tensor, _plane: Tensor, _threshold: Tensor) -> Tensor:
    return torch.eye(z.shape[1], dtype=z.dtype)


def _own_coordinate(_z: Tensor, _gains: Tensor, plane: Tensor, _threshold: Tensor) -> Tensor:
    return plane.unsqueeze(1)


def _grow(z: Tensor, y: Tensor, hashes: int, shared: bool) -> tuple[Tensor, Tensor]:
    """Planes (2^H − 1, L) with a one each and thresholds (2^H − 1,), cutting `z` (n, L) for the sake of `y` (n, L)."""
    planes, thresholds = z.new_zeros((1 << hashes) - 1, z.shape[1]), z.new_zeros((1 << hashes) - 1)
    prefix = torch.zeros(len(z), dtype=torch.long)
    for level in range(hashes):
        sizes = torch.bincount(prefix, minlength=1 << level).tolist()
        cuts = [least_error_cuts(z[mine], y[mine]) for mine in torch.split(torch.argsort(prefix, stable=True), sizes)]
        total = torch.stack([saved for _, saved in cuts]).sum(0)
        for k, (found, saved) in enumerate(cuts, start=(1 << level) - 1):
            best = int((total if shared else saved).argmax())
            if saved[best] > 0:
                planes[k, best], thresholds[k] = 1.0, found[best]
        node = prefix + ((1 << level) - 1)
        prefix = 2 * prefix + ((z * planes[node]).sum(1) > thresholds[node])
    return planes, thresholds


def least_error_cuts(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """For each coordinate of `z` (n, L) the threshold (L,) that lowers Σ ‖y − mean of its side‖² most, and by how much.

    Nothing is saved (0) by coordinates that are all the same, or where there are hardly any vectors.
    """
    count, length = z.shape
    thresholds, saved = z.new_zeros(length), z.new_zeros(length)
    if count < FEWEST:
        return thresholds, saved
    below = torch.arange(1, count, dtype=z.dtype)
    centred = y - y.mean(0)  # so that the two sides' sums are opposite
    for d in range(length):
        order = torch.argsort(z[:, d])
        ordered, sums = z[order, d], centred[order].cumsum(0)[:-1]
        gain = sums.square().sum(1) * (1 / below + 1 / (count - below))
        gain = torch.where(ordered[1:] > ordered[:-1], gain, 0.0)
        best = int(gain.argmax())
        thresholds[d], saved[d] = (ordered[best] + ordered[best + 1]) / 2, gain[best]
    return thresholds, saved
