"""First hash vectors and thresholds: random as in the papers, or fitted to calibration vectors (DESIGN §5.5)."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.errors import PatternError
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.tree import fit_tree, output_gram

_ITQ_ROUNDS = 25
_NEGLIGIBLE = 1e-9  # an axis with less than this share of the largest variance carries nothing


def random_hash(geometry: ConvGeometry, pattern: Pattern) -> tuple[Tensor, Tensor]:
    """Hash vectors (G, b·L, P) drawn from N(0, 1), P = `pattern.planes`, and zero thresholds (G, P) (TREC §5, DR §III).

    Rows beyond a ragged last slice are zero. The same for the same seed; `pattern.init` is not looked at.
    """
    return _random_directions(geometry, pattern, torch.Generator().manual_seed(pattern.seed)), torch.zeros(
        pattern.hash_groups(geometry), pattern.planes
    )


def initial_hash(
    geometry: ConvGeometry,
    pattern: Pattern,
    vectors: Tensor | None = None,
    layer_name: str = "layer",
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Hash vectors (G, b·L, P) and thresholds (G, P) under `pattern.init`, the same for the same seed and vectors.

    `random` draws N(0, 1) and zero thresholds and needs no data (TREC §5, DR §III). The fitted ones choose
    hyperplanes through the vectors of each group and scale them so that projections have unit deviation:

    * `median`: random directions, thresholds at the medians, so that every bit halves the vectors;
    * `pca`: principal axes, most variance first, thresholds at the medians;
    * `itq`: principal axes rotated to make bits and projections agree (iterative quantisation).

    A tree's plane (`pca`) is the principal axis of its node's vectors, measured by what they do to the layer's outputs,
    and cuts halfway between the two means along it; see `fit_tree`. `polished` then fits all its nodes together.

    Args:
        geometry: of the layer.
        pattern: L, H, sharing, clustering, init, seed.
        vectors: (n, G, b·L) calibration vectors of each hash group.
        layer_name: for error messages.
        weight: (M, C, KH, KW) of the layer, for a tree only; without it a tree takes all outputs as alike.

    Raises:
        PatternError: if a fitted initialisation gets no vectors.
    """
    if pattern.init == "random":
        return random_hash(geometry, pattern)
    if vectors is None or vectors.shape[0] == 0:
        raise PatternError(
            f"layer '{layer_name}': hashes with init={pattern.init!r} are fitted to data; calibrate with images, or "
            "use init='random'"
        )
    z = vectors.detach().double().transpose(0, 1).cpu()  # (G, n, b·L)
    if pattern.similarity == "angular":
        z = z / torch.linalg.vector_norm(z, dim=2, keepdim=True).clamp_min(torch.finfo(z.dtype).tiny)
    if pattern.clustering == "tree":
        gram = None if weight is None else output_gram(weight.detach().double().cpu(), geometry, pattern)
        planes, thresholds = fit_tree(z, pattern.hashes, gram, polish=pattern.init == "polished")
        return planes.float() * _valid_rows(geometry, pattern), thresholds.float()
    generator = torch.Generator().manual_seed(pattern.seed)
    directions = _random_directions(geometry, pattern, generator).double()
    if pattern.init != "median":
        directions = _principal(z, directions)
    if pattern.init == "itq":
        directions = _rotated(z, directions, generator)
    projections = z @ directions
    deviation = projections.std(1, unbiased=False)
    scale = torch.where(deviation > 1e-12, deviation, torch.ones_like(deviation))
    # ITQ's rotation balances bits around the mean; elsewhere the median halves the vectors.
    centre = projections.mean(1) if pattern.init == "itq" else projections.median(1).values
    return (directions / scale.unsqueeze(1)).float(), (centre / scale).float()


def _random_directions(geometry: ConvGeometry, pattern: Pattern, generator: torch.Generator) -> Tensor:
    shape = pattern.hash_groups(geometry), pattern.block_size, pattern.planes
    return torch.randn(*shape, generator=generator) * _valid_rows(geometry, pattern)


def _valid_rows(geometry: ConvGeometry, pattern: Pattern) -> Tensor:
    """(G, b·L, 1): zero where a ragged last slice has no column; all ones if slices share their hash."""
    valid = torch.ones(pattern.hash_groups(geometry), pattern.block_rows, pattern.length)
    ragged = geometry.K % pattern.length
    if pattern.sharing == "slice" and ragged:
        valid[-1, :, ragged:] = 0
    return valid.flatten(1).unsqueeze(2)


def _principal(z: Tensor, spare: Tensor) -> Tensor:
    """(G, L, H) principal axes of z (G, n, L); `spare` directions where there are fewer axes than hashes."""
    centred = z - z.mean(1, keepdim=True)
    variances, axes = torch.linalg.eigh(centred.transpose(1, 2) @ centred)
    variances, axes = variances.flip(1), axes.flip(2)
    pivot = axes.abs().argmax(1, keepdim=True)  # an axis has no sign: make its largest entry positive
    axes = axes * axes.gather(1, pivot).sign()
    length, hashes = spare.shape[1:]
    useful = variances > _NEGLIGIBLE * variances[:, :1].clamp_min(1e-300)
    count = min(length, hashes)
    chosen = torch.where(useful[:, None, :count], axes[:, :, :count], spare[:, :, :count])
    return torch.cat([chosen, spare[:, :, count:]], 2)


def _rotated(z: Tensor, axes: Tensor, generator: torch.Generator) -> Tensor:
    """ITQ: the rotation R of the projections P that minimises ‖sign(P·R) − P·R‖, found by alternation.

    Only as many directions are rotated as there are axes; random ones beyond (H > L) stay.
    """
    count = min(axes.shape[1], axes.shape[2])
    kept = axes[:, :, :count]
    p = (z - z.mean(1, keepdim=True)) @ kept
    rotation = torch.linalg.qr(torch.randn(len(z), count, count, generator=generator, dtype=z.dtype)).Q
    for _ in range(_ITQ_ROUNDS):
        bits = torch.where(p @ rotation > 0, 1.0, -1.0).to(p.dtype)
        u, _, vt = torch.linalg.svd(p.transpose(1, 2) @ bits)
        rotation = u @ vt
    return torch.cat([kept @ rotation, axes[:, :, count:]], 2)
