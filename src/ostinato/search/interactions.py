"""What layers do to each other: one-at-a-time divergences corrected by those of whole networks (DESIGN §5.12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

POINTS_PER_NAT = 35.0
"""Points of top-1 lost for a nat of divergence, where nothing was measured (DESIGN §5.12)."""

_PULL = 0.3  # of the common factor on every layer's own, beside a measured network


@dataclass(frozen=True)
class Interactions:
    """Predicts a network from its layers: Σ factor·divergence; points of top-1 for each nat of it.

    Attributes:
        factors: by layer; `common` for others.
        common: measured over summed divergences, all networks together.
        points_per_nat: of top-1.
    """

    factors: Mapping[str, float]
    common: float = 1.0
    points_per_nat: float = POINTS_PER_NAT

    def factor(self, layer: str) -> float:
        """What a layer's divergence counts in a network."""
        return self.factors.get(layer, self.common)

    def joint(self, alone: Mapping[str, float]) -> float:
        """Predicted divergence of a network, from that of its layers one at a time."""
        return sum(self.factor(layer) * value for layer, value in alone.items())


@dataclass(frozen=True)
class Joint:
    """A network measured as a whole: its layers' divergences one at a time, its own, and the top-1 points it lost."""

    alone: Mapping[str, float]
    kl: float
    points: float


def correct(networks: Sequence[Joint]) -> Interactions:
    """Factors that explain measured networks: non-negative, relative errors, pulled to the common factor.

    Few networks cannot tell many layers apart: what they do not determine stays with the common factor.
    """
    known = [network for network in networks if network.kl > 0 and sum(network.alone.values()) > 0]
    if not known:
        return Interactions({})
    common = float(np.median([network.kl / sum(network.alone.values()) for network in known]))
    layers = sorted({layer for network in known for layer in network.alone})
    rows = [[network.alone.get(layer, 0.0) / network.kl for layer in layers] for network in known]
    matrix = np.vstack([np.array(rows), _PULL * np.eye(len(layers))])
    target = np.concatenate([np.ones(len(known)), np.full(len(layers), _PULL * common)])
    factors = nnls(matrix, target)[0]
    square = sum(network.kl**2 for network in known)
    slope = sum(network.kl * network.points for network in known) / square
    return Interactions(dict(zip(layers, factors.tolist(), strict=True)), common, max(slope, 1.0))
