"""Ids written as matrices: which leaf lies above which planes. A path through a tree is then one product."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Paths:
    """The 2^H leaves of a hash, each with the side of every plane that its path takes.

    Attributes:
        up, down: (planes, 2^H): 1 where a leaf's path goes above the plane, or below it, else 0.
        sides: up − down in half precision, whose products with bits are small integers and so exact.
        ups: (2^H,) planes that a path goes above, likewise.
    """

    up: Tensor
    down: Tensor
    sides: Tensor
    ups: Tensor

    def leaves(self, bits: Tensor) -> Tensor:
        """(…, 2^H) bool, true at each vector's leaf, of its `bits` (…, planes) in half precision.

        A path's ones less its zeros are as many as its ones only where every bit is the path's.
        """
        return torch.matmul(bits, self.sides) == self.ups

    def probabilities(self, logits: Tensor) -> Tensor:
        """(…, 2^H) of coming to each leaf, if each bit is drawn with the `logits` (…, planes) of going above."""
        return (F.logsigmoid(logits) @ self.up).add_(F.logsigmoid(-logits) @ self.down).exp_()

    def logit_gradient(self, logits: Tensor, worth: Tensor) -> Tensor:
        """d(expected worth)/d(logit), (…, planes), of leaves that are `worth` (…, 2^H).

        d(log p_j)/d(logit k) is 1 − σ_k for leaves j above plane k, −σ_k for those below it.
        """
        likely = self.probabilities(logits).mul_(worth)
        return torch.addcmul(likely @ self.up.t(), likely @ (self.up + self.down).t(), torch.sigmoid(logits), value=-1)


def paths(hashes: int, tree: bool, like: Tensor) -> Paths:
    """Of H hashes, where and as precise as `like`; a tree has one more plane, which no path meets.

    That makes their number a power of two, which products of matrices on accelerators are made for.
    """
    return _paths(tree, hashes, like.dtype, like.device)


@lru_cache(maxsize=64)  # the same in every step of a training
def _paths(tree: bool, hashes: int, dtype: torch.dtype, device: torch.device) -> Paths:
    with torch.inference_mode(False):  # such tensors could not be used in training later
        leaves = torch.arange(1 << hashes)
        up = torch.zeros(1 << hashes if tree else hashes, 1 << hashes, dtype=dtype)
        down = torch.zeros_like(up)
        for h in range(hashes):
            plane = (1 << h) - 1 + (leaves >> (hashes - h)) if tree else torch.full_like(leaves, h)
            above = (leaves >> (hashes - 1 - h)) & 1
            up[plane, leaves], down[plane, leaves] = above.to(dtype), (1 - above).to(dtype)
        sides, ups = (up - down).half(), up.sum(0).half()
        return Paths(*(t.to(device) for t in (up, down, sides, ups)))


def with_whole_planes(planes: Tensor, tree: bool) -> Tensor:
    """Hash vectors (…, planes) or thresholds, a tree's with the plane that no path meets."""
    return F.pad(planes, (0, 1)) if tree else planes


def hard_leaves(rows: Tensor, hash_vectors: Tensor, thresholds: Tensor, tree: bool) -> Tensor:
    """(S, N, 2^H) bool, each vector's id as a unit vector.

    Args:
        rows: (S, N, L).
        hash_vectors: (S, L, planes).
        thresholds: (S, planes).
        tree: whether planes are a tree's.
    """
    planes, offsets = with_whole_planes(hash_vectors, tree), with_whole_planes(thresholds, tree)
    projections = torch.baddbmm(offsets.unsqueeze(1), rows, planes, beta=-1)
    bits = torch.empty_like(projections, dtype=torch.half)
    torch.gt(projections, 0, out=bits)
    del projections
    hashes = hash_vectors.shape[2].bit_length() if tree else hash_vectors.shape[2]
    return paths(hashes, tree, rows).leaves(bits)


def numbered(hard: Tensor, dtype: torch.dtype) -> Tensor:
    """(…) int64 ids of unit vectors `hard` (…, 2^H), by a product in `dtype`."""
    every = torch.arange(hard.shape[-1], dtype=dtype, device=hard.device)
    return torch.matmul(hard.to(dtype), every).long()
