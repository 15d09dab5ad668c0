"""Vector quantisation as products with unit vectors: the form for accelerators.

Sorting vectors by their cluster and adding them up, which is best on a CPU, is many small steps on an accelerator, some
of which it must be waited for. With each id written out as a unit vector, sums over clusters and their adjoints are
products of matrices: no step depends on what the data hold, and autograd's gradient of them is TREC Eq. 3.5.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.reuse.assignment import Reuse
from ostinato.reuse.clustering import Clusters

_MOST = 1 << 29  # numbers of unit vectors: 2 GiB


def takes_units(pixels: Tensor, hash_vectors: Tensor, reuse: Reuse) -> bool:
    """Whether `quantise_by_units` can be used and is faster: on an accelerator, with hashes that do not learn."""
    numbers = pixels.numel() // hash_vectors.shape[1] * reuse.pattern.ids
    plain = reuse.stats is None and not reuse.synchronised and reuse.pattern.gradient in ("frozen", "soft")
    return plain and pixels.device.type != "cpu" and numbers <= _MOST


def unit_vectors(ids: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """(…, count): 1 at each of `ids` (…), else 0."""
    units = torch.zeros(*ids.shape, count, dtype=dtype, device=ids.device)
    return units.scatter_(-1, ids.unsqueeze(-1), 1.0)


def quantise_by_units(columns: Tensor, ids: Tensor, reuse: Reuse) -> Tensor:
    """`quantise` of columns (B, P, S·D) whose `ids` (B·P, S) are known: (B, P, S·D); updates running centroids."""
    slices, parts = ids.shape[1], len(columns)
    vectors = columns.view(parts, -1, slices, columns.shape[2] // slices).permute(2, 0, 1, 3)  # (S, B, P, D)
    units = unit_vectors(ids.view(parts, -1, slices).permute(2, 0, 1), reuse.pattern.ids, columns.dtype)
    if reuse.fixed:
        assert reuse.running is not None
        means = reuse.running.centroids.to(columns)
    else:
        # Image by image: a sum over all vectors at once is one long sum for a few processors, here and in its gradient.
        sizes = units.sum((1, 2))
        means = (units.transpose(2, 3) @ vectors).sum(1) / sizes.clamp_min(1.0).unsqueeze(2)
        update_running(reuse, sizes, means.detach())
    quantised = units @ means.unsqueeze(1)
    return quantised.permute(1, 2, 0, 3).reshape(columns.shape)


def update_running(reuse: Reuse, sizes: Tensor, means: Tensor) -> None:
    """Running centroids take in the sizes (S, 2^H) and means (S, 2^H, L) of all ids at once.

    Those that do not occur have a size of zero, with which they stay what they are.
    """
    if reuse.running is not None:
        every = torch.arange(sizes.numel(), device=sizes.device)
        reuse.running.update(Clusters(every, every, sizes.flatten()), means.flatten(0, 1), reuse.momentum)
