"""Ids of vectors: sign bits of projections (TREC §3.1, Eq. 3.1), of H hyperplanes or along a path through a tree."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from ostinato.reuse.accelerator import accelerated
from ostinato.reuse.layout import Layout, Part
from ostinato.reuse.paths import hard_leaves, numbered

MOST_UNITS = 1 << 29  # numbers of unit vectors: 2 GiB
_PROJECTIONS = 1 << 18  # held at a time where nothing but ids is wanted of them: they stay in the cache
_PROJECTED_LEVELS = 5  # to here one product with all planes is faster than picking each vector's own


def project(rows: Tensor, hash_vectors: Tensor, thresholds: Tensor) -> Tensor:
    """v_h·x − θ_h of every vector.

    Args:
        rows: (R, L) vectors; row r belongs to hash group r mod G.
        hash_vectors: (G, L, P).
        thresholds: (G, P).

    Returns:
        (R, P) projections.
    """
    groups, length, hashes = hash_vectors.shape
    if groups == 1:
        return torch.addmm(-thresholds, rows, hash_vectors[0])
    grouped = rows.view(-1, groups, length).transpose(0, 1)
    projected = torch.bmm(grouped, hash_vectors) - thresholds.unsqueeze(1)
    return projected.transpose(0, 1).reshape(-1, hashes)


def bit_values(hashes: int, like: Tensor) -> Tensor:
    """[2^(H−1), …, 2, 1]: the first hash is the most significant bit; not to be changed."""
    return _bit_values(hashes, like.dtype, like.device)


@lru_cache(maxsize=64)  # the same in every step of a training
def _bit_values(hashes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # such a tensor could not be used in training later
        return torch.tensor([2.0**h for h in range(hashes - 1, -1, -1)], dtype=dtype, device=device)


def bindec(projections: Tensor) -> Tensor:
    """Ids (R,) int64 of projections (R, H): a bit is 1 where the projection is above zero."""
    bits = (projections > 0).to(projections.dtype)
    return (bits @ bit_values(projections.shape[-1], projections)).long()  # exact: at most 16 bits


def tree_ids(rows: Tensor, hash_vectors: Tensor, thresholds: Tensor) -> Tensor:
    """Ids (R,) int64 of `rows` (R, L) by trees of hyperplanes (DESIGN §5.5).

    Nodes are in heap order: at level h a vector whose bits so far are `prefix` meets plane 2^h − 1 + prefix, and its
    next bit is v·x − θ > 0. The root's bit is the most significant. Arguments as in `project`, with P = 2^H − 1. A
    plane of zeros gives bit 0.
    """
    groups, length, planes = hash_vectors.shape
    hashes = (planes + 1).bit_length() - 1
    if accelerated(rows) and len(rows) << hashes <= MOST_UNITS:
        leaves = hard_leaves(rows.view(-1, groups, length).transpose(0, 1), hash_vectors, thresholds, tree=True)
        return numbered(leaves, rows.dtype).t().reshape(-1)
    projected = min(hashes, _PROJECTED_LEVELS)
    step = max(1, _PROJECTIONS // (groups << projected))
    parts = torch.split(rows.view(-1, groups, length), step)
    return torch.cat([_tree_ids(part, hash_vectors, thresholds, hashes, projected) for part in parts])


def _tree_ids(rows: Tensor, hash_vectors: Tensor, thresholds: Tensor, hashes: int, projected: int) -> Tensor:
    """`tree_ids` of `rows` (R/G, G, L), of whose `hashes` levels the first ones are `projected` on all their planes."""
    groups, length, planes = hash_vectors.shape
    upper = slice(0, (1 << projected) - 1)
    bits = torch.bmm(rows.transpose(0, 1), hash_vectors[:, :, upper]) > thresholds[:, None, upper]
    prefix = torch.zeros(groups, bits.shape[1], 1, dtype=torch.long, device=rows.device)
    for level in range(projected):
        prefix = 2 * prefix + bits.gather(2, prefix + ((1 << level) - 1))
    ids = prefix.squeeze(2).t().reshape(-1)
    if projected == hashes:
        return ids
    rows = rows.reshape(-1, length)
    vectors, offsets = hash_vectors.transpose(1, 2).reshape(-1, length), thresholds.reshape(-1)
    tree = torch.arange(len(rows), device=rows.device) % groups * planes
    for level in range(projected, hashes):
        node = tree + ids + ((1 << level) - 1)
        ids = 2 * ids + ((rows * vectors.index_select(0, node)).sum(1) > offsets[node])
    return ids


def projection_parts(
    table: Tensor, hash_vectors: Tensor, thresholds: Tensor, layout: Layout, look: bool = False
) -> Iterator[tuple[Part, Tensor]]:
    """v_h·x − θ_h of every row of a table under every hash that its vectors meet, a part at a time.

    Args:
        table: (T, D), rows (places, blocks).
        hash_vectors: (G, D, H).
        thresholds: (G, H).
        layout: of the table.
        look: whether parts are to say which of their vectors are zero.

    Returns:
        Parts, and their projections (blocks, E, H, places), places innermost, so that what follows runs over them.
    """
    planes, offsets = layout.hash_matrices(hash_vectors.transpose(1, 2)), layout.hash_matrices(thresholds)
    size, hashes = table.shape[1], thresholds.shape[1]
    limit = _PROJECTIONS << 6 if accelerated(table) else _PROJECTIONS
    for part in layout.parts(table, hashes, limit, look):
        few = planes[part.blocks, part.different]
        shifts = offsets[part.blocks, part.different].reshape(len(few), -1, 1)
        # All hashes of a block in one product: of few planes it takes longer.
        projections = torch.baddbmm(shifts, few.reshape(len(few), -1, size), part.values, beta=-1)
        yield part, projections.view(len(few), -1, hashes, part.values.shape[2])


def pack_bits(projections: Tensor) -> Tensor:
    """Ids of projections (…, H, n), which become bits 0 and 1: (…, n), of their type.

    In floating point, exact as in `bindec`: a comparison that makes bool takes PyTorch seven times as long on a CPU.
    """
    bits = projections.gt_(0)
    if accelerated(bits):
        return torch.matmul(bit_values(bits.shape[-2], bits), bits)
    ids, *others = bits.unbind(-2)
    for bit in others:
        ids = torch.add(bit, ids, alpha=2)
    return ids


def hash_rows(rows: Tensor, hash_vectors: Tensor, thresholds: Tensor, clustering: str) -> tuple[Tensor, Tensor]:
    """Ids (R,) int64 of `rows` (R, L), and the projections (R, H) that a learning hash needs: a tree's are (R, 0)."""
    if clustering == "tree":
        return tree_ids(rows, hash_vectors, thresholds), rows.new_empty(len(rows), 0)
    projections = project(rows, hash_vectors, thresholds)
    return bindec(projections), projections


def unit_vectors(ids: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """(…, count): 1 at each of `ids` (…), else 0."""
    units = torch.zeros(*ids.shape, count, dtype=dtype, device=ids.device)
    return units.scatter_(-1, ids.unsqueeze(-1), 1.0)


def unit_length(rows: Tensor) -> Tensor:
    """`rows` (…, D) over their norms, for angular similarity (DR §III-B4); rows of zeros stay, without a gradient."""
    return directions(rows)[0]


def directions(rows: Tensor) -> tuple[Tensor, Tensor]:
    """`unit_length` of rows (…, D), and their norms (…, 1): infinity of rows of zeros, which have no direction."""
    norms = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    norms = norms.masked_fill(norms == 0, torch.inf)
    return rows / norms, norms


def through_directions(gradient: Tensor, unit: Tensor, norms: Tensor) -> Tensor:
    """The gradient of rows x, of that of their `directions` x/‖x‖: what is along x does not count."""
    return (gradient - unit * (unit * gradient).sum(-1, keepdim=True)) / norms
