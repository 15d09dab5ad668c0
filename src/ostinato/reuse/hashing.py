"""Locality-sensitive hashing: sign bits of projections, packed into ids (TREC §3.1, Eq. 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor


def project(rows: Tensor, hash_vectors: Tensor, thresholds: Tensor) -> Tensor:
    """v_h·x − θ_h of every vector.

    Args:
        rows: (R, L) vectors; row r belongs to hash group r mod G.
        hash_vectors: (G, L, H).
        thresholds: (G, H).

    Returns:
        (R, H) projections.
    """
    groups, length, hashes = hash_vectors.shape
    if groups == 1:
        return torch.addmm(-thresholds, rows, hash_vectors[0])
    grouped = rows.view(-1, groups, length).transpose(0, 1)
    projected = torch.bmm(grouped, hash_vectors) - thresholds.unsqueeze(1)
    return projected.transpose(0, 1).reshape(-1, hashes)


def bit_values(hashes: int, like: Tensor) -> Tensor:
    """[2^(H−1), …, 2, 1]: the first hash is the most significant bit."""
    return torch.tensor([2.0**h for h in range(hashes - 1, -1, -1)], dtype=like.dtype, device=like.device)


def bindec(projections: Tensor) -> Tensor:
    """Ids (R,) int64 of projections (R, H): a bit is 1 where the projection is above zero."""
    bits = (projections > 0).to(projections.dtype)
    return (bits @ bit_values(projections.shape[-1], projections)).long()  # exact: at most 16 bits
