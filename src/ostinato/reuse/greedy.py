"""Hyperplanes chosen one after the other, each for the clusters that it makes together with those before it."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.reuse.tree import square_root

_BINS = 32  # of a direction's projections; thresholds are tried between them


def fit_greedy(vectors: Tensor, hashes: int, gram: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """H hyperplanes, the h-th minimising the output error Σ ‖(x − mean of x's cluster)·gram^½‖² of the first h bits.

    Directions tried are the coordinates of x and the principal axes, in the metric, of what the bits before leave of x
    (x minus its cluster's mean); thresholds tried are the quantiles of a direction's projections.

    Args:
        vectors: (G, n, L), float64.
        hashes: H.
        gram: (G, L, L) from `output_gram`; None: the identity.

    Returns:
        Hash vectors (G, L, H) and thresholds (G, H), not scaled.
    """
    fitted = []
    for g, z in enumerate(vectors):
        root = torch.eye(z.shape[1], dtype=z.dtype) if gram is None else square_root(gram[g])
        fitted.append(_chosen(z, z @ root, root, hashes))
    return torch.stack([planes for planes, _ in fitted]), torch.stack([thresholds for _, thresholds in fitted])


def _chosen(z: Tensor, y: Tensor, root: Tensor, hashes: int) -> tuple[Tensor, Tensor]:
    """Directions (L, H) and thresholds (H,) for `z` (n, L), with y = z·root (n, L)."""
    planes, thresholds = [], []
    ids = torch.zeros(len(z), dtype=torch.long)
    for _ in range(hashes):
        ids = torch.unique(ids, return_inverse=True)[1]
        clusters = int(ids.max()) + 1
        means = y.new_zeros(clusters, y.shape[1]).index_add_(0, ids, y) / torch.bincount(ids).unsqueeze(1)
        residual = y - means[ids]
        axes = root @ torch.linalg.eigh(residual.t() @ residual).eigenvectors
        directions = torch.cat([torch.eye(z.shape[1], dtype=z.dtype), axes], 1)
        projections = z @ directions
        tried = [_best_quantile(p, residual, ids, clusters) for p in projections.t().contiguous()]
        best = max(range(len(tried)), key=lambda d: tried[d][1])
        planes.append(directions[:, best])
        thresholds.append(tried[best][0])
        ids = 2 * ids + (projections[:, best] > tried[best][0])
    return torch.stack(planes, 1), torch.stack(thresholds)


def _best_quantile(projections: Tensor, residual: Tensor, ids: Tensor, clusters: int) -> tuple[Tensor, float]:
    """The quantile of `projections` (n,) at which cutting all clusters lowers their error most, and by how much."""
    marks = torch.linspace(0, 1, _BINS + 1, dtype=projections.dtype)[1:-1]
    edges = torch.unique(torch.quantile(projections, marks))
    cell = ids * (len(edges) + 1) + torch.bucketize(projections, edges)  # x ≤ edge is below it
    cells = clusters * (len(edges) + 1)
    sums = residual.new_zeros(cells, residual.shape[1]).index_add_(0, cell, residual)
    sums = sums.view(clusters, -1, residual.shape[1]).cumsum(1)[:, :-1]  # below each edge; above it is the opposite
    counts = torch.bincount(cell, minlength=cells).view(clusters, -1)
    below, total = counts.cumsum(1)[:, :-1], counts.sum(1, keepdim=True)
    saved = sums.square().sum(2) * (1 / below.clamp_min(1) + 1 / (total - below).clamp_min(1))
    saved = torch.where((below > 0) & (below < total), saved, 0.0).sum(0)
    best = int(saved.argmax())
    return edges[best], float(saved[best])
