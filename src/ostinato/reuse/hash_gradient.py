"""How the loss changes with a vector's projections: the estimators of `Pattern.gradient`.

Ids are piecewise constant, so each estimator replaces something by a smooth stand-in. All need the same facts, the
`Clustered` vectors of a forward pass and the loss gradients of their centroids, and give dLoss/dprojection for
the vectors near enough to a hyperplane to matter. `docs/method.md` derives and compares them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.reuse.clustered import Clustered
from ostinato.reuse.clustering import Slots
from ostinato.reuse.flips import deviations, flip_changes, flip_kernel, row_sums, turned, window_kernel
from ostinato.reuse.hash_sample import NEGLIGIBLE
from ostinato.reuse.hashing import bit_values, directions, through_directions
from ostinato.reuse.pattern import Pattern

_CHUNK = 1 << 16  # vectors at a time, to bound the memory of the relaxation
_REACH = 8.0  # the Gaussian of Eq. 3.4 is below 2e-14 beyond so many σ


def hash_gradients(
    state: Clustered, hash_vectors: Tensor, thresholds: Tensor, pattern: Pattern
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of hash vectors (G, D, H) and thresholds (G, H), and of the sampled vectors (A, D).

    The vectors have one through their projections under TREC's relaxation only. The other estimators hold ids fixed
    there: the derivative that exists almost everywhere.
    """
    places, rows, norms = state.places, state.sample.rows, None
    if pattern.similarity == "angular":
        rows, norms = directions(rows)
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
    return vectors, shifts, pulled if norms is None else through_directions(pulled, rows, norms)


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
    smooth = flip_kernel if moves_centroids else window_kernel
    kernel = smooth(projections, deviation.index_select(0, of_each), pattern)
    return flip_changes(state, kernel, moves_centroids) * kernel * state.sample.weight


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
    off, steep = soft_bits(projections, keys.unsqueeze(1), pattern)
    active = is_soft(off, values, sigma).nonzero()[:, 0]
    result = torch.zeros_like(projections)
    for part in torch.split(active, _CHUNK):
        slope = _quotient_gradient(state, part, keys[part], off[part] @ values, sigma, pattern)
        result[part] = slope.unsqueeze(1) * values * steep[part]
    return result


def soft_bits(projections: Tensor, ids: Tensor, pattern: Pattern) -> tuple[Tensor, Tensor]:
    """How far the soft bits of Eq. 3.2 are from the hard ones, S − bit, and their derivatives; both (…, H).

    Args:
        projections: (…, H).
        ids: (…, 1) integers whose low bits are the hard ones, the most significant first.
        pattern: of the hash.
    """
    argument = pattern.slope * (projections - pattern.centre)
    tail = torch.sigmoid(-argument.abs())  # exact where S or 1 − S underflows
    bits, high = (ids & turned(pattern.hashes, ids.device)[1:]) > 0, argument > 0
    off = torch.where(high, 1 - tail, tail) - bits.to(tail.dtype)
    off = torch.where(bits & high, -tail, torch.where(~bits & ~high, tail, off))  # without cancellation
    return off, pattern.slope * tail * (1 - tail)


def is_soft(off: Tensor, values: Tensor, sigma: float) -> Tensor:
    """(…, 1) whether the soft number of a vector is off its id by enough to have a gradient."""
    return (off.abs() * values).amax(-1, keepdim=True) > NEGLIGIBLE * sigma


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
        pull = row_sums(state.centroid_gradients.index_select(0, cluster).mul_(rows)) / state.clusters.sizes[cluster]
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
