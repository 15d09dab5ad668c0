"""Hash, cluster, average: what both forms of the forward pass begin with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ostinato.reuse.accelerator import accelerated
from ostinato.reuse.clustering import Clusters, Slots, number_slots
from ostinato.reuse.hash_sample import HashSample, draw, draw_near, near_planes
from ostinato.reuse.hashing import hash_rows, pack_bits, projection_parts, tree_ids, unit_length
from ostinato.reuse.layout import Layout, Part, small_ints
from ostinato.reuse.panel_clustering import panel_ids
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.running import RunningCentroids
from ostinato.reuse.synchronise import sum_over_processes


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
        synchronised: whether compiled scope's clusters are those of all processes' batches together.
    """

    pattern: Pattern
    training: bool = False
    running: RunningCentroids | None = None
    momentum: float | None = None
    stats: ReuseStats | None = None
    synchronised: bool = False

    @property
    def fixed(self) -> bool:
        """Whether centroids are looked up rather than formed."""
        return self.pattern.scope == "compiled" and not self.training


@dataclass(frozen=True)
class Assignment:
    """The clusters of all vectors, and what led to them.

    Attributes:
        clusters: in slots, equally many for each slice.
        centroids: (C, b·L), zeros in empty slots.
        sample: the vectors that can have a hash gradient, if one was asked for.
    """

    clusters: Slots
    centroids: Tensor
    sample: HashSample | None = None


def assign(
    table: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse, layout: Layout, learns: bool = False
) -> Assignment:
    """Cluster the vectors of `table` (T, D) by their ids; updates running centroids and statistics.

    Args:
        table: the values, see `Layout`.
        hash_vectors: (G, D, P).
        thresholds: (G, P).
        reuse: what to do.
        layout: where the vectors are.
        learns: whether the hash will be asked for gradients.
    """
    pattern = reuse.pattern
    ids, sample = _identify(table, hash_vectors, thresholds, reuse, layout, learns)
    panels = layout.panels if pattern.own_panels else 1
    per_slice = panels << pattern.id_bits
    numbers = small_ints(layout.slices * per_slice)
    first = torch.arange(layout.slices * panels, dtype=numbers, device=table.device) << pattern.id_bits
    keys = ids.view(layout.slices, panels, -1).to(numbers).add_(first.view(layout.slices, panels, 1))
    # Processes can add up their clusters only where slots are keys, and soft ids look at all that there can be; where
    # they are not, an accelerator is waited for.
    waits = accelerated(table) and per_slice <= layout.vectors_per_slice
    by_key = reuse.synchronised or pattern.gradient == "soft" or waits
    clusters = number_slots(keys.view(layout.slices, -1), per_slice, not reuse.fixed, by_key)
    if reuse.fixed:
        centroids = _looked_up(clusters, reuse, table)
    else:
        clusters, centroids = _formed(clusters, reuse, table, layout)
    if reuse.stats is not None:
        _count(clusters, reuse, layout)
    return Assignment(clusters, centroids, sample)


def _identify(
    table: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse, layout: Layout, learns: bool
) -> tuple[Tensor, HashSample | None]:
    """Ids (S, N), integers that may be overwritten, and the vectors that have a part in the hash's gradient."""
    pattern = reuse.pattern
    rows = unit_length(table) if pattern.similarity == "angular" else table
    if not pattern.planes:
        ids = panel_ids(rows, layout.panels, layout.units, pattern)
        return ids.view(-1, layout.slices).t().contiguous(), None
    ids = torch.empty(layout.slices, layout.vectors_per_slice, dtype=torch.int32, device=table.device)
    if pattern.clustering == "tree":
        found = tree_ids(rows, hash_vectors, thresholds).view(-1, layout.blocks).t().unsqueeze(1)
        layout.place(ids, Part(rows, slice(0, layout.blocks), slice(0, 1)), found)
        return ids, None
    relaxed = learns and pattern.gradient == "trec"
    near = torch.empty_like(ids, dtype=torch.bool) if relaxed else None
    for part, projections in projection_parts(rows, hash_vectors, thresholds, layout, relaxed):
        if near is not None:
            layout.place(near, part, near_planes(part, projections, pattern))
        layout.place(ids, part, pack_bits(projections))
    if near is not None:
        return ids, draw_near(near, table, layout)
    return ids, draw(table, pattern, layout) if learns else None


def _looked_up(clusters: Slots, reuse: Reuse, table: Tensor) -> Tensor:
    assert reuse.running is not None
    centroids = reuse.running.centroids.flatten(0, 1)
    if clusters.keys is not None:
        centroids = centroids.index_select(0, clusters.keys.clamp_min(0))
    return centroids.to(table.dtype)


def _formed(clusters: Slots, reuse: Reuse, table: Tensor, layout: Layout) -> tuple[Slots, Tensor]:
    """The clusters, with all processes' sizes, and their centroids, which running centroids take in."""
    sums = clusters.sums(table, layout.base(table.device), layout.offset(table.device))
    if reuse.synchronised:
        both = sum_over_processes(torch.cat([sums, clusters.sizes.to(sums.dtype).unsqueeze(1)], 1))
        sums, sizes = both[:, :-1].contiguous(), both[:, -1].round().long()
        clusters = replace(clusters, sizes=sizes)
    means = sums.div_(clusters.sizes.clamp_min(1).to(sums.dtype).unsqueeze(1))
    if reuse.running is not None and accelerated(means) and clusters.keys is None:
        counts = reuse.running.counts
        reuse.running.update_all(clusters.sizes.view_as(counts), means.view(*counts.shape, -1), reuse.momentum)
    elif reuse.running is not None:
        formed = clusters.sizes.nonzero().squeeze(1)
        keys = formed if clusters.keys is None else clusters.keys.index_select(0, formed)
        reuse.running.update(Clusters(formed, keys, clusters.sizes[formed]), means[formed], reuse.momentum)
    return clusters, means


def _count(clusters: Slots, reuse: Reuse, layout: Layout) -> None:
    assert reuse.stats is not None
    unseen = 0
    if reuse.fixed:
        assert reuse.running is not None
        counts = reuse.running.counts.reshape(-1)
        if clusters.keys is not None:
            counts = counts.index_select(0, clusters.keys.clamp_min(0))
        unseen = int(clusters.sizes[counts <= 0].sum())
    reuse.stats.add(layout.vectors, int((clusters.sizes > 0).sum()), unseen)


def block_ids(columns: Tensor, hash_vectors: Tensor, thresholds: Tensor, pattern: Pattern) -> tuple[Tensor, Tensor]:
    """Ids (R,) int64 of the blocks of `columns` (B, P, S·D), and their projections (R, H), or (R, 0)."""
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
