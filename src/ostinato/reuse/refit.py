"""Closed-form refit: weights and bias that make a reuse layer's output closest to a target (DESIGN §5.5)."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.errors import ModelError


class LeastSquares:
    """Ridge regression of outputs Y on quantised columns X̂, from normal equations summed over batches.

    Minimises ‖X̂·W + b − Y‖² + λ‖W − W₀‖² with λ a small share of the mean diagonal of X̂ᵀX̂: what the data do not
    determine (ids that hardly occur) stays as it was. Sums are float64.
    """

    def __init__(self, columns: int, outputs: int, intercept: bool = True) -> None:
        self._intercept = intercept
        width = columns + intercept
        self._gram = torch.zeros(width, width, dtype=torch.float64)
        self._cross = torch.zeros(width, outputs, dtype=torch.float64)
        self.rows = 0

    def add(self, columns: Tensor, outputs: Tensor) -> None:
        """Add rows of X̂ (n, K) and of Y (n, M). Their products are in their own precision, the sums in float64."""
        if self._intercept:
            columns = torch.cat([columns, columns.new_ones(len(columns), 1)], 1)
        self._gram += (columns.t() @ columns).double().cpu()
        self._cross += (columns.t() @ outputs).double().cpu()
        self.rows += len(columns)

    def solve(self, weights: Tensor, bias: Tensor | None, ridge: float = 1e-4) -> tuple[Tensor, Tensor | None]:
        """The refitted W (K, M) and bias (M,), starting from the present ones.

        Raises:
            ModelError: if no rows were added.
        """
        if not self.rows:
            raise ModelError("a refit needs at least one calibration image")
        start = weights.detach().double().cpu()
        if self._intercept:
            first = torch.zeros(1, start.shape[1], dtype=start.dtype) if bias is None else bias.detach()[None].cpu()
            start = torch.cat([start, first.double()])
        penalty = torch.full((len(self._gram),), ridge * float(self._gram.diagonal().mean()) + 1e-12).double()
        if self._intercept:
            penalty[-1] = 1e-9 * float(self._gram[-1, -1])  # an offset is no complexity
        system = self._gram + torch.diag(penalty)
        change = torch.cholesky_solve(self._cross - self._gram @ start, torch.linalg.cholesky(system))
        solution = (start + change).to(weights)
        return (solution[:-1], solution[-1]) if self._intercept else (solution, None)
