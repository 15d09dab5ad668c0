"""The estimators of `Pattern.gradient` for quantisation by unit vectors: few steps, none of which is waited for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.reuse.flips import all_changes, deviations, flip_kernel, window_kernel
from ostinato.reuse.hash_gradient import is_soft, soft_bits
from ostinato.reuse.hash_sample import sample
from ostinato.reuse.hashing import bit_values, directions, through_directions
from ostinato.reuse.layout import Layout
from ostinato.reuse.paths import numbered, paths, with_whole_planes
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.soft_ids import NEVER, soft_slopes


@dataclass(frozen=True)
class Drawn:
    """Equally many vectors of each slice, on which a hash gradient is measured.

    Attributes:
        rows: (S, a, L).
        ids: (S, a) int64.
        places: (S·a,) where they are among all S·N.
        weight: how many vectors each stands for.
    """

    rows: Tensor
    ids: Tensor
    places: Tensor
    weight: float

    @classmethod
    def of(cls, rows: Tensor, hard: Tensor, pattern: Pattern) -> Drawn:
        """Of `rows` (S, B, P, L), whose ids are the unit vectors `hard` (S, B·P, 2^H): the same ones in every step."""
        slices, batch, pixels, length = rows.shape
        numbers, units = sample(Layout(batch, pixels, slices), pattern, rows.device)
        places = torch.add(units, numbers, alpha=batch * pixels)
        ids = numbered(hard.flatten(0, 1).index_select(0, places), rows.dtype).view(slices, -1)
        taken = rows.view(-1, length).index_select(0, places)
        return cls(taken.view(slices, -1, length), ids, places, slices * batch * pixels / len(places))


def soft_gradients(
    rows: Tensor, worth: Tensor, hash_vectors: Tensor, thresholds: Tensor, pattern: Pattern
) -> tuple[Tensor, Tensor, Tensor]:
    """Of vectors (S, N, L), hash vectors (S, L, planes) and thresholds: where each bit is drawn by itself (`soft_ids`).

    Args:
        rows: (S, B, P, L).
        worth: (S, N, 2^H), of the leaves to each vector.
        hash_vectors: (S, L, planes).
        thresholds: (S, planes).
        pattern: the layer's.
    """
    tree, (flat, norms) = pattern.clustering == "tree", _compared(rows.flatten(1, 2), pattern)
    planes, offsets = with_whole_planes(hash_vectors, tree), with_whole_planes(thresholds, tree)
    projections = torch.baddbmm(offsets.unsqueeze(1), flat, planes, beta=-1)
    slopes = soft_slopes(planes, projections, pattern).unsqueeze(1)
    logits = torch.addcmul((slopes == 0) * -NEVER, projections, slopes)
    pull = paths(pattern.hashes, tree, rows).logit_gradient(logits, worth).mul_(slopes)
    vectors = _summed_products(flat.view_as(rows), pull.view(*rows.shape[:3], -1))
    through = _uncompared(torch.bmm(pull, planes.transpose(1, 2)), flat, norms)
    count = hash_vectors.shape[2]
    return through, vectors[..., :count], -pull.sum(1)[..., :count]


def trec_gradients(
    rows: Tensor, hard: Tensor, pulls: Tensor, sizes: Tensor, hash_vectors: Tensor, thresholds: Tensor, pattern: Pattern
) -> tuple[Tensor, Tensor, Tensor]:
    """Of vectors (S, N, L), hash vectors (S, L, H) and thresholds, by TREC's relaxation: all of Eq. 3.4's columns.

    Args:
        rows: (S, B, P, L).
        hard: (S, N, 2^H), their ids as unit vectors.
        pulls: (S, 2^H, L) gradients of the centroids.
        sizes: (S, 2^H) of the clusters.
        hash_vectors, thresholds: the parameters.
        pattern: the layer's.
    """
    flat = rows.flatten(1, 2)
    compared, norms = _compared(flat, pattern)
    projections = torch.baddbmm(thresholds.unsqueeze(1), compared, hash_vectors, beta=-1)
    own = numbered(hard, rows.dtype).unsqueeze(2)
    off, steep = soft_bits(projections, own, pattern)
    values, sigma = bit_values(pattern.hashes, off), pattern.gaussian_sigma
    columns = torch.arange(1, pattern.ids + 1, dtype=rows.dtype, device=rows.device)
    width = columns * sigma
    # d less j, of d = own + 1 + Σ off·2^(H−1−h): small differences are not taken between large numbers.
    away = ((own + 1 - columns) + (off @ values).unsqueeze(2)) / width  # (Q − 1)/σ
    slope = torch.exp(-0.5 * away * away).mul_(away).div_(width)
    worth = torch.bmm(flat, (pulls / sizes.clamp_min(1.0).unsqueeze(2)).transpose(1, 2))
    pull = steep.mul_(values).mul_(-(worth * slope).sum(2, keepdim=True))
    pull.masked_fill_(~is_soft(off, values, sigma), 0.0)
    through = _uncompared(torch.bmm(pull, hash_vectors.transpose(1, 2)), compared, norms)
    return through, _summed_products(compared.view_as(rows), pull.view(*rows.shape[:3], -1)), -pull.sum(1)


def _compared(flat: Tensor, pattern: Pattern) -> tuple[Tensor, Tensor | None]:
    """What of vectors (S, N, L) meets the planes, and their norms under angular similarity."""
    return (flat, None) if pattern.similarity == "euclidean" else directions(flat)


def _uncompared(through: Tensor, compared: Tensor, norms: Tensor | None) -> Tensor:
    """The gradient of vectors, of that of `_compared`."""
    return through if norms is None else through_directions(through, compared, norms)


def _summed_products(rows: Tensor, pull: Tensor) -> Tensor:
    """(S, L, planes) sums of the outer products of `rows` (S, B, P, L) and `pull` (S, B, P, planes), image by image."""
    by_image = torch.bmm(rows.flatten(0, 1).transpose(1, 2), pull.flatten(0, 1))
    return by_image.view(*rows.shape[:2], rows.shape[3], -1).sum(1)


def flip_gradients(
    drawn: Drawn, gradients: Tensor, means: Tensor, pulls: Tensor, sizes: Tensor, hash_vectors: Tensor,
    thresholds: Tensor, pattern: Pattern,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Of hash vectors (S, L, H) and thresholds (S, H), by `flip` or `straight-through` (`flips`).

    Args:
        drawn: vectors.
        gradients: (S, B, P, L), of all quantised vectors.
        means: (S, 2^H, L) centroids.
        pulls: as these, their gradients.
        sizes: (S, 2^H) of the clusters.
        hash_vectors, thresholds: the parameters.
        pattern: the layer's.
    """
    slices, length = drawn.rows.shape[0], drawn.rows.shape[2]
    compared, _ = _compared(drawn.rows, pattern)
    projections = torch.baddbmm(thresholds.unsqueeze(1), compared, hash_vectors, beta=-1)
    spread = deviations(projections.flatten(0, 1), slices, slices).unsqueeze(1)
    moves_centroids = pattern.gradient == "flip"
    kernel = (flip_kernel if moves_centroids else window_kernel)(projections, spread, pattern)
    own = gradients.view(-1, length).index_select(0, drawn.places)
    first = torch.arange(0, slices * pattern.ids, pattern.ids, device=own.device).unsqueeze(1)
    change = all_changes(
        drawn.rows.flatten(0, 1), own, (drawn.ids + first).flatten(), pattern.hashes,
        means.flatten(0, 1), pulls.flatten(0, 1), sizes.flatten(), moves_centroids,
    )  # fmt: skip
    pull = change.view_as(kernel).mul_(kernel).mul_(drawn.weight)
    return torch.bmm(compared.transpose(1, 2), pull), -pull.sum(1)
