"""FLOPs of a layer with and without reuse (TREC §4.3 and Table 1, with the terms that the table leaves out)."""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.errors import PatternError
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.panel_clustering import LLOYD_ROUNDS
from ostinato.reuse.pattern import Pattern


@dataclass(frozen=True)
class LayerCost:
    """FLOPs for one image; a multiply-accumulate is two, an addition one.

    Attributes:
        conventional: 2·N·K·M.
        hashing: 2·H·b·L for each block hashed (a block meets H of a tree's planes): TREC's N·K·H, less where ids exist
            once per input pixel and channel block. What k-means and hyper-cube do instead.
        gathering: additions that form centroids, one per element of X; none in compiled scope, nor across batches
            where a first vector stands for its cluster.
        gemm: 2·N_c·L·M summed over slices, r_c of the conventional, and what fills no block; none in compiled scope,
            where tables hold it.
        recovery: additions of M results per output pixel and slice but the first; none in horizontal direction.
        summing: additions of weight rows by cluster in every panel (horizontal direction).
    """

    conventional: int
    hashing: int
    gathering: int
    gemm: float
    recovery: int
    summing: float = 0.0

    @property
    def total(self) -> float:
        """FLOPs of the layer under reuse."""
        return self.hashing + self.gathering + self.gemm + self.recovery + self.summing

    @property
    def flops_remaining(self) -> float:
        """Total over conventional."""
        return self.total / self.conventional

    @property
    def table1(self) -> float:
        """What TREC Table 1 counts: hashing and GEMM only, over conventional: H/M + 1 − r_t."""
        return (self.hashing + self.gemm) / self.conventional


def layer_cost(
    geometry: ConvGeometry, pattern: Pattern, height: int, width: int, r_c: float | None = None
) -> LayerCost:
    """FLOPs of one image of `height` × `width` through a layer.

    Args:
        geometry: of the layer.
        pattern: its reuse pattern.
        height: of the input.
        width: of the input.
        r_c: measured remaining ratio, clusters/vectors, in the pattern's scope (across batches: clusters that had to be
            computed, DR's (1 − R)·r_c); not needed in compiled scope.

    Raises:
        PatternError: if `r_c` is needed and missing, or not from 0 to 1.
    """
    compiled = pattern.scope == "compiled"
    if not compiled and (r_c is None or not 0.0 <= r_c <= 1.0):
        raise PatternError(f"the cost of {pattern.scope} scope needs a remaining ratio r_c from 0 to 1, not {r_c!r}")
    rows, columns = geometry.output_size(height, width)
    n, k, m = rows * columns, geometry.K, geometry.out_channels
    b, horizontal = pattern.block_rows, pattern.direction == "horizontal"
    reused = n * (k // pattern.length * pattern.length) if horizontal else n // b * b * k
    hashed = reused
    if pattern.sharing == "block" and b == 1:  # each pixel's blocks once, the padding's constant ids not at all
        hashed = height * width * geometry.in_channels
    share = 0.0 if compiled or r_c is None else r_c
    first = pattern.scope == "across_batches" and pattern.representative == "first"
    return LayerCost(
        conventional=2 * n * k * m,
        hashing=_hashing(pattern, hashed),
        gathering=0 if compiled or first else reused,
        gemm=2.0 * (share * reused + n * k - reused) * m,
        recovery=0 if horizontal else n // b * b * m * (pattern.slices(geometry) - 1),
        summing=-(-n // b) * reused // n * m * (1.0 - share) if horizontal else 0.0,
    )


def _hashing(pattern: Pattern, values: int) -> int:
    """FLOPs that find the ids of blocks with `values` in all; comparisons count, square roots do not."""
    normalising = 3 * values if pattern.similarity == "angular" else 0
    if pattern.clustering == "kmeans":  # distances to all centres, and but for the last time their means
        return normalising + (LLOYD_ROUNDS + 1) * 2 * pattern.ids * values + LLOYD_ROUNDS * values
    if pattern.clustering == "hypercube":  # ranges, then three operations for each digit
        return normalising + 2 * values + 3 * pattern.hashes * -(-values // pattern.block_size)
    return normalising + 2 * pattern.hashes * values
