import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato import theory
from ostinato.errors import PatternError
from ostinato.nn import ReuseConv2d
from ostinato.reuse import ConvGeometry, Pattern, layer_cost

sizes = st.integers(1, 200)
ratios = st.floats(0.0, 1.0)


@st.composite
def layers(draw):
    """A geometry, an input size, a pattern without block sharing, and r_t."""
    geometry = ConvGeometry(draw(st.integers(1, 32)), draw(st.integers(1, 64)), draw(st.integers(1, 5)))
    side = draw(st.integers(geometry.kernel_size[0], 20))
    pattern = Pattern(draw(st.integers(1, geometry.K)), draw(st.integers(1, 16)))
    return geometry, side, pattern, draw(ratios)


@settings(deadline=None)
@given(layers())
def test_table_1_is_what_layer_cost_counts_of_it(layer):
    geometry, side, pattern, r_t = layer
    cost = layer_cost(geometry, pattern, side, side, r_c=1 - r_t)
    n, k, m = geometry.output_size(side, side)[0] ** 2, geometry.K, geometry.out_channels
    dense = theory.conventional_complexity(n, k, m)
    reuse = theory.reuse_complexity(n, k, m, length=pattern.length, hashes=pattern.hashes, r_t=r_t)
    assert dense.flops == geometry.macs(side, side) == cost.conventional / 2
    assert reuse.flops == pytest.approx((cost.hashing + cost.gemm) / 2)
    assert reuse.flops / dense.flops == pytest.approx(cost.table1)
    assert theory.flops_ratio(pattern.hashes, m, r_t) == pytest.approx(cost.table1)


@pytest.mark.parametrize("sharing", ["layer", "slice", "block"])
def test_parameters_are_those_of_the_layer(sharing):
    geometry, pattern = ConvGeometry(8, 6, 3), Pattern(4, 3, sharing=sharing)
    layer = ReuseConv2d(geometry, pattern, bias=False)
    matrices = {"layer": 1, "slice": 72 // 4, "block": 8 // 4}[sharing]
    counted = theory.reuse_complexity(10, 72, 6, length=4, hashes=3, r_t=0.5, hash_matrices=matrices)
    assert counted.parameters == layer.weight.numel() + layer.hash_vectors.numel()
    assert theory.conventional_complexity(10, 72, 6).parameters == layer.weight.numel()


@settings(deadline=None)
@given(layers())
def test_the_key_condition_says_when_table_1_is_below_the_conventional(layer):
    geometry, _, pattern, r_t = layer
    m = geometry.out_channels
    if abs(pattern.hashes / m - r_t) > 1e-9:  # at equality, rounding decides
        assert theory.saves_computation(pattern.hashes, m, r_t) == (theory.flops_ratio(pattern.hashes, m, r_t) < 1)
        assert theory.saves_computation(pattern.hashes, m, r_t) == (
            r_t > theory.break_even_redundancy(pattern.hashes, m)
        )


def test_the_key_condition_is_not_sufficient():
    """With slices of two columns, recovery's additions alone are half the conventional multiply-accumulates."""
    geometry, pattern = ConvGeometry(8, 16, 3), Pattern(2, 4)
    assert theory.saves_computation(4, 16, r_t=0.4)
    assert layer_cost(geometry, pattern, 12, 12, r_c=0.6).flops_remaining > 1
    assert theory.deep_reuse_ratio(4, 16, 0.6, length=2) > 1
    assert theory.break_even_redundancy(4, 16, length=2) == pytest.approx(4 / 16 + 1 / 2)


@settings(deadline=None)
@given(sizes, sizes, ratios, st.integers(1, 200), ratios)
def test_deep_reuse_counts_table_1_recovery_and_reused_clusters(hashes, m, r_c, length, rate):
    whole = theory.deep_reuse_ratio(hashes, m, r_c)
    assert whole == pytest.approx(theory.flops_ratio(hashes, m, 1 - r_c))
    assert theory.deep_reuse_ratio(hashes, m, r_c, length=length) == pytest.approx(whole + 1 / length)
    saved = whole - theory.deep_reuse_ratio(hashes, m, r_c, reuse_rate=rate)
    assert saved == pytest.approx(rate * r_c, rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(layers())
def test_deep_reuses_recovery_is_that_of_layer_cost(layer):
    """The paper adds S results to zero, we the S − 1 further ones; and its S is K/L, ragged or not."""
    geometry, side, pattern, r_t = layer
    cost = layer_cost(geometry, pattern, side, side, r_c=1 - r_t)
    slices = pattern.slices(geometry)
    positions = geometry.output_size(side, side)[0] ** 2
    assert cost.recovery == positions * geometry.out_channels * (slices - 1)
    if geometry.K % pattern.length == 0:
        counted = (1 / pattern.length) * positions * geometry.K * geometry.out_channels
        assert cost.recovery == pytest.approx(counted * (slices - 1) / slices)


def test_nonsense_is_refused():
    with pytest.raises(PatternError, match="r_t must be from 0 to 1"):
        theory.flops_ratio(4, 64, 1.5)
    with pytest.raises(PatternError, match="M must be a positive integer, not 0"):
        theory.saves_computation(4, 0, 0.5)
    with pytest.raises(PatternError, match=r"length 21 are longer.*K = 20"):
        theory.reuse_complexity(10, 20, 6, length=21, hashes=3, r_t=0.5)
    with pytest.raises(PatternError, match="reuse_rate"):
        theory.deep_reuse_ratio(4, 64, 0.5, reuse_rate=float("nan"))
