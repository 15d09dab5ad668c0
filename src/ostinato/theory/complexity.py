"""Parameters and FLOPs as the papers count them: TREC Table 1, DR §III-B and §V-A, GR §4.2.

These formulas count a multiply-accumulate as one FLOP. `reuse.layer_cost` counts it as two, knows the layer's
geometry and sharing, and adds the work that the table leaves out; ratios of the two agree where they count alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.theory.checks import check_fraction, check_length, check_positive


@dataclass(frozen=True)
class Complexity:
    """A row of TREC Table 1: `parameters` (numbers) and `flops` (multiply-accumulates)."""

    parameters: int
    flops: float


def conventional_complexity(n: int, k: int, m: int) -> Complexity:
    """TREC Table 1, first row: K·M parameters, N·K·M FLOPs, for X of N×K and W of K×M (no bias).

    Raises:
        PatternError: if a size is not a positive integer.
    """
    check_positive(N=n, K=k, M=m)
    return Complexity(k * m, float(n * k * m))


def reuse_complexity(
    n: int, k: int, m: int, *, length: int, hashes: int, r_t: float, hash_matrices: int = 1
) -> Complexity:
    """TREC Table 1, second row: K·M + L·H parameters, (H/M + 1 − r_t)·N·K·M FLOPs.

    Args:
        n: N, rows of X (output pixels).
        k: K, columns of X.
        m: M, output channels.
        length: L, columns of a slice.
        hashes: H.
        r_t: redundancy ratio 1 − clusters/vectors.
        hash_matrices: hash matrices of L×H. The table has one, shared by all slices (`sharing="layer"`); hashes per
            slice have ⌈K/L⌉, per block C/L.

    Raises:
        PatternError: if a size is not a positive integer, L exceeds K, or r_t is not from 0 to 1.
    """
    conventional = conventional_complexity(n, k, m)
    check_length(length, k)
    check_positive(hashes=hashes, hash_matrices=hash_matrices)
    return Complexity(
        conventional.parameters + hash_matrices * length * hashes, flops_ratio(hashes, m, r_t) * conventional.flops
    )


def flops_ratio(hashes: int, m: int, r_t: float) -> float:
    """H/M + 1 − r_t: FLOPs under reuse over conventional ones (TREC Table 1; GR §4.2 with M = D_out).

    Raises:
        PatternError: if a size is not a positive integer or r_t not from 0 to 1.
    """
    check_positive(hashes=hashes, M=m)
    check_fraction(r_t=r_t)
    return hashes / m + 1.0 - r_t


def deep_reuse_ratio(hashes: int, m: int, r_c: float, *, length: int | None = None, reuse_rate: float = 0.0) -> float:
    """H/M + (1 − R)·r_c + 1/L: Deep Reuse's count over the conventional one.

    The first two terms are DR §III-B.1 and, with the rate R at which clusters of earlier batches are reused,
    §III-B.2; the last, the additions of recovery, is §III-B.3's for sub-vectors of length L.

    Args:
        hashes: H.
        m: M, output channels.
        r_c: remaining ratio, clusters/vectors.
        length: L; None for whole-vector clustering, which adds nothing up.
        reuse_rate: R, fraction of a batch's clusters that earlier batches had.

    Raises:
        PatternError: if a size is not a positive integer or a ratio not from 0 to 1.
    """
    check_positive(hashes=hashes, M=m)
    check_fraction(r_c=r_c, reuse_rate=reuse_rate)
    if length is None:
        return hashes / m + (1.0 - reuse_rate) * r_c
    check_positive(length=length)
    return hashes / m + (1.0 - reuse_rate) * r_c + 1.0 / length


def saves_computation(hashes: int, m: int, r_t: float) -> bool:
    """The key condition H < M·r_t (TREC §4.3), H/D_out < r_t (GR §4.2), H ≪ M·(1 − r_c) (DR §III-B.1).

    Necessary, not sufficient: it leaves out recovery's additions (1/L) and those that form centroids (1/M).

    Raises:
        PatternError: if a size is not a positive integer or r_t not from 0 to 1.
    """
    check_positive(hashes=hashes, M=m)
    check_fraction(r_t=r_t)
    return hashes < m * r_t


def break_even_redundancy(hashes: int, m: int, *, length: int | None = None) -> float:
    """The r_t above which reuse saves FLOPs: H/M, with `length` H/M + 1/L (recovery counted too, DR §III-B.3).

    Above 1 no redundancy suffices.

    Raises:
        PatternError: if a size is not a positive integer.
    """
    return deep_reuse_ratio(hashes, m, 0.0, length=length)
