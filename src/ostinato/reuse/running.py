"""Running centroids of the compiled scope: kept as BatchNorm keeps its statistics (DESIGN §5.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.reuse.clustering import Clusters

_SEEN = 1e-12  # a count decays with the momentum, but an id that was seen stays seen


@dataclass(frozen=True)
class RunningCentroids:
    """Centroids and counts of every (group, id), updated in place.

    Attributes:
        centroids: (G, 2^H, L); meaningful where the count is not zero.
        counts: (G, 2^H), the running number of vectors per update; zero says: never seen.
    """

    centroids: Tensor
    counts: Tensor

    @torch.no_grad()
    def update(self, clusters: Clusters, means: Tensor, momentum: float | None) -> None:
        """Blend in the clusters of one batch, ids weighted by how often they occur.

        Args:
            clusters: of the batch, keys group << H | id.
            means: (C, L), their centroids.
            momentum: weight of this batch; None accumulates all batches alike. An id's first centroid is taken
                as it is.
        """
        counts, centroids = self.counts.view(-1), self.centroids.view(-1, self.centroids.shape[-1])
        keep, blend = (1.0, 1.0) if momentum is None else (1.0 - momentum, momentum)
        keys, batch = clusters.keys, clusters.sizes.to(counts.dtype)
        old = counts[keys]
        share = torch.where(old > 0, blend * batch / (keep * old + blend * batch), torch.ones_like(old))
        kept = (keep * counts).clamp_min(_SEEN)
        counts.copy_(torch.where(counts > 0, kept, torch.zeros_like(counts)))
        counts[keys] = torch.where(old > 0, counts[keys] + blend * batch, batch)
        centroids[keys] += share.unsqueeze(1) * (means.to(centroids.dtype) - centroids[keys])

    @torch.no_grad()
    def filled(self) -> Tensor:
        """(G, 2^H, L) centroids where an id that was never seen has the count-weighted mean of the seen ids at the
        smallest Hamming distance (zeros in a group that has seen nothing).

        One pass over the hypercube's H axes for each distance tried gives, for all ids at once, the sum over the
        ids at exactly that distance; there is no search over pairs of ids.
        """
        filled = self.centroids.clone()
        missing = self.counts <= 0
        hashes = self.counts.shape[1].bit_length() - 1
        empty = (self.counts <= 0).all(dim=1, keepdim=True)
        filled[missing] = 0
        weights = self.counts.double().unsqueeze(2)
        totals = torch.cat([self.centroids.double() * weights, weights], 2)
        totals[missing] = 0
        distance = 0
        while bool((missing & ~empty).any()):
            distance += 1
            sums = _sums_at_distance(totals, hashes, distance)
            found = missing & (sums[..., -1] > 0)
            filled[found] = (sums[..., :-1] / sums[..., -1:])[found].to(filled.dtype)
            missing = missing & ~found
        return filled


def _sums_at_distance(totals: Tensor, hashes: int, distance: int) -> Tensor:
    """For every id the sum of `totals` (G, 2^H, D) over the ids at Hamming distance `distance`.

    Dynamic programming over bits: after bit h, layer d holds the sums over ids that differ in exactly d of the
    bits 0…h and in no other.
    """
    groups, ids, width = totals.shape
    layers = [totals] + [torch.zeros_like(totals) for _ in range(distance)]
    for bit in range(hashes):
        shape = (groups, ids >> (bit + 1), 2, 1 << bit, width)
        flipped = [layer.view(shape).flip(2).reshape(totals.shape) for layer in layers[:-1]]
        layers = [layers[0]] + [layers[d + 1] + flipped[d] for d in range(distance)]
    return layers[distance]
