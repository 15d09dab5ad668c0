"""Clusterings without a hash that outlives the input: k-means and hyper-cube (DR §III-B1)."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.reuse.pattern import Pattern

LLOYD_ROUNDS = 10
_HELD = 1 << 24  # distances at a time


def panel_ids(rows: Tensor, groups: int, units: int, pattern: Pattern) -> Tensor:
    """Ids (R,) int64 of the vectors `rows` (groups·units·S, D); each panel has clusters of its own.

    A panel is one slice of one group or of all, as `Pattern.own_panels` says.
    """
    grid = rows.view(groups, units, -1, rows.shape[1])
    grid = grid.permute(0, 2, 1, 3) if pattern.own_panels else grid.permute(2, 0, 1, 3)
    first, second, third, size = grid.shape
    panels = grid.reshape(first * second, third, size) if pattern.own_panels else grid.reshape(first, -1, size)
    find = _kmeans if pattern.clustering == "kmeans" else _hypercube
    ids = find(panels, pattern).view(first, second, third)
    return (ids.permute(0, 2, 1) if pattern.own_panels else ids.permute(1, 2, 0)).reshape(-1)


def seed_positions(vectors: int, pattern: Pattern) -> Tensor:
    """Which vectors of a panel are the first centres of k-means: at most 2^H, drawn by the pattern's seed."""
    generator = torch.Generator().manual_seed(pattern.seed)
    return torch.randperm(vectors, generator=generator, device=generator.device)[: pattern.ids]


def _kmeans(panels: Tensor, pattern: Pattern) -> Tensor:
    """(panels, n) ids of `panels` (panels, n, D): ten of Lloyd's rounds from vectors drawn by the seed.

    A centre that loses all its vectors stays where it is.
    """
    seeds = seed_positions(panels.shape[1], pattern).to(panels.device)
    at_once = max(1, _HELD // (panels.shape[1] * len(seeds)))
    return torch.cat([_lloyd(part, part.index_select(1, seeds)) for part in torch.split(panels, at_once)])


def _lloyd(panels: Tensor, centres: Tensor) -> Tensor:
    for _ in range(LLOYD_ROUNDS):
        ids = _nearest(panels, centres)
        sums = torch.zeros_like(centres).scatter_add_(1, ids.unsqueeze(2).expand_as(panels), panels)
        sizes = centres.new_zeros(centres.shape[:2]).scatter_add_(1, ids, torch.ones_like(panels[..., 0]))
        means = sums / sizes.clamp_min(1).unsqueeze(2)
        centres = torch.where((sizes > 0).unsqueeze(2), means, centres)
    return _nearest(panels, centres)


def _nearest(panels: Tensor, centres: Tensor) -> Tensor:
    """(panels, n) the first of the nearest centres, where distances that differ by rounding only are alike."""
    # ‖x − c‖² without ‖x‖², which is the same for all centres.
    squares = centres.square().sum(2).unsqueeze(1)
    distances = torch.baddbmm(squares, panels, centres.transpose(1, 2), alpha=-2)
    scale = squares.amax(2, keepdim=True) + panels.square().sum(2).amax(1)[:, None, None]
    rounding = 32 * torch.finfo(panels.dtype).eps * scale
    return (distances <= distances.amin(2, keepdim=True) + rounding).byte().argmax(2)


def _hypercube(panels: Tensor, pattern: Pattern) -> Tensor:
    """(panels, n) ids of `panels` (panels, n, D): bins of the dimensions with the widest range in the panel.

    DR says 'selected primary dimensions' and not which; ranges of shifted columns tie exactly (then the first ones are
    taken), variances would up to rounding only. bin = ⌊B·(x − min)/(max − min)⌋ over the panel, the maximum itself in
    the last bin; the id has one base-B digit per dimension, the most primary one first.
    """
    low, high = panels.amin(1), panels.amax(1)
    primary = torch.argsort(high - low, dim=1, descending=True, stable=True)[:, : pattern.hashes]
    low, high = low.gather(1, primary).unsqueeze(1), high.gather(1, primary).unsqueeze(1)
    values = panels.gather(2, primary.unsqueeze(1).expand(-1, panels.shape[1], -1))
    spread = torch.where(high > low, high - low, torch.ones_like(high))
    bins = (pattern.bins * (values - low) / spread).long().clamp_max(pattern.bins - 1)
    ids = torch.zeros_like(bins[..., 0])
    for digit in bins.unbind(2):
        ids = ids * pattern.bins + digit
    return ids
