"""Which input channels had better share a block: a permutation that folds into the layer before, free on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.errors import PatternError

_SWEEPS = 20
_BETTER = 1e-6  # a swap must lower the distortion of its two blocks by this share
_REGULAR = 1e-9  # of a Gram matrix's mean diagonal


def channel_grouping(samples: Tensor, weight: Tensor, length: int, hashes: int | None = None) -> Tensor:
    """A permutation of the input channels that makes blocks of `length` channels cheap to quantise with `hashes` bits.

    A block with covariance Σ whose errors e cost eᵀ·gram·e in the outputs (`output_gram`) costs, at H bits, about the
    distortion D(H) of a Gaussian with the eigenvalues λ of gram^½·Σ·gram^½: reverse water-filling (Cover and Thomas,
    Elements of Information Theory, §10.3.3; `gaussian_distortion`). Pairs of channels are swapped between blocks while
    that lowers the sum of D over the blocks.

    To use it, permute the filters of the layer before (and its BatchNorm) and the input channels of this one alike:
    `before.weight[p]`, `weight[:, p]`.

    Args:
        samples: (n, C) the layer's input at n pixels.
        weight: (M, C, KH, KW) of the layer.
        length: L, which divides C.
        hashes: H; None: half a bit for each value, L/2.

    Returns:
        (C,) int64 permutation p, on the samples' device: channel i of the permuted input is channel p[i] of the
        present one. Blocks are ordered by their first channel and channels ascend within blocks.

    Raises:
        PatternError: if L does not divide C, or `samples` are not finite (n, C).
    """
    channels = weight.shape[1]
    if length < 1 or channels % length:
        raise PatternError(f"blocks of {length} channels do not divide the {channels} input channels; use a divisor")
    if samples.dim() != 2 or samples.shape[1] != channels or len(samples) == 0 or not bool(samples.isfinite().all()):
        raise PatternError(
            f"channel grouping needs finite samples (n, {channels}) of the layer's input, not {tuple(samples.shape)}"
        )
    z, w = samples.detach().double().cpu(), weight.detach().double().cpu()
    z = z - z.mean(0)
    covariance, gram = z.t() @ z / len(z), torch.einsum("mcij,mdij->cd", w, w)
    bits = length // 2 if hashes is None else hashes
    blocks = _swapped(torch.arange(channels).view(-1, length), covariance, gram, bits).sort(1).values
    return blocks[blocks[:, 0].argsort()].flatten().to(samples.device)


def block_distortion(blocks: Tensor, covariance: Tensor, gram: Tensor, hashes: int) -> Tensor:
    """D (…) at H bits of each block of channels (…, L), see `channel_grouping`, from all channels' (C, C) matrices."""
    rows, columns = blocks.unsqueeze(-1), blocks.unsqueeze(-2)
    inner = gram[rows, columns]
    floor = _REGULAR * inner.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(torch.finfo(gram.dtype).tiny)
    factor = torch.linalg.cholesky(inner + torch.diag_embed(floor.unsqueeze(-1).expand(blocks.shape)))
    # The eigenvalues of gram^½·Σ·gram^½ are those of FᵀΣF for any F·Fᵀ = gram.
    variances = torch.linalg.eigvalsh(factor.transpose(-1, -2) @ covariance[rows, columns] @ factor)
    return gaussian_distortion(variances, hashes)


def gaussian_distortion(variances: Tensor, bits: float) -> Tensor:
    """Σ min(θ, λ) of variances λ (…, L), where Σ ½·log₂(λ/θ) over those above the water level θ is `bits`."""
    ordered = variances.clamp_min(torch.finfo(variances.dtype).tiny).sort(-1, descending=True).values
    count = torch.arange(1, ordered.shape[-1] + 1, dtype=ordered.dtype, device=ordered.device)
    # The level if the largest 1, 2, … variances share the bits; right is the last whose variances all stand above it.
    levels = ((ordered.log().cumsum(-1) - bits * torch.log(count.new_tensor(4.0))) / count).exp()
    above = (ordered > levels).sum(-1, keepdim=True).clamp_min(1) - 1
    return torch.minimum(ordered, levels.gather(-1, above)).sum(-1)


def _swapped(blocks: Tensor, covariance: Tensor, gram: Tensor, hashes: int) -> Tensor:
    """`blocks` (C/L, L) after swaps of channels between two of them that lower their distortion, until none does."""
    count, length = blocks.shape
    blocks, cost = blocks.clone(), block_distortion(blocks, covariance, gram, hashes)
    swap = torch.arange(length * length)
    mine, other = swap // length, swap % length
    for _ in range(_SWEEPS):
        swaps = 0
        for a in range(count):
            for b in range(a + 1, count):
                while True:
                    pairs = blocks[[a, b]].repeat(length * length, 1, 1)
                    pairs[swap, 0, mine], pairs[swap, 1, other] = blocks[b, other], blocks[a, mine]
                    costs = block_distortion(pairs, covariance, gram, hashes)
                    best = int(costs.sum(1).argmin())
                    if float(costs[best].sum()) >= float(cost[a] + cost[b]) * (1 - _BETTER):
                        break
                    blocks[[a, b]], cost[[a, b]] = pairs[best], costs[best]
                    swaps += 1
        if not swaps:
            break
    return blocks
