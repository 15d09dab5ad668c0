"""How the loss changes with a vector's projections: the estimators of `Pattern.gradient`.

Ids are piecewise constant, so each estimator replaces something by a smooth stand-in. All need the same facts, the
`Clustered` vectors of a forward pass and the loss gradients of their centroids, and give dLoss/dprojection for
the vectors near enough to a hyperplane to matter. `docs/method.md` derives and compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.by_slice import BySlice
from ostinato.reuse.clustering import Slots
from ostinato.reuse.hash_sample import NEGLIGIBLE, HashSample
from ostinato.reuse.hashing import bit_values
from ostinato.reuse.pattern import Pattern

_CHUNK = 1 << 16  # vectors at a time, to bound the memory of the relaxation
_REACH = 8.0  # the Gaussian of Eq. 3.4 is below 2e-14 beyond so many σ


@dataclass(frozen=True)
class Clustered:
    """Vectors of a forward pass, their clusters, and their part in the loss.

    Attributes:
        sample: A vectors that can have a gradient.
        places: of them, by slice.
        clusters: of all vectors.
        centroids: (C, D).
        centroid_gradients: (C, D), dLoss/dcentroid.
        row_gradients: (A, D), dLoss/d(a vector's value after recovery); empty for `trec`, which needs none.
    """

    sample: HashSample
    places: BySlice
    clusters: Slots
    centroids: Tensor
    centroid_gradients: Tensor
    row_gradients: Tensor

    def home(self) -> Tensor:
        """(A,) the slot of each vector."""
        index = self.clusters.index
        return index.reshape(-1).index_select(0, self.sample.slices * index.shape[1] + self.sample.units).long()

    def keys(self, home: Tensor) -> Tensor:
        """(A,) the key of each vector, whose low bits are its id."""
        return home if self.clusters.keys is None else self.clusters.keys.index_select(0, home).long()


def hash_gradients(
    state: Clustered, hash_vectors: Tensor, thresholds: Tensor, pattern: Pattern
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of hash vectors (G, D, H) and thresholds (G, H), and of the sampled vectors (A, D).

    The vectors have one through their projections under TREC's relaxation only. The other estimators hold ids fixed
    there: the derivative that exists almost everywhere.
    """
    places, rows, norms = state.places, state.sample.rows, None
    if pattern.similarity == "angular":
        norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
        rows = rows / norms
    groups = places.slices % len(hash_vectors)  # slice s uses matrix s mod G
    planes, offsets = hash_vectors.index_select(0, groups), thresholds.index_select(0, groups).unsqueeze(2)
    placed = places.repeat(rows)
    # Transposed, the product of so few columns is four times as fast.
    projected = torch.baddbmm(offsets, planes.transpose(1, 2), placed.transpose(1, 2), beta=-1)
    projections = places.take(projected.transpose(1, 2)).contiguous()
    del projected
    scale = pattern.gradient != "trec"
    deviation = deviations(projections, len(hash_vectors), len(groups)) if scale else projections.new_empty(0)
    gradient = places.put(projection_gradient(state, projections, deviation, pattern))
    products = torch.bmm(placed.transpose(1, 2), gradient)
    vectors = torch.zeros_like(hash_vectors).index_add_(0, groups, products)
    shifts = torch.zeros_like(thresholds).index_add_(0, groups, gradient.sum(1), alpha=-1)
    if pattern.gradient != "trec":
        return vectors, shifts, None
    pulled = places.take(torch.bmm(gradient, planes.transpose(1, 2)))
    if norms is not None:  # through x/‖x‖: what is along x does not count
        pulled = (pulled - rows * (rows * pulled).sum(1, keepdim=True)) / norms
    return vectors, shifts, pulled


def deviations(projections: Tensor, groups: int, slices: int) -> Tensor:
    """(G, H) standard deviations of `projections` (A, H), equally many of each slice s, which uses hash s mod G."""
    smallest = torch.finfo(projections.dtype).tiny ** 0.25
    by_slice = projections.view(slices, -1, projections.shape[1])
    # Sums over rows as products with ones: a reduction that is not over the last dimension takes four times as long.
    ones = by_slice.new_full((slices, 1, by_slice.shape[1]), groups / len(projections))
    mean = torch.bmm(ones, by_slice).view(-1, groups, projections.shape[1]).sum(0)
    centred = by_slice - mean.repeat(slices // groups, 1).unsqueeze(1)
    variance = torch.bmm(ones, centred.square_()).view(-1, groups, projections.shape[1]).sum(0)
    return variance.sqrt_().clamp_min_(smallest)


def projection_gradient(state: Clustered, projections: Tensor, deviation: Tensor, pattern: Pattern) -> Tensor:
    """(A, H) dLoss/dprojection under `pattern.gradient`.

    Args:
        state: the vectors.
        projections: (A, H), theirs.
        deviation: (G, H), by which smoothing kernels scale; unused for `trec`, which does not.
        pattern: the layer's.
    """
    if pattern.gradient == "trec":
        return _trec(state, projections, pattern)
    moves_centroids = pattern.gradient == "flip"
    of_each = state.sample.slices % len(deviation)
    smooth = _flip_kernel if moves_centroids else _window_kernel
    kernel = smooth(projections, deviation.index_select(0, of_each), pattern)
    return _flip_changes(state, kernel, moves_centroids) * kernel * state.sample.weight


def _trec(state: Clustered, projections: Tensor, pattern: Pattern) -> Tensor:
    """TREC §3.2 without its N×C matrices: only vectors with an unsaturated bit, columns near their own id.

    With S the sigmoid of Eq. 3.2, d = Σ_h 2^(H−1−h)·S_h + 1, quotients Q_j = d/(id_j + 1) (Eq. 3.3), weights
    G(Q_j) (Eq. 3.4) and Avg = G/N_c: dLoss/dd = Σ_j (x·dLoss/dcentroid_j)/N_j · G'(Q_j)/(id_j + 1).
    """
    hashes = projections.shape[1]
    sigma = pattern.gaussian_sigma
    values = bit_values(hashes, projections)
    home = state.home()
    keys = state.keys(home)
    argument = pattern.slope * (projections - pattern.centre)
    tail = torch.sigmoid(-argument.abs())  # exact where S or 1 − S underflows
    bits, high = _bits(keys, hashes), argument > 0
    # S − bit: how far the soft bit is from the hard one, without cancellation.
    off = torch.where(high, 1 - tail, tail) - bits.to(tail.dtype)
    off = torch.where(bits & high, -tail, torch.where(~bits & ~high, tail, off))
    active = ((off.abs() * values).amax(1) > NEGLIGIBLE * sigma).nonzero().squeeze(1)
    result = torch.zeros_like(projections)
    for part in torch.split(active, _CHUNK):
        slope = _quotient_gradient(state, part, keys[part], off[part] @ values, sigma, pattern)
        steep = pattern.slope * tail[part] * (1 - tail[part])
        result[part] = slope.unsqueeze(1) * values * steep
    return result


def _bits(keys: Tensor, hashes: int) -> Tensor:
    """(A, H) bool, the bits of ids, the most significant first."""
    return ((keys.unsqueeze(1) >> torch.arange(hashes - 1, -1, -1, device=keys.device)) & 1).bool()


def _quotient_gradient(
    state: Clustered, part: Tensor, keys: Tensor, excess: Tensor, sigma: float, pattern: Pattern
) -> Tensor:
    """dLoss/dd of the vectors `part` with `keys`, whose soft number d is `excess` above their own id + 1."""
    rows = state.sample.rows[part]
    own = keys & (pattern.ids - 1)
    before = keys - own - 1  # plus a column's number, its key
    slots = _occupied(state.clusters)
    occurring = slots if state.clusters.keys is None else state.clusters.keys.index_select(0, slots).long()
    first, last = _reached_columns(own + 1 + excess, sigma, pattern.ids)
    start = torch.searchsorted(occurring, before + first)
    stop = torch.searchsorted(occurring, before + last, right=True)
    total = torch.zeros_like(excess)
    for step in range(int((stop - start).max()) if len(part) else 0):
        position = (start + step).clamp(max=len(occurring) - 1)
        column, cluster = occurring[position] - before, slots[position]
        width = column.to(excess.dtype) * sigma
        deviations = (excess - (column - own - 1)) / width  # (Q − 1)/σ
        slope = -deviations * torch.exp(-0.5 * deviations * deviations) / width
        pull = _sums(state.centroid_gradients.index_select(0, cluster).mul_(rows)) / state.clusters.sizes[cluster]
        total += torch.where(start + step < stop, pull * slope, torch.zeros_like(excess))
    return total


def _occupied(clusters: Slots) -> Tensor:
    """Slots (C,) that have vectors, in the order of their keys."""
    return (clusters.sizes > 0).nonzero().squeeze(1)


def _reached_columns(soft: Tensor, sigma: float, ids: int) -> tuple[Tensor, Tensor]:
    """First and last column j, from 1, with |d/j − 1| up to `_REACH`·σ, for the numbers d of `soft`."""
    reach = _REACH * sigma
    first = (soft / (1 + reach)).floor().clamp(1, ids).long()
    last = (soft / (1 - reach)).ceil().clamp(1, ids).long() if reach < 1 else torch.full_like(first, ids)
    return first, last


def _flip_kernel(projections: Tensor, deviation: Tensor, pattern: Pattern) -> Tensor:
    """(A, H) a·S·(1 − S) with a = flip_slope/deviation: how dense the vectors are near each hyperplane."""
    slope = pattern.flip_slope / deviation
    tail = F.threshold(torch.sigmoid((slope * projections).abs().neg_()), 2e-3, 0.0)
    return slope * tail * (1 - tail)


def _window_kernel(projections: Tensor, deviation: Tensor, pattern: Pattern) -> Tensor:
    """(A, H) box of unit area around each hyperplane: the clipped straight-through derivative of a bit."""
    width = pattern.window * deviation
    return (projections.abs() <= width).to(width.dtype) / (2 * width)


def _flip_changes(state: Clustered, kernel: Tensor, moves_centroids: bool) -> Tensor:
    """(A, H) first-order change of the loss if a bit turned from 0 to 1, all else equal; where `kernel` is not zero.

    A vector x that moves from cluster p to q takes the recovered value of q instead of p's; if centroids move with
    it, q's becomes (n_q·c_q + x)/(n_q + 1) for its members and p's moves by (c_p − x)/(n_p − 1) for those left.
    An empty q would consist of x alone.
    """
    clusters, own = state.clusters, state.row_gradients
    home, hashes = state.home(), kernel.shape[1]
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
    recovered = _sums(felt)
    del felt
    if not moves_centroids:
        return recovered, recovered
    return recovered, _sums(error.mul_(state.centroid_gradients.index_select(0, slots)))


def _nonzero(values: Tensor) -> Tensor:
    """Positions (Q,) of the numbers of `values` that are not zero; NumPy finds them in a fifth of PyTorch's time."""
    mask = values.bool().view(-1)
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.nonzero().squeeze(1)


def _sums(rows: Tensor) -> Tensor:
    """(A,) sums of rows (A, D); as a product with ones, since sums over short rows are slow."""
    return rows @ rows.new_ones(rows.shape[1])
