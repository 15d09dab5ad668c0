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

    def solve(self, weights: Tensor, ridge: float = 1e-4) -> tuple[Tensor, Tensor | None]:
        """The refitted W (K, M), starting from the present one, and bias (M,), None without an intercept.

        Raises:
            ModelError: if no rows were added.
        """
        if not self.rows:
            raise ModelError("a refit needs at least one calibration image")
        start = weights.detach().double().cpu()
        if not self._intercept:
            return self._change(self._gram, self._cross, start, ridge).to(weights), None
        # Without its mean the problem has no intercept, and stays positive definite however sparse the columns are.
        count, means, total = float(self._gram[-1, -1]), self._gram[:-1, -1], self._cross[-1]
        gram = self._gram[:-1, :-1] - torch.outer(means, means) / count
        cross = self._cross[:-1] - torch.outer(means, total) / count
        solution = self._change(gram, cross, start, ridge)
        return solution.to(weights), ((total - means @ solution) / count).to(weights)

    def _change(self, gram: Tensor, cross: Tensor, start: Tensor, ridge: float) -> Tensor:
        columns = len(start)
        penalty = ridge * float(self._gram.diagonal()[:columns].mean()) + 1e-12
        system = gram + penalty * torch.eye(columns, dtype=gram.dtype)
        change: Tensor = torch.linalg.solve(system, cross - gram @ start)
        return start + change
