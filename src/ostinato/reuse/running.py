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
    def update_all(self, sizes: Tensor, means: Tensor, momentum: float | None) -> None:
        """`update` with what a batch has of every id, in a few steps that all ids take.

        Args:
            sizes: (G, 2^H), 0 of ids that do not occur, which keep their centroids.
            means: (G, 2^H, L).
            momentum: as in `update`.
        """
        keep, blend = (1.0, 1.0) if momentum is None else (1.0 - momentum, momentum)
        batch = sizes.to(self.counts.dtype)
        total = torch.add(self.counts * keep, batch, alpha=blend)
        # Of an id never seen, the total is this batch's part: its share is 1, or 0 of none at all.
        share = (batch * blend).div_(total.clamp_min(torch.finfo(total.dtype).tiny))
        self.counts.copy_(torch.where(self.counts > 0, total.clamp_min_(_SEEN), batch))
        self.centroids.lerp_(means.to(self.centroids.dtype), share.unsqueeze(2))

    @torch.no_grad()
    def filled(self, clustering: str = "lsh") -> Tensor:
        """(G, 2^H, L) centroids where an id that was never seen has the count-weighted mean of its nearest seen ids.

        Nearest are those at the smallest Hamming distance; in a tree, those below the lowest common ancestor with any
        (there, later bits of different branches have nothing to do with each other). A group that has seen nothing
        has zeros.
        """
        missing = self.counts <= 0
        weights = self.counts.double().unsqueeze(2)
        weighted = torch.cat([self.centroids.double() * weights, weights], 2)
        weighted[missing] = 0
        filled = self.centroids.clone()
        filled[missing] = 0
        hashes = self.counts.shape[1].bit_length() - 1
        spread = _fill_from_relatives if clustering == "tree" else _fill_from_neighbours
        spread(filled, weighted, missing, hashes)
        return filled


def _fill_from_relatives(filled: Tensor, weighted: Tensor, missing: Tensor, hashes: int) -> None:
    """Fill `missing` ids (G, 2^H) from `weighted` sums (G, 2^H, L + 1), the last one counts, up the tree."""
    sums = weighted
    for height in range(1, hashes + 1):
        if not bool(missing.any()):
            return
        sums = sums[:, 0::2] + sums[:, 1::2]  # of the nodes `height` levels above the ids
        relatives = sums.repeat_interleave(1 << height, 1)
        found = missing & (relatives[..., -1] > 0)
        filled[found] = (relatives[..., :-1] / relatives[..., -1:])[found].to(filled.dtype)
        missing = missing & ~found


def _fill_from_neighbours(filled: Tensor, weighted: Tensor, missing: Tensor, hashes: int) -> None:
    """Fill `missing` ids (G, 2^H) from `weighted` sums (G, 2^H, L + 1), the last one counts, by Hamming distance.

    Ids are corners of a hypercube, searched breadth first from the seen ones: a corner at distance d adds up its
    neighbours at distance d − 1. Each seen id at distance d turns up d! times, which cancels in the mean. There
    is no search over pairs of ids.
    """
    frontier = weighted
    for _ in range(hashes):
        if not bool(missing.any()):
            return
        sums = _neighbour_sums(frontier, hashes)
        found = missing & (sums[..., -1] > 0)
        filled[found] = (sums[..., :-1] / sums[..., -1:])[found].to(filled.dtype)
        frontier = torch.where(found.unsqueeze(2), sums, torch.zeros_like(sums))
        missing = missing & ~found


def _neighbour_sums(values: Tensor, hashes: int) -> Tensor:
    """For every id the sum of `values` (G, 2^H, D) over the H ids that differ from it in one bit."""
    sums = torch.zeros_like(values)
    for bit in range(hashes):
        shape = (values.shape[0], values.shape[1] >> (bit + 1), 2, 1 << bit, values.shape[2])
        sums += values.view(shape).flip(2).reshape(values.shape)
    return sums
