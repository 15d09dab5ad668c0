"""How the loss changes with a vector's projections: the estimators of `Pattern.gradient`.

Ids are piecewise constant, so each estimator replaces something by a smooth stand-in. All need the same facts, the
`Clustered` vectors of a forward pass and the loss gradients of their centroids, and give dLoss/dprojection for
the vectors near enough to a hyperplane to matter. `docs/method.md` derives and compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.reuse.assignment import Assignment
from ostinato.reuse.hashing import bit_values
from ostinato.reuse.pattern import Pattern

_CHUNK = 1 << 16  # vectors at a time, to bound the memory of the relaxation
_REACH = 8.0  # the Gaussian of Eq. 3.4 is below 2e-14 beyond so many σ


@dataclass(frozen=True)
class Clustered:
    """A forward pass's clusters and their part in the loss.

    Attributes:
        rows: (R, L) vectors.
        assignment: their clusters.
        centroid_gradients: (C, L), dLoss/dcentroid.
        row_gradients: for indices (A,) into `rows`, dLoss/d(that row's value after recovery), (A, L).
        groups: G, row r uses hash matrix r mod G.
    """

    rows: Tensor
    assignment: Assignment
    centroid_gradients: Tensor
    row_gradients: Callable[[Tensor], Tensor]
    groups: int


def projection_gradient(state: Clustered, pattern: Pattern) -> tuple[Tensor, Tensor]:
    """dLoss/dprojection under `pattern.gradient`: indices (A,) of the vectors that have one, and it, (A, H)."""
    if pattern.gradient == "trec":
        return _trec(state, pattern)
    moves_centroids = pattern.gradient == "flip"
    drawn = _sample(state, pattern)
    kernel = (_flip_kernel if moves_centroids else _window_kernel)(state, drawn, pattern)
    near = kernel.amax(1).nonzero().squeeze(1)
    active, kernel = drawn[near], kernel[near]
    scale = len(state.rows) / len(drawn)  # the sample stands for all
    return active, _flip_changes(state, active, kernel, moves_centroids) * kernel * scale


def _trec(state: Clustered, pattern: Pattern) -> tuple[Tensor, Tensor]:
    """TREC §3.2 without its N×C matrices: only vectors with an unsaturated bit, columns near their own id.

    With S the sigmoid of Eq. 3.2, d = Σ_h 2^(H−1−h)·S_h + 1, quotients Q_j = d/(id_j + 1) (Eq. 3.3), weights
    G(Q_j) (Eq. 3.4) and Avg = G/N_c: dLoss/dd = Σ_j (x·dLoss/dcentroid_j)/N_j · G'(Q_j)/(id_j + 1).
    """
    projections = state.assignment.projections
    hashes = projections.shape[1]
    sigma = 1.0 / (pattern.k * 2**hashes) if isinstance(pattern.sigma, str) else pattern.sigma
    values = bit_values(hashes, projections)
    argument = pattern.slope * (projections - pattern.centre)
    tail = torch.sigmoid(-argument.abs())  # exact where S or 1 − S underflows
    bits, high = projections > 0, argument > 0
    # S − bit: how far the soft bit is from the hard one, without cancellation.
    off = torch.where(high, 1 - tail, tail) - bits.to(tail.dtype)
    off = torch.where(bits & high, -tail, torch.where(~bits & ~high, tail, off))
    active = ((off.abs() * values).amax(1) > 1e-8 * sigma).nonzero().squeeze(1)
    result = projections.new_empty(len(active), hashes)
    for start in range(0, len(active), _CHUNK):
        part = active[start : start + _CHUNK]
        slope = _quotient_gradient(state, part, off[part] @ values, sigma, pattern)
        steep = pattern.slope * tail[part] * (1 - tail[part])
        result[start : start + _CHUNK] = slope.unsqueeze(1) * values * steep
    return active, result


def _quotient_gradient(state: Clustered, part: Tensor, excess: Tensor, sigma: float, pattern: Pattern) -> Tensor:
    """dLoss/dd of the vectors `part`, whose soft number d is `excess` above their own id + 1."""
    clusters = state.assignment.clusters
    keys, rows = state.assignment.keys[part], state.rows[part]
    own = keys & (pattern.ids - 1)
    before = keys - own - 1  # plus a column's number, its key
    first, last = _reached_columns(own + 1 + excess, sigma, pattern.ids)
    start = torch.searchsorted(clusters.keys, before + first)
    stop = torch.searchsorted(clusters.keys, before + last, right=True)
    total = torch.zeros_like(excess)
    for step in range(int((stop - start).max())):
        cluster = (start + step).clamp(max=len(clusters.keys) - 1)
        column = clusters.keys[cluster] - before
        width = column.to(excess.dtype) * sigma
        deviations = (excess - (column - own - 1)) / width  # (Q − 1)/σ
        slope = -deviations * torch.exp(-0.5 * deviations * deviations) / width
        pull = (rows * state.centroid_gradients[cluster]).sum(1) / clusters.sizes[cluster]
        total += torch.where(start + step < stop, pull * slope, torch.zeros_like(excess))
    return total


def _reached_columns(soft: Tensor, sigma: float, ids: int) -> tuple[Tensor, Tensor]:
    """First and last column j, from 1, with |d/j − 1| up to `_REACH`·σ, for the numbers d of `soft`."""
    reach = _REACH * sigma
    first = (soft / (1 + reach)).floor().clamp(1, ids).long()
    last = (soft / (1 - reach)).ceil().clamp(1, ids).long() if reach < 1 else torch.full_like(first, ids)
    return first, last


def _find(occurring: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Position of `keys` among the sorted `occurring`, and whether they are there."""
    position = torch.searchsorted(occurring, keys).clamp(max=len(occurring) - 1)
    return position, occurring[position] == keys


def _deviation(state: Clustered, rows: Tensor) -> Tensor:
    """(A, H) standard deviations of the projections in the groups of `rows`, by which smoothing kernels scale."""
    projections = state.assignment.projections
    grouped = projections.view(-1, state.groups, projections.shape[1])
    deviation = grouped.std(0, unbiased=False).clamp_min(torch.finfo(projections.dtype).tiny ** 0.25)
    return deviation[rows % state.groups]


def _flip_kernel(state: Clustered, rows: Tensor, pattern: Pattern) -> Tensor:
    """(A, H) a·S·(1 − S) with a = flip_slope/deviation: how dense the vectors are near each hyperplane."""
    slope = pattern.flip_slope / _deviation(state, rows)
    tail = torch.sigmoid(-(slope * state.assignment.projections[rows]).abs())
    return torch.where(tail > 2e-3, slope * tail * (1 - tail), torch.zeros_like(tail))


def _window_kernel(state: Clustered, rows: Tensor, pattern: Pattern) -> Tensor:
    """(A, H) box of unit area around each hyperplane: the clipped straight-through derivative of a bit."""
    width = pattern.window * _deviation(state, rows)
    inside = state.assignment.projections[rows].abs() <= width
    return inside.to(width.dtype) / (2 * width)


def _sample(state: Clustered, pattern: Pattern) -> Tensor:
    """At most `gradient_rows` vectors, the same ones for the same number of vectors and seed."""
    total, device = len(state.rows), state.rows.device
    if total <= pattern.gradient_rows:
        return torch.arange(total, device=device)
    generator = torch.Generator().manual_seed(pattern.seed)
    drawn: Tensor = torch.unique(torch.randint(total, (pattern.gradient_rows,), generator=generator))
    return drawn.to(device)


def _flip_changes(state: Clustered, active: Tensor, kernel: Tensor, moves_centroids: bool) -> Tensor:
    """(A, H) first-order change of the loss if a bit turned from 0 to 1, all else equal.

    A vector x that moves from cluster p to q takes the recovered value of q instead of p's; if centroids move with
    it, q's becomes (n_q·c_q + x)/(n_q + 1) for its members and p's moves by (c_p − x)/(n_p − 1) for those left.
    An empty q would consist of x alone.
    """
    clusters, centroids = state.assignment.clusters, state.assignment.centroids
    rows, own_gradient = state.rows[active], state.row_gradients(active)
    keys, home = state.assignment.keys[active], clusters.index[active]
    sizes = clusters.sizes.to(rows.dtype).unsqueeze(1)
    change = torch.zeros_like(kernel)
    left = ((state.centroid_gradients[home] - own_gradient) * (centroids[home] - rows)).sum(1)
    left = left / (sizes[home, 0] - 1).clamp_min(1)
    hashes = kernel.shape[1]
    for h in range(hashes):
        near = kernel[:, h].nonzero().squeeze(1)
        other, occurs = _find(clusters.keys, keys[near] ^ (1 << (hashes - 1 - h)))
        x, size = rows[near], sizes[other]
        target = (centroids[other] * size + x) / (size + 1) if moves_centroids else centroids[other]
        target = torch.where(occurs.unsqueeze(1), target, x)
        difference = (own_gradient[near] * (target - centroids[home[near]])).sum(1)
        if moves_centroids:
            joined = (state.centroid_gradients[other] * (target - centroids[other])).sum(1)
            difference = difference + left[near] + torch.where(occurs, joined, torch.zeros_like(joined))
        is_one = (keys[near] >> (hashes - 1 - h)) & 1
        change[near, h] = torch.where(is_one == 1, -difference, difference)
    return change
