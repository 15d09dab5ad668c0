"""Hash, cluster, average: what both forms of the forward pass begin with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.reuse.clustering import Clusters, cluster_means, compact, flat_keys
from ostinato.reuse.hashing import hash_rows
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.running import RunningCentroids


@dataclass
class ReuseStats:
    """What a layer reused, summed over forward passes; always said with the pattern's scope.

    Attributes:
        vectors: neuron vectors hashed. Where ids exist once per input pixel and block, that many; else N·S.
        clusters: clusters formed (compiled scope in evaluation: distinct table entries used in each forward pass).
        unseen: vectors whose id had never been seen in training or calibration (compiled scope in evaluation).
    """

    vectors: int = 0
    clusters: int = 0
    unseen: int = 0

    @property
    def r_t(self) -> float:
        """Redundancy ratio 1 − clusters/vectors (TREC §4.3); 0 before any forward pass."""
        return 1.0 - self.clusters / self.vectors if self.vectors else 0.0

    def add(self, vectors: int, clusters: int, unseen: int) -> None:
        """Count one more forward pass."""
        self.vectors += vectors
        self.clusters += clusters
        self.unseen += unseen


@dataclass(frozen=True)
class Reuse:
    """What a forward pass needs besides tensors with gradients.

    Attributes:
        pattern: the layer's.
        training: batch clusters and an update of `running` (compiled scope), else the running centroids.
        running: the compiled scope's statistics.
        momentum: of the update; None accumulates.
        stats: added to, if given.
    """

    pattern: Pattern
    training: bool = False
    running: RunningCentroids | None = None
    momentum: float | None = None
    stats: ReuseStats | None = None

    @property
    def fixed(self) -> bool:
        """Whether centroids are looked up rather than formed."""
        return self.pattern.scope == "compiled" and not self.training


@dataclass(frozen=True)
class Assignment:
    """The clusters of all vectors, and what led to them.

    Attributes:
        projections: (R, H), v_h·x − θ_h; (R, 0) for a tree, which does not learn.
        keys: (R,), panel << H | id.
        clusters: of the keys.
        centroids: (C, L).
    """

    projections: Tensor
    keys: Tensor
    clusters: Clusters
    centroids: Tensor


def assign(columns: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse) -> Assignment:
    """Cluster the vectors of `columns` (B, P, S·L) by their ids; updates running centroids and statistics."""
    batch, _, width = columns.shape
    length, hashes = hash_vectors.shape[1], reuse.pattern.hashes
    slices = width // length
    rows = columns.reshape(-1, length)
    ids, projections = hash_rows(rows, hash_vectors, thresholds, reuse.pattern.clustering)
    per_image = reuse.pattern.scope == "image"
    keys = flat_keys(ids, batch, slices, hashes, per_image)
    clusters = compact(keys, (slices * (batch if per_image else 1)) << hashes)
    unseen = 0
    if reuse.fixed:
        assert reuse.running is not None
        centroids = reuse.running.centroids.view(-1, length)[clusters.keys].to(columns.dtype)
        if reuse.stats is not None:
            never = reuse.running.counts.view(-1)[clusters.keys] <= 0
            unseen = int(clusters.sizes[never].sum())
    else:
        centroids = cluster_means(rows, clusters)
        if reuse.running is not None:
            reuse.running.update(clusters, centroids, reuse.momentum)
    if reuse.stats is not None:
        reuse.stats.add(len(keys), len(clusters), unseen)
    return Assignment(projections, keys, clusters, centroids)


def slice_bounds(clusters: Clusters, panels_per_slice: int, slices: int, hashes: int) -> list[int]:
    """First cluster of each slice, and the end: clusters of one slice are neighbours."""
    firsts = (torch.arange(slices + 1, device=clusters.keys.device) * panels_per_slice) << hashes
    return [int(v) for v in torch.searchsorted(clusters.keys, firsts).tolist()]
