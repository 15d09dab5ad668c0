"""Refusals that all of this room share: each one sentence with what was found."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ostinato.errors import ModelError, PatternError


def check_positive(**sizes: int) -> None:
    """Refuse a size that is not an integer of at least 1."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise PatternError(f"{name} must be a positive integer, not {value!r}")


def check_fraction(**fractions: float) -> None:
    """Refuse a ratio that is not from 0 to 1."""
    for name, value in fractions.items():
        if not 0.0 <= value <= 1.0:
            raise PatternError(f"{name} must be from 0 to 1, not {value!r}")


def check_not_negative(**numbers: float) -> None:
    """Refuse a number that is negative, infinite or NaN."""
    for name, value in numbers.items():
        if not math.isfinite(value) or value < 0:
            raise PatternError(f"{name} must be a finite number of at least 0, not {value!r}")


def check_matrix(name: str, matrix: Tensor) -> None:
    """Refuse what is not a non-empty, finite, floating-point matrix."""
    if matrix.dim() != 2 or matrix.numel() == 0 or not matrix.is_floating_point():
        raise PatternError(
            f"{name} must be a floating-point matrix with elements, not {matrix.dtype} of shape {tuple(matrix.shape)}"
        )
    if not bool(torch.isfinite(matrix).all()):
        raise ModelError(f"{name} has NaN or infinite numbers")


def check_length(length: int, columns: int) -> None:
    """Refuse slices of L = `length` that are longer than X is wide."""
    check_positive(length=length, K=columns)
    if length > columns:
        raise PatternError(f"slices of length {length} are longer than the matrix is wide (K = {columns})")


def slice_bounds(columns: int, length: int) -> list[tuple[int, int]]:
    """Columns [start, stop) of each slice of L = `length`; the last may be shorter (as `ConvGeometry.slices`)."""
    check_length(length, columns)
    return [(start, min(start + length, columns)) for start in range(0, columns, length)]
