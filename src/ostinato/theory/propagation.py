"""What errors made in layers amount to at the network's output (DR §IV), as published and corrected.

A network is a chain of stages. Stage i multiplies its im2col matrix X_i (N_i×K_i), or the matrix X̂_i of centroids, with
W_i, and passes the result through functions such as BN, ReLU and pooling to stage i + 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.errors import PatternError
from ostinato.reuse import ConvGeometry
from ostinato.theory.checks import check_matrix, check_not_negative, check_positive


@dataclass(frozen=True)
class ErrorStage:
    """One layer of the chain.

    Attributes:
        norm: ‖W_i‖₂, see `spectral_norm`.
        error: Err_c^(i) = ‖X̂_i − X_i‖², see `centroid_error`, measured in the network with reuse; 0 where nothing
            is reused.
        overlap: how many columns of X_i a number of the layer's input fills at most, see `window_overlap`; 1 for a
            fully connected layer.
        gain: Lipschitz constant in ℓ2 of what follows, to the next stage's input: 1 for ReLU and for max-pooling
            without overlap, the largest |γ|/√(σ² + ε) for BN.

    Raises:
        PatternError: if a number is negative or not finite, or the overlap not a positive integer.
    """

    norm: float
    error: float = 0.0
    overlap: int = 1
    gain: float = 1.0

    def __post_init__(self) -> None:
        check_not_negative(norm=self.norm, error=self.error, gain=self.gain)
        check_positive(overlap=self.overlap)


def propagated_published(stages: Sequence[ErrorStage]) -> float:
    """DR Eq. 2 and 3: δ(y) ≤ Σ_i Err_c^(i)·Π_{j≥i} ‖W_j‖², the squared error of the output, as printed.

    With one reused layer that is Eq. 2. It bounds δ(y) for chains of fully connected layers with one of them reused.
    It does not where several are, since errors of layers add up before they are squared, nor for convolutions, whose
    im2col repeats an input's error in every window that covers it. `propagated_bound` does.

    Raises:
        PatternError: without stages.
    """
    return sum(stage.error * math.prod(later.norm**2 for later in stages[i:]) for i, stage in _numbered(stages))


def propagated_bound(stages: Sequence[ErrorStage]) -> float:
    """A bound of the output's squared error: δ(y) ≤ (Σ_i √Err_c^(i)·‖W_i‖·g_i·Π_{j>i} √o_j·‖W_j‖·g_j)².

    By the triangle inequality: a stage multiplies the error e that reaches its input by √o at most (overlap), adds
    its own √Err_c, and multiplies both by ‖W‖ and g (gain): e ← g·‖W‖·(√o·e + √Err_c).

    Raises:
        PatternError: without stages.
    """
    error = 0.0
    for _, stage in _numbered(stages):
        error = stage.gain * stage.norm * (math.sqrt(stage.overlap) * error + math.sqrt(stage.error))
    return error**2


def spectral_norm(weights: Tensor) -> float:
    """‖W‖₂, the largest singular value of W (K, M), computed in float64.

    Raises:
        PatternError: for what is no matrix.
        ModelError: for weights that are not finite.
    """
    check_matrix("W", weights)
    return float(torch.linalg.matrix_norm(weights.double(), 2))


def centroid_error(columns: Tensor, quantised: Tensor) -> float:
    """Err_c = Σ_j ‖x_jc − x_j‖² (DR §IV) of X (N, K) and X̂ (N, K); in squared units of the activations.

    Raises:
        PatternError: if the two are not matrices of one shape.
        ModelError: if a number is not finite.
    """
    check_matrix("X", columns)
    check_matrix("X̂", quantised)
    if columns.shape != quantised.shape:
        raise PatternError(f"X {tuple(columns.shape)} and X̂ {tuple(quantised.shape)} must have one shape")
    return float((quantised.double() - columns.double()).square().sum())


def window_overlap(geometry: ConvGeometry) -> int:
    """The largest number of columns of X in which im2col repeats a number of its input.

    Along an axis, taps t·d of one residue modulo the stride s meet the same pixel: ⌈k·gcd(d, s)/s⌉ at most.
    """
    overlap = 1
    for kernel, stride, dilation in zip(geometry.kernel_size, geometry.stride, geometry.dilation, strict=True):
        overlap *= -(-kernel * math.gcd(dilation, stride) // stride)
    return overlap


def _numbered(stages: Sequence[ErrorStage]) -> list[tuple[int, ErrorStage]]:
    if not stages:
        raise PatternError("error propagation needs at least one stage")
    return list(enumerate(stages))
