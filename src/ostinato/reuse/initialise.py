"""First hash vectors and thresholds: random as in the papers, or fitted to calibration vectors (DESIGN §5.5)."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.errors import PatternError
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.pattern import Pattern

_ITQ_ROUNDS = 25
_NEGLIGIBLE = 1e-9  # an axis with less than this share of the largest variance carries nothing


def initial_hash(
    geometry: ConvGeometry, pattern: Pattern, vectors: Tensor | None = None, layer_name: str = "layer"
) -> tuple[Tensor, Tensor]:
    """Hash vectors (G, L, H) and thresholds (G, H) under `pattern.init`, the same for the same seed and vectors.

    `random` draws N(0, 1) and zero thresholds and needs no data (TREC §5, DR §III). The fitted ones choose
    hyperplanes through the vectors of each group and scale them so that projections have unit deviation:

    * `median`: random directions, thresholds at the medians, so that every bit halves the vectors;
    * `pca`: principal axes, most variance first, thresholds at the medians;
    * `itq`: principal axes rotated to make bits and projections agree (iterative quantisation).

    Args:
        geometry: of the layer.
        pattern: L, H, sharing, init, seed.
        vectors: (n, G, L) calibration vectors of each hash group.
        layer_name: for error messages.

    Raises:
        PatternError: if a fitted initialisation gets no vectors.
    """
    groups, length, hashes = pattern.hash_groups(geometry), pattern.length, pattern.hashes
    generator = torch.Generator().manual_seed(pattern.seed)
    directions = torch.randn(groups, length, hashes, generator=generator) * _valid_rows(geometry, pattern)
    if pattern.init == "random":
        return directions, torch.zeros(groups, hashes)
    if vectors is None or vectors.shape[0] == 0:
        raise PatternError(
            f"layer '{layer_name}': hashes with init={pattern.init!r} are fitted to data; calibrate with images, or "
            "use init='random'"
        )
    z = vectors.detach().double().transpose(0, 1).cpu()  # (G, n, L)
    directions = directions.double()
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


def _valid_rows(geometry: ConvGeometry, pattern: Pattern) -> Tensor:
    """(G, L, 1): zero where a ragged last slice has no column; all ones if slices share their hash."""
    valid = torch.ones(pattern.hash_groups(geometry), pattern.length, 1)
    ragged = geometry.K % pattern.length
    if pattern.sharing == "slice" and ragged:
        valid[-1, ragged:] = 0
    return valid


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
