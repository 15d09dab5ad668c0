"""Cluster reuse across batches: DR Algorithm 1."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.assignment import Reuse, block_ids, slice_bounds
from ostinato.reuse.clustering import cluster_means, compact, flat_keys


@dataclass
class ResultCache:
    """S_id and O_id of DR Algorithm 1: the ids that have appeared, and what was computed for each.

    Attributes:
        entries: at most so many ids are kept, the first ones to appear; later ones are computed in each batch anew.
        keys: (E,) int64 slice << bits | id, ascending.
        results: (E, b·M).
    """

    entries: int
    keys: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    results: Tensor = field(default_factory=lambda: torch.empty(0, 0))

    def __len__(self) -> int:
        return len(self.keys)

    def reset(self) -> None:
        """Forget everything."""
        self.keys, self.results = torch.empty(0, dtype=torch.long), torch.empty(0, 0)

    def find(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Position (C,) of each of `keys` among the entries, and whether it is there."""
        if not len(self):
            return torch.zeros_like(keys), torch.zeros_like(keys, dtype=torch.bool)
        position = torch.searchsorted(self.keys, keys).clamp_max(len(self) - 1)
        return position, self.keys[position] == keys

    def insert(self, keys: Tensor, results: Tensor) -> None:
        """Keep as many of the new `keys` (n,) as there is room for, the foremost ones, with `results` (n, b·M)."""
        room = max(0, self.entries - len(self))
        keys, results = keys[:room], results[:room]
        if not len(keys):
            return
        if len(self):
            keys, results = torch.cat([self.keys, keys]), torch.cat([self.results, results])
        order = torch.argsort(keys)
        self.keys, self.results = keys[order], results[order]


@torch.no_grad()
def cached_matmul(
    blocks: Tensor, weights: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse, cache: ResultCache
) -> Tensor:
    """Y of one batch by DR Algorithm 1, for each slice by itself; fills `cache`. Without gradients.

    An id in the cache has the result that is there. A new one gets x·W_s of the first vector that has it, as in the
    algorithm's listing, or of the mean of its vectors in this batch, as in the paper's text (`Pattern.representative`).

    Args:
        blocks: (groups, units, S·b·L).
        weights: (M, S·L).
        hash_vectors, thresholds, reuse: of the layer.
        cache: of the layer, made with the same tensors.

    Returns:
        (groups, units·b, M).
    """
    pattern, outputs = reuse.pattern, len(weights)
    size, block, bits = hash_vectors.shape[1], pattern.block_rows, pattern.id_bits
    slices, length = blocks.shape[2] // size, size // block
    rows = blocks.reshape(-1, size)
    ids, _ = block_ids(blocks, hash_vectors, thresholds, pattern)
    clusters = compact(flat_keys(ids, blocks.shape[0], slices, bits, False), slices << bits)
    position, known = cache.find(clusters.keys)
    new = (~known).nonzero().squeeze(1)
    order = torch.arange(len(rows), device=rows.device)
    first = order.new_full((len(clusters),), len(rows)).scatter_reduce_(0, clusters.index, order, "amin")[new]
    representatives = rows[first] if pattern.representative == "first" else cluster_means(rows, clusters)[new]
    computed = rows.new_empty(len(new), block * outputs)
    bounds = slice_bounds(clusters.keys[new], 1, slices, bits)
    for s, (start, end) in enumerate(pairwise(bounds)):
        product = representatives[start:end].reshape(-1, length) @ weights[:, s * length : (s + 1) * length].t()
        computed[start:end] = product.view(end - start, block * outputs)
    results = rows.new_empty(len(clusters), block * outputs)
    results[new] = computed
    if len(cache):
        results[known] = cache.results[position[known]].to(results)
    appearance = torch.argsort(first)
    cache.insert(clusters.keys[new][appearance], computed[appearance])
    if reuse.stats is not None:
        reuse.stats.add(len(rows), len(new), 0, int(clusters.sizes[known].sum()))
    summed = F.embedding_bag(clusters.index.view(-1, slices), results, mode="sum")
    return summed.view(blocks.shape[0], -1, outputs)
