"""Trees of hyperplanes fitted to calibration vectors, in the metric of a layer's outputs (DESIGN §5.5)."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.tree_polish import SWEEPS, polish_tree
from ostinato.reuse.views import weight_matrix, whole_slices

FEWEST = 8  # vectors below which a node is not split
_NEGLIGIBLE = 1e-9  # nor with less than this share of the root's variance
_LLOYD_ROUNDS = 8


def output_gram(weight: Tensor, geometry: ConvGeometry, pattern: Pattern) -> Tensor:
    """(G, b·L, b·L) Σ W_s·W_sᵀ over the slices s that a hash group serves, for each row of a block by itself.

    eᵀ·gram·e is what an error e of one of its vectors does to the outputs, squared and summed over them.
    """
    groups, length = pattern.hash_groups(geometry), pattern.length
    used = weight_matrix(weight, pattern.order)[: pattern.slices(geometry) * length]
    slices = whole_slices(used, length, 0).reshape(-1, groups, length, len(weight))
    gram = torch.einsum("sgim,sgjm->gij", slices, slices)
    return torch.kron(torch.eye(pattern.block_rows, dtype=gram.dtype), gram)


def fit_tree(
    vectors: Tensor, hashes: int, gram: Tensor | None = None, *, polish: bool = False
) -> tuple[Tensor, Tensor]:
    """Hyperplanes that cut each node's vectors where it lowers the output error most, one axis at a time.

    With R = gram^½, a node's plane is v = R·u for the first principal axis u of its vectors times R, scaled to
    projections of unit deviation, and θ the midpoint of the two means that Lloyd's iteration finds along it. A node
    with hardly any vectors, or whose vectors hardly differ in the outputs, has v = 0, θ = 0: all of them have bit 0.

    Args:
        vectors: (G, n, L), float64.
        hashes: H.
        gram: (G, L, L) from `output_gram`; None: the identity.
        polish: whether to fit all nodes together afterwards (`polish_tree`), beginning with these planes.

    Returns:
        Hash vectors (G, L, 2^H − 1) and thresholds (G, 2^H − 1), nodes in the heap order of `tree_ids`.
    """
    trees = []
    for g, z in enumerate(vectors):
        root = torch.eye(z.shape[1], dtype=z.dtype) if gram is None else square_root(gram[g])
        y = z @ root
        planes, thresholds = _grow(y, hashes)
        if polish:
            planes, thresholds = unit_deviation(y, *polish_tree(y, y, planes, thresholds, SWEEPS))
        trees.append((root @ planes.t(), thresholds))
    return torch.stack([planes for planes, _ in trees]), torch.stack([thresholds for _, thresholds in trees])


def unit_deviation(y: Tensor, planes: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """`planes` (2^H − 1, L) and thresholds, the same cuts, scaled to unit deviation of a node's projections."""
    planes, thresholds = planes.clone(), thresholds.clone()
    prefix = torch.zeros(len(y), dtype=torch.long)
    for level in range(len(planes).bit_length()):
        node = prefix + ((1 << level) - 1)
        projections = (y * planes[node]).sum(1)
        above = projections > thresholds[node]
        for k in set(node.tolist()):
            mine = projections[node == k]
            deviation = mine.std(correction=0)
            if deviation > torch.finfo(y.dtype).eps * mine.abs().max():
                planes[k], thresholds[k] = planes[k] / deviation, thresholds[k] / deviation
        prefix = 2 * prefix + above
    return planes, thresholds


def _grow(y: Tensor, hashes: int) -> tuple[Tensor, Tensor]:
    """Planes (2^H − 1, L) and thresholds (2^H − 1,) of one tree for `y` (n, L)."""
    levels = []
    prefix = torch.zeros(len(y), dtype=torch.long)
    least = 0.0
    for level in range(hashes):
        sizes = torch.bincount(prefix, minlength=1 << level)
        members = torch.split(y[torch.argsort(prefix, stable=True)], sizes.tolist())
        axes = [_principal_axis(node, least) for node in members]
        planes = torch.stack([plane for plane, _ in axes])
        if level == 0:
            least = _NEGLIGIBLE * axes[0][1]
        projections = (y * planes[prefix]).sum(1)
        thresholds = _midpoints(projections, prefix, sizes)
        levels.append((planes, thresholds))
        prefix = 2 * prefix + (projections > thresholds[prefix])
    return torch.cat([planes for planes, _ in levels]), torch.cat([thresholds for _, thresholds in levels])


def _principal_axis(y: Tensor, least: float) -> tuple[Tensor, float]:
    """Plane (L,) with projections of unit deviation, and the variance along it before; zero if it is ≤ `least`."""
    if len(y) < FEWEST:
        return y.new_zeros(y.shape[1]), 0.0
    shifted = y - y.mean(0)
    variances, axes = torch.linalg.eigh(shifted.t() @ shifted / len(y))
    variance = float(variances[-1])
    if variance <= max(least, torch.finfo(y.dtype).tiny):
        return y.new_zeros(y.shape[1]), 0.0
    plane = axes[:, -1] / variance**0.5
    return plane * plane[plane.abs().argmax()].sign(), variance  # an axis has no sign: make the largest entry positive


def _midpoints(projections: Tensor, node: Tensor, sizes: Tensor) -> Tensor:
    """Thresholds (nodes,) halfway between two means of each node's `projections` (n,); Lloyd's from the mean."""
    nodes = len(sizes)
    total = torch.bincount(node, projections, nodes)
    thresholds = total / sizes.clamp_min(1)
    for _ in range(_LLOYD_ROUNDS):
        above = (projections > thresholds[node]).to(projections.dtype)
        count, upper = torch.bincount(node, above, nodes), torch.bincount(node, above * projections, nodes)
        rest = sizes - count
        split = (count > 0) & (rest > 0)
        middle = (upper / count.clamp_min(1) + (total - upper) / rest.clamp_min(1)) / 2
        thresholds = torch.where(split, middle, thresholds)
    return thresholds


def square_root(gram: Tensor) -> Tensor:
    """The symmetric R with R·R = gram."""
    values, axes = torch.linalg.eigh(gram)
    root: Tensor = (axes * values.clamp_min(0).sqrt()) @ axes.t()
    return root
