"""FLOPs of a layer with and without reuse (TREC §4.3 and Table 1, with the terms that the table leaves out)."""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.errors import PatternError
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.pattern import Pattern


@dataclass(frozen=True)
class LayerCost:
    """FLOPs for one image; a multiply-accumulate is two, an addition one.

    Attributes:
        conventional: 2·N·K·M.
        hashing: 2·H·L for each vector hashed (a vector meets H of a tree's planes): TREC's N·K·H, less where ids
            exist once per input pixel and block.
        gathering: additions that form centroids, one per element of X; none in compiled scope.
        gemm: 2·N_c·L·M summed over slices, r_c of the conventional; none in compiled scope, where tables hold it.
        recovery: additions of M results per output pixel and slice but the first.
    """

    conventional: int
    hashing: int
    gathering: int
    gemm: float
    recovery: int

    @property
    def total(self) -> float:
        """FLOPs of the layer under reuse."""
        return self.hashing + self.gathering + self.gemm + self.recovery

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
        r_c: measured remaining ratio, clusters/vectors, in the pattern's scope; not needed in compiled scope.

    Raises:
        PatternError: if `r_c` is needed and missing, or not from 0 to 1.
    """
    compiled = pattern.scope == "compiled"
    if not compiled and (r_c is None or not 0.0 <= r_c <= 1.0):
        raise PatternError(f"the cost of {pattern.scope} scope needs a remaining ratio r_c from 0 to 1, not {r_c!r}")
    rows, columns = geometry.output_size(height, width)
    n, k, m = rows * columns, geometry.K, geometry.out_channels
    hashed = n * k
    if pattern.sharing == "block":  # each pixel's blocks once, the padding's constant ids not at all
        hashed = height * width * geometry.in_channels
    return LayerCost(
        conventional=2 * n * k * m,
        hashing=2 * pattern.hashes * hashed,
        gathering=0 if compiled else n * k,
        gemm=0.0 if compiled or r_c is None else 2.0 * r_c * n * k * m,
        recovery=n * m * (pattern.slices(geometry) - 1),
    )
