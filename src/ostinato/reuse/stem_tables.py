"""The tables of a transform-coded stem, fitted jointly by least squares (DESIGN §5.11)."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.errors import ModelError


class JointTables:
    """Ridge regression of outputs Y on which id each group has: rows of G tables, all at once.

    Minimises Σ ‖b + Σ_g T[g, id_g] − Y‖² + λ·‖T − T₀‖², λ a small share of the mean count of an id: rows of ids that
    hardly occur stay as they were. Sums are float64.
    """

    def __init__(self, groups: int, ids: int, outputs: int) -> None:
        self._groups, self._ids = groups, ids
        self._gram = torch.zeros(groups, groups, ids * ids, dtype=torch.float64)
        self._cross = torch.zeros(groups * ids, outputs, dtype=torch.float64)
        self.rows = 0

    def add(self, ids: Tensor, outputs: Tensor) -> None:
        """Add positions: ids (N, G) int64 and what of Y the tables are to make (N, M)."""
        ids, outputs = ids.cpu(), outputs.double().cpu()
        for g in range(self._groups):
            for h in range(g, self._groups):  # how often two ids occur together
                pairs = torch.bincount(ids[:, g] * self._ids + ids[:, h], minlength=self._ids**2)
                self._gram[g, h] += pairs
            self._cross.index_add_(0, ids[:, g] + g * self._ids, outputs)
        self.rows += len(ids)

    def solve(self, start: Tensor, ridge: float = 1e-3) -> Tensor:
        """The tables (G, 2^H, M), from T₀ = `start`.

        Raises:
            ModelError: if no positions were added.
        """
        if not self.rows:
            raise ModelError("fitting tables needs at least one calibration image")
        groups, ids = self._groups, self._ids
        upper = self._gram.view(groups, groups, ids, ids).permute(0, 2, 1, 3).reshape(groups * ids, groups * ids)
        gram = upper.triu() + upper.triu(1).t()
        penalty = ridge * self.rows / ids + 1e-9
        first = start.double().cpu().flatten(0, 1)
        system = gram + penalty * torch.eye(len(gram), dtype=torch.float64)
        change: Tensor = torch.linalg.solve(system, self._cross - gram @ first)
        return (first + change).view(groups, ids, -1)
