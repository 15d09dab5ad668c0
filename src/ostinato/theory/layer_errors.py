"""Bounds and error of a layer as it stands: its input, weights, hash and pattern (GR §4.1's lightweight check)."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.reuse import ConvGeometry, Pattern, cluster_ids, im2col, quantised_columns, weight_matrix
from ostinato.theory.bounds import ReuseErrors, reuse_errors


@torch.no_grad()
def layer_errors(
    x: Tensor,
    weight: Tensor,
    hash_vectors: Tensor,
    thresholds: Tensor,
    geometry: ConvGeometry,
    pattern: Pattern,
    centroids: Tensor | None = None,
) -> ReuseErrors:
    """Published bound, corrected bound, measured error and r_t of a layer on some images, in the pattern's scope.

    A few images do: no training, and no forward pass of the rest of the network. For a `ReuseConv2d` these are its
    `weight`, `hash_vectors`, `thresholds`, `geometry`, `pattern` and `centroids`.

    Args:
        x: (B, C, H, W), what the layer gets.
        weight: (M, C, KH, KW).
        hash_vectors: (G, L, P).
        thresholds: (G, P).
        geometry: of the layer.
        pattern: of the layer.
        centroids: compiled scope: (S or blocks, 2^H, L).

    Returns:
        Sums over all images. In compiled scope r_t counts distinct table entries among the N·S vectors of X.

    Raises:
        PatternError: if shapes do not agree.
        ModelError: if an input is not finite.
    """
    columns = im2col(x, geometry, pattern.order)
    quantised = quantised_columns(x, hash_vectors, thresholds, geometry, pattern, centroids)
    labels = cluster_ids(x, hash_vectors, thresholds, geometry, pattern)
    if pattern.pixelwise:
        labels = _at_every_tap(labels, x, geometry)
    if pattern.scope == "image":
        labels = labels + (torch.arange(len(x), device=x.device) * pattern.ids).view(-1, 1, 1)
    return reuse_errors(
        columns.flatten(0, 1), quantised.flatten(0, 1), labels.flatten(0, 1), weight_matrix(weight, pattern.order),
        pattern.length,
    )  # fmt: skip


def _at_every_tap(ids: Tensor, x: Tensor, geometry: ConvGeometry) -> Tensor:
    """Ids (B, OH·OW, S) of the vectors of X, from ids (B, H·W, blocks) of padded input pixels: im2col of the ids."""
    (ph, pw), (height, width), blocks = geometry.padding, x.shape[2:], ids.shape[2]
    image = ids.view(len(x), height + 2 * ph, width + 2 * pw, blocks).permute(0, 3, 1, 2)
    unpadded = ConvGeometry(blocks, 1, geometry.kernel_size, geometry.stride, (0, 0), geometry.dilation)
    return im2col(image.double(), unpadded, "kh.kw.c").long()
