"""What the loss would change by if a bit of a vector's id turned, and how many vectors are near enough for it to turn.

docs/method.md derives both; `flip` lets centroids move with a vector, `straight-through` holds them fixed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.accelerator import accelerated
from ostinato.reuse.clustered import Clustered
from ostinato.reuse.pattern import Pattern


def deviations(projections: Tensor, groups: int, slices: int) -> Tensor:
    """(G, H) standard deviations of `projections` (A, H), equally many of each slice s, which uses hash s mod G."""
    smallest = torch.finfo(projections.dtype).tiny ** 0.25
    if accelerated(projections):
        by_group = projections.view(slices // groups, groups, -1, projections.shape[1])
        return by_group.var((0, 2), correction=0).sqrt_().clamp_min_(smallest)
    by_slice = projections.view(slices, -1, projections.shape[1])
    # Sums over rows as products with ones: a reduction that is not over the last dimension takes four times as long.
    ones = by_slice.new_full((slices, 1, by_slice.shape[1]), groups / len(projections))
    mean = torch.bmm(ones, by_slice).view(-1, groups, projections.shape[1]).sum(0)
    centred = by_slice - mean.repeat(slices // groups, 1).unsqueeze(1)
    variance = torch.bmm(ones, centred.square_()).view(-1, groups, projections.shape[1]).sum(0)
    return variance.sqrt_().clamp_min_(smallest)


def flip_kernel(projections: Tensor, deviation: Tensor, pattern: Pattern) -> Tensor:
    """(A, H) a·S·(1 − S) with a = flip_slope/deviation: how dense the vectors are near each hyperplane."""
    slope = pattern.flip_slope / deviation
    tail = F.threshold(torch.sigmoid((slope * projections).abs().neg_()), 2e-3, 0.0)
    return slope * tail * (1 - tail)


def window_kernel(projections: Tensor, deviation: Tensor, pattern: Pattern) -> Tensor:
    """(A, H) box of unit area around each hyperplane: the clipped straight-through derivative of a bit."""
    width = pattern.window * deviation
    return (projections.abs() <= width).to(width.dtype) / (2 * width)


def flip_changes(state: Clustered, kernel: Tensor, moves_centroids: bool) -> Tensor:
    """(A, H) first-order change of the loss if a bit turned from 0 to 1, all else equal; where `kernel` is not zero.

    A vector x that moves from cluster p to q takes the recovered value of q instead of p's; if centroids move with
    it, q's becomes (n_q·c_q + x)/(n_q + 1) for its members and p's moves by (c_p − x)/(n_p − 1) for those left.
    An empty q would consist of x alone.
    """
    clusters, own = state.clusters, state.row_gradients
    home, hashes = state.home(), kernel.shape[1]
    if accelerated(kernel) and clusters.keys is None:
        found = state.centroids, state.centroid_gradients, clusters.sizes
        return all_changes(state.sample.rows, own, home, hashes, *found, moves_centroids)
    # What it is worth to be recovered exactly, and then to leave: those left have each (c_p − x)/(n_p − 1) more.
    stay, moved = _recovered(state, home, moves_centroids)
    if moves_centroids:
        others = (clusters.sizes.index_select(0, home) - 1).clamp_min_(1).to(own.dtype)
        stay += stay.sub(moved).div_(others)
    near = _nonzero(kernel)
    who = near // hashes
    bit = hashes * (who + 1) - 1 - near
    mine = state.keys(home).index_select(0, who)
    other, size = clusters.find(mine ^ (1 << bit))
    count = size.to(own.dtype)
    # With e = x − c_q, x is recovered with the error e·n/(n + 1), and c_q moves by e/(n + 1); with n = 0 both are 0.
    lost, moved = _recovered(state, other, moves_centroids, who)
    if moves_centroids:
        lost.mul_(count).sub_(moved).div_(count + 1)
    difference = stay.index_select(0, who).sub_(lost.mul_(count.clamp_max_(1)))
    difference *= (1 - 2 * ((mine >> bit) & 1)).to(difference.dtype)
    return torch.zeros_like(kernel).view(-1).index_copy_(0, near, difference).view_as(kernel)


def all_changes(
    rows: Tensor, own: Tensor, home: Tensor, hashes: int, centroids: Tensor, pulls: Tensor, sizes: Tensor,
    moves_centroids: bool,
) -> Tensor:  # fmt: skip
    """`flip_changes` of every bit, near or not: the form for accelerators, which need not be waited for.

    Args:
        rows: (A, D) vectors.
        own: (A, D) gradients of their recovered values.
        home: (A,) their clusters, whose low bits are ids.
        hashes: H.
        centroids: (C, D).
        pulls: (C, D) gradients of the centroids.
        sizes: (C,).
        moves_centroids: as in `flip_changes`.
    """
    flipped = turned(hashes, home.device)  # of which the first is none
    slots = home.unsqueeze(1) ^ flipped
    every, shape = slots.reshape(-1), (*slots.shape, rows.shape[1])
    error = torch.sub(rows.unsqueeze(1), centroids.index_select(0, every).view(shape))
    recovered = (error * own.unsqueeze(1)).sum(2)
    count = sizes.index_select(0, every).view_as(slots).to(rows.dtype)
    stay, lost = recovered[:, :1], recovered
    if moves_centroids:
        moved = error.mul_(pulls.index_select(0, every).view(shape)).sum(2)
        stay = stay + (stay - moved[:, :1]) / (count[:, :1] - 1).clamp_min_(1)
        lost = (recovered * count).sub_(moved).div_(count + 1)
    change = stay - lost[:, 1:] * count[:, 1:].clamp_max(1)
    return torch.where((home.unsqueeze(1) & flipped[1:]) > 0, -change, change)


@lru_cache(maxsize=64)  # the same in every step of a training
def turned(hashes: int, device: torch.device) -> Tensor:
    """(H + 1,) what an id is XORed with for none of its bits, and then for each, to turn: 0, 2^(H−1), …, 1."""
    with torch.inference_mode(False):  # such a tensor could not be used in training later
        return torch.tensor([0, *(1 << h for h in reversed(range(hashes)))], device=device)


def _recovered(
    state: Clustered, slots: Tensor, moves_centroids: bool, who: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(Q,) products of x − c with dLoss/d(x's recovered value), and with dLoss/dc if centroids move (else the same).

    Args:
        state: of the vectors and centroids.
        slots: (Q,) c.
        moves_centroids: whether the second is wanted.
        who: (Q,) x among the vectors; None: all of them.
    """
    error = state.centroids.index_select(0, slots)
    rows = state.sample.rows
    torch.sub(rows if who is None else rows.index_select(0, who), error, out=error)
    felt = state.row_gradients * error if who is None else state.row_gradients.index_select(0, who).mul_(error)
    recovered = row_sums(felt)
    del felt
    if not moves_centroids:
        return recovered, recovered
    return recovered, row_sums(error.mul_(state.centroid_gradients.index_select(0, slots)))


def _nonzero(values: Tensor) -> Tensor:
    """Positions (Q,) of the numbers of `values` that are not zero; NumPy finds them in a fifth of PyTorch's time."""
    mask = values.bool().view(-1)
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.nonzero().squeeze(1)


def row_sums(rows: Tensor) -> Tensor:
    """(A,) sums of rows (A, D); as a product with ones, since sums over short rows are slow."""
    return rows @ rows.new_ones(rows.shape[1])
