"""Hash, cluster, average: what both forms of the forward pass begin with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.reuse.clustering import Clusters, cluster_means, compact, flat_keys
from ostinato.reuse.hashing import hash_rows, unit_length
from ostinato.reuse.panel_clustering import panel_ids
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.running import RunningCentroids


@dataclass
class ReuseStats:
    """What a layer reused, summed over forward passes; always said with the pattern's scope.

    Attributes:
        vectors: neuron blocks clustered. Where ids exist once per input pixel and block, that many; else N·S for b = 1.
        clusters: clusters formed (compiled scope in evaluation: distinct table entries used in each forward pass).
            Across batches: those that had to be computed.
        unseen: vectors whose id had never been seen in training or calibration (compiled scope in evaluation).
        reused: vectors whose id an earlier batch had computed (across batches).
    """

    vectors: int = 0
    clusters: int = 0
    unseen: int = 0
    reused: int = 0

    @property
    def r_t(self) -> float:
        """Redundancy ratio 1 − clusters/vectors (TREC §4.3); 0 before any forward pass."""
        return 1.0 - self.clusters / self.vectors if self.vectors else 0.0

    @property
    def reuse_rate(self) -> float:
        """R of DR §III-B2: the share of vectors that fell into clusters of earlier batches."""
        return self.reused / self.vectors if self.vectors else 0.0

    def add(self, vectors: int, clusters: int, unseen: int, reused: int = 0) -> None:
        """Count one more forward pass."""
        self.reused += reused
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
        keys: (R,), panel << bits | id.
        clusters: of the keys.
        centroids: (C, b·L).
    """

    projections: Tensor
    keys: Tensor
    clusters: Clusters
    centroids: Tensor


def assign(columns: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse) -> Assignment:
    """Cluster the blocks of `columns` (B, P, S·D) by their ids; updates running centroids and statistics."""
    pattern, bits = reuse.pattern, reuse.pattern.id_bits
    batch, _, width = columns.shape
    size = hash_vectors.shape[1]
    slices = width // size
    rows = columns.reshape(-1, size)
    ids, projections = block_ids(columns, hash_vectors, thresholds, pattern)
    keys = flat_keys(ids, batch, slices, bits, pattern.own_panels)
    clusters = compact(keys, (slices * (batch if pattern.own_panels else 1)) << bits)
    unseen = 0
    if reuse.fixed:
        assert reuse.running is not None
        centroids = reuse.running.centroids.view(-1, size)[clusters.keys].to(columns.dtype)
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


def block_ids(columns: Tensor, hash_vectors: Tensor, thresholds: Tensor, pattern: Pattern) -> tuple[Tensor, Tensor]:
    """Ids (R,) int64 of the blocks of `columns` (B, P, S·D), and the projections that a learning hash needs."""
    rows = columns.reshape(-1, hash_vectors.shape[1])
    if pattern.similarity == "angular":
        rows = unit_length(rows)
    if pattern.planes:
        return hash_rows(rows, hash_vectors, thresholds, pattern.clustering)
    return panel_ids(rows, columns.shape[0], columns.shape[1], pattern), rows.new_empty(len(rows), 0)


def slice_bounds(keys: Tensor, panels_per_slice: int, slices: int, bits: int) -> list[int]:
    """First of the ascending `keys` of each slice, and the end: clusters of one slice are neighbours."""
    firsts = (torch.arange(slices + 1, device=keys.device) * panels_per_slice) << bits
    return [int(v) for v in torch.searchsorted(keys, firsts).tolist()]
