"""First hash vectors and thresholds: random as in the papers, or fitted to calibration vectors (DESIGN §5.5)."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.errors import PatternError
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.greedy import fit_greedy
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.threshold_tree import fit_threshold_tree
from ostinato.reuse.tree import fit_tree, output_gram, square_root

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
    * `itq`: principal axes rotated to make bits and projections agree (iterative quantisation);
    * `weighted-pca`, `weighted-itq`: the same, vectors measured by what they do to the layer's outputs (`output_gram`);
    * `greedy`: one after the other, the direction and threshold that leave the least output error; see `fit_greedy`.

    Those of a tree all measure vectors by what they do to the outputs:

    * `pca`: the principal axis of a node's vectors, cut halfway between the two means along it; see `fit_tree`;
    * `polished`: then all its nodes fitted together;
    * `thresholds`: one coordinate of a node's vectors; `level-thresholds`: the same one for the nodes of a level; see
      `fit_threshold_tree`.

    Args:
        geometry: of the layer.
        pattern: L, H, sharing, clustering, init, seed.
        vectors: (n, G, b·L) calibration vectors of each hash group.
        layer_name: for error messages.
        weight: (M, C, KH, KW) of the layer, for what is measured in outputs; without it they are taken as alike.

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
    gram = None if weight is None else output_gram(weight.detach().double().cpu(), geometry, pattern)
    if pattern.clustering == "tree":
        if pattern.init.endswith("thresholds"):
            planes, thresholds = fit_threshold_tree(z, pattern.hashes, gram, shared=pattern.init == "level-thresholds")
        else:
            planes, thresholds = fit_tree(z, pattern.hashes, gram, polish=pattern.init == "polished")
        return planes.float() * _valid_rows(geometry, pattern), thresholds.float()
    if pattern.init == "greedy":
        directions, centre = fit_greedy(z, pattern.hashes, gram)
        directions = directions * _valid_rows(geometry, pattern)
    else:
        directions, centre = _global_axes(geometry, pattern, z, gram)
    deviation = (z @ directions).std(1, unbiased=False)
    scale = torch.where(deviation > 1e-12, deviation, torch.ones_like(deviation))
    return (directions / scale.unsqueeze(1)).float(), (centre / scale).float()


def _global_axes(geometry: ConvGeometry, pattern: Pattern, z: Tensor, gram: Tensor | None) -> tuple[Tensor, Tensor]:
    """Directions (G, b·L, H) and thresholds (G, H) of `median`, `pca` and `itq`, for vectors z (G, n, b·L)."""
    generator = torch.Generator().manual_seed(pattern.seed)
    directions = _random_directions(geometry, pattern, generator).double()
    kind = pattern.init.removeprefix("weighted-")
    weights = gram if kind != pattern.init else None
    roots = None if weights is None else torch.stack([square_root(each) for each in weights])
    seen = z if roots is None else z @ roots  # what the outputs see
    if kind != "median":
        directions = _principal(seen, directions)
    if kind == "itq":
        directions = _rotated(seen, directions, generator)
    if roots is not None:
        directions = roots @ directions
    projections = z @ directions
    # ITQ's rotation balances bits around the mean; elsewhere the median halves the vectors.
    return directions, projections.mean(1) if kind == "itq" else projections.median(1).values


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
