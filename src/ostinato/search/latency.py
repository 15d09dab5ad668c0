"""How long a layer takes before it is compiled: GR §4.2's count, and a model fitted to simulated cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from ostinato.reuse import StemPattern
from ostinato.search.candidate import AnyPattern
from ostinato.search.generate import hashing_share
from ostinato.search.layers import Layer

Vector = npt.NDArray[np.float64]

FEATURES = (
    "call", "outputs", "rows added", "rows", "columns", "hash products", "hashes", "vectors", "cluster products",
    "clusters", "weights",
)  # fmt: skip
"""What the kernels' loops run over; each kernel has a cost, not negative, for every one of them."""


def published_share(pattern: AnyPattern | None, layer: Layer, r_t: float) -> float:
    """GR §4.2: multiplications left of the conventional ones, H/D_out + 1 − r_t; conventional: 1."""
    return 1.0 if pattern is None else hashing_share(pattern, layer) + 1.0 - r_t


def features(pattern: AnyPattern | None, layer: Layer, clusters: float) -> Vector:
    """(len(FEATURES),) counts of one image.

    Args:
        pattern: of the layer; None: conventional.
        layer: its sizes.
        clusters: formed in an image, all slices together; what compiled scope looks up does not count.
    """
    g, n = layer.geometry, layer.positions
    m, k = g.out_channels, g.K
    if pattern is None:
        return np.array([1, n * m, 0, 0, n * k, 0, 0, n, 0, 0, n * k * m], float)
    if isinstance(pattern, StemPattern):
        # A separable transform: every coefficient is a column product per pixel, then a row product.
        taps = pattern.coefficients * g.in_channels * g.kernel_size[1]
        return np.array([1, n * m, n * pattern.groups * m, n * pattern.groups, n * k, n * taps,
                         n * pattern.coefficients, n, 0, 0, 0], float)  # fmt: skip
    slices = pattern.slices(g)
    horizontal, b = pattern.direction == "horizontal", pattern.block_rows
    units = -(-n // b)
    vectors = units * slices
    if pattern.sharing == "block" and b == 1:
        vectors = layer.height * layer.width * (g.in_channels // pattern.length)
    size = pattern.block_size
    formed = 0.0 if pattern.scope == "compiled" else clusters
    added = n * m if horizontal else units * slices * m
    return np.array([
        1, n * m, added, units * slices, n * k, vectors * pattern.hashes * size, vectors * pattern.hashes,
        vectors, formed * size * m, formed * (size + m), n * k * m if horizontal else 0,
    ], float)  # fmt: skip


def kernel_family(kernel: str) -> str:
    """The kernel without the sizes that it was generated for: `reuse_pointers_s8_14x14…` is `reuse_pointers_s8`."""
    words = kernel.split("_")
    end = next((i for i, word in enumerate(words) if "x" in word and word.replace("x", "").isdigit()), len(words))
    return "_".join(words[:end])


@dataclass(frozen=True)
class Sample:
    """A simulated candidate: the kernel's family, the layer it belongs to, its counts and its cycles."""

    family: str
    layer: str
    counts: Vector
    cycles: float


@dataclass(frozen=True)
class LatencyModel:
    """Cycles as non-negative costs of counts, by kernel family."""

    costs: Mapping[str, Vector]

    @classmethod
    def fit(cls, samples: Sequence[Sample]) -> LatencyModel:
        """Non-negative least squares of relative errors, one for each family."""
        families = sorted({sample.family for sample in samples})
        return cls({family: _costs([s for s in samples if s.family == family]) for family in families})

    def predict(self, family: str, counts: Vector) -> float | None:
        """Cycles; None for a kernel of which nothing was simulated."""
        return float(counts @ self.costs[family]) if family in self.costs else None


def _costs(samples: Sequence[Sample]) -> Vector:
    """argmin_{c ≥ 0} Σ ((counts·c − cycles)/cycles)²; columns scaled to unit size."""
    a = np.array([sample.counts / sample.cycles for sample in samples])
    scale = np.linalg.norm(a, axis=0)
    scale[scale == 0] = 1.0
    found: Vector = nnls(a / scale, np.ones(len(a)))[0] / scale
    return found


def unseen_layer_errors(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """|predicted − simulated|/simulated by family, each layer predicted by a model of the other layers.

    Families with samples of fewer than three layers are left out: nothing could be said about an unseen one.
    """
    found: dict[str, list[float]] = {}
    for family in sorted({sample.family for sample in samples}):
        own = [sample for sample in samples if sample.family == family]
        layers = sorted({sample.layer for sample in own})
        if len(layers) < 3:
            continue
        for layer in layers:
            costs = _costs([s for s in own if s.layer != layer])
            found.setdefault(family, []).extend(
                abs(float(s.counts @ costs) - s.cycles) / s.cycles for s in own if s.layer == layer
            )
    return found


def summary(errors: Mapping[str, Sequence[float]]) -> dict[str, dict[str, Any]]:
    """Number, mean and largest error by family."""
    return {
        family: {"samples": len(found), "mean": float(np.mean(found)), "largest": float(np.max(found))}
        for family, found in errors.items()
    }
