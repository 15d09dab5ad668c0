"""From ids to clusters and their centroids, without sorting and without a loop over images (DESIGN §5.7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Clusters:
    """Which vectors belong together.

    Attributes:
        index: (R,) int64, each vector's cluster.
        keys: (C,) int64, each cluster's flat key (panel << bits | id), ascending.
        sizes: (C,) int64, vectors in each cluster.
    """

    index: Tensor
    keys: Tensor
    sizes: Tensor

    def __len__(self) -> int:
        return len(self.keys)


def flat_keys(ids: Tensor, batch: int, slices: int, bits: int, per_image: bool) -> Tensor:
    """Keys of vectors that may share a cluster only inside their panel.

    Args:
        ids: (B·P·S,) ids of vectors, images outermost, slices innermost.
        batch: B.
        slices: S.
        bits: of an id.
        per_image: whether a panel is one slice of one image (image scope) or one slice of all.

    Returns:
        (B·P·S,) int64 keys panel << bits | id, where panels of one slice are neighbours.
    """
    panel = torch.arange(slices, device=ids.device).view(1, 1, slices)
    if per_image:
        panel = panel * batch + torch.arange(batch, device=ids.device).view(batch, 1, 1)
    return ((panel << bits) | ids.view(batch, -1, slices)).reshape(-1)


def compact(keys: Tensor, key_range: int) -> Clusters:
    """Number the keys that occur, ascending.

    Counting is linear in `key_range` and much faster than sorting, but for a range far beyond the number of keys
    (H near 16) sorting needs less memory.
    """
    if key_range > 4 * keys.numel() + 1024:
        occurring, index, sizes = torch.unique(keys, return_inverse=True, return_counts=True)
        return Clusters(index, occurring, sizes)
    sizes = torch.bincount(keys, minlength=key_range)
    occupied = sizes > 0
    number = torch.cumsum(occupied, 0) - 1
    occurring = occupied.nonzero().squeeze(1)
    return Clusters(number[keys], occurring, sizes[occurring])


def sum_by_cluster(rows: Tensor, index: Tensor, clusters: int) -> Tensor:
    """(C, …) sums of `rows` (R, …) over each cluster."""
    return rows.new_zeros(clusters, *rows.shape[1:]).index_add_(0, index, rows)


def cluster_means(rows: Tensor, clusters: Clusters) -> Tensor:
    """Centroids (C, L) of `rows` (R, L): TREC Eq. 3.5 with the exact Avg matrix."""
    sums = sum_by_cluster(rows, clusters.index, len(clusters))
    return sums / clusters.sizes.to(rows.dtype).unsqueeze(1)
