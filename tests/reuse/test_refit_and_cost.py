import pytest
import torch

from ostinato.errors import ModelError, PatternError
from ostinato.reuse import ConvGeometry, LeastSquares, Pattern, layer_cost


def data(rows=200, columns=7, outputs=3):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    y = torch.randn(rows, outputs, generator=generator, dtype=torch.float64)
    return x, y


def test_a_refit_without_ridge_is_least_squares():
    x, y = data()
    problem = LeastSquares(7, 3)
    for start in range(0, 200, 60):
        problem.add(x[start : start + 60], y[start : start + 60])
    weights, bias = problem.solve(torch.ones(7, 3, dtype=torch.float64), ridge=0.0)
    expected = torch.linalg.lstsq(torch.cat([x, torch.ones(200, 1)], 1), y).solution
    torch.testing.assert_close(weights, expected[:-1])
    torch.testing.assert_close(bias, expected[-1], rtol=1e-6, atol=1e-6)


def test_a_refit_recovers_an_exact_linear_layer_and_leaves_a_perfect_one_alone():
    x, _ = data()
    truth, offset = torch.randn(7, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    problem = LeastSquares(7, 3)
    problem.add(x, x @ truth + offset)
    weights, bias = problem.solve(torch.zeros(7, 3, dtype=torch.float64), ridge=1e-9)
    torch.testing.assert_close(weights, truth, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(bias, offset, rtol=1e-5, atol=1e-5)
    weights, _ = problem.solve(truth, ridge=10.0)
    torch.testing.assert_close(weights, truth)


def test_what_the_data_do_not_determine_stays_as_it_was():
    x, y = data()
    x[:, 4] = 0  # an id block that never occurs
    problem = LeastSquares(7, 3)
    problem.add(x, y)
    start = torch.randn(7, 3, dtype=torch.float64)
    weights, _ = problem.solve(start)
    torch.testing.assert_close(weights[4], start[4])
    assert (weights[0] - start[0]).abs().max() > 0.1


def test_without_intercept_there_is_no_bias():
    x, y = data()
    problem = LeastSquares(7, 3, intercept=False)
    problem.add(x, y)
    weights, bias = problem.solve(torch.zeros(7, 3, dtype=torch.float64), ridge=0.0)
    assert bias is None
    torch.testing.assert_close(weights, torch.linalg.lstsq(x, y).solution)


def test_a_refit_without_data_is_refused():
    with pytest.raises(ModelError, match="at least one"):
        LeastSquares(7, 3).solve(torch.zeros(7, 3))


def test_more_columns_than_rows_is_solved_by_the_ridge():
    x, y = data(rows=5)
    problem = LeastSquares(7, 3)
    problem.add(x, y)
    weights, bias = problem.solve(torch.zeros(7, 3, dtype=torch.float64))
    assert torch.isfinite(weights).all()
    assert (x @ weights + bias - y).norm() < 0.1 * y.norm()


GEOMETRY = ConvGeometry(64, 64, (5, 5))


def test_cost_of_image_scope_is_tables_1_formula_plus_the_additions_it_leaves_out():
    pattern, r_c = Pattern(16, 4), 0.3
    cost = layer_cost(GEOMETRY, pattern, 14, 14, r_c)
    n, k, m = 100, 1600, 64
    assert cost.conventional == 2 * n * k * m
    assert cost.table1 == pytest.approx(4 / 64 + r_c)
    assert cost.gathering == n * k
    assert cost.recovery == n * m * 99
    assert cost.flops_remaining == pytest.approx(cost.table1 + (n * k + n * m * 99) / cost.conventional)


def test_compiled_scope_has_no_product_and_blocks_hash_each_pixel_once():
    per_slice = layer_cost(GEOMETRY, Pattern(16, 4, scope="compiled"), 14, 14)
    per_block = layer_cost(GEOMETRY, Pattern(16, 4, scope="compiled", sharing="block"), 14, 14)
    assert per_slice.gemm == per_block.gemm == per_block.gathering == 0
    assert per_slice.hashing == 2 * 4 * 100 * 1600
    assert per_block.hashing == 2 * 4 * 14 * 14 * 64
    assert per_block.flops_remaining < per_slice.flops_remaining < 1


def test_a_vector_meets_only_h_of_a_trees_planes():
    tree = Pattern(16, 4, sharing="block", scope="compiled", clustering="tree", init="pca", gradient="frozen")
    assert layer_cost(GEOMETRY, tree, 14, 14) == layer_cost(
        GEOMETRY, Pattern(16, 4, sharing="block", scope="compiled"), 14, 14
    )


def test_blocks_have_the_cost_of_vectors_but_for_the_rows_that_fill_none():
    vectors, blocks = (layer_cost(GEOMETRY, Pattern(16, 4, block_rows=b), 14, 14, 0.3) for b in (1, 3))
    n, k, m, full = 100, 1600, 64, 99
    assert blocks.hashing == vectors.hashing * full // n
    assert blocks.gemm == pytest.approx(2 * (0.3 * full + 1) * k * m)
    assert blocks.recovery == full * m * 99


def test_horizontal_reuse_sums_weights_and_recovers_nothing():
    """GR §3.4 with K = 1600 columns of l = 7 rows: 15 panels of 100 rows."""
    pattern = Pattern(1, 4, direction="horizontal", sharing="layer", block_rows=7)
    cost = layer_cost(GEOMETRY, pattern, 14, 14, 0.25)
    assert cost.gemm == pytest.approx(0.25 * cost.conventional)
    assert cost.summing == 15 * 1600 * 0.75 * 64
    assert cost.recovery == 0
    assert cost.total == cost.hashing + cost.gathering + cost.gemm + cost.summing


def test_kmeans_costs_more_than_it_saves_as_deep_reuse_says():
    kmeans = layer_cost(GEOMETRY, Pattern(16, 4, clustering="kmeans", gradient="frozen"), 14, 14, 0.1)
    assert kmeans.total > kmeans.conventional
    cube = layer_cost(GEOMETRY, Pattern(16, 4, clustering="hypercube", gradient="frozen"), 14, 14, 0.1)
    assert cube.hashing < layer_cost(GEOMETRY, Pattern(16, 4), 14, 14, 0.1).hashing


def test_a_first_vector_needs_no_additions_to_stand_for_its_cluster():
    def gathering(representative):
        pattern = Pattern(16, 4, scope="across_batches", representative=representative)
        return layer_cost(GEOMETRY, pattern, 14, 14, 0.1).gathering

    assert gathering("first") == 0
    assert gathering("mean") == 100 * 1600


def test_cost_needs_a_remaining_ratio_that_is_one():
    for r_c in (None, -0.1, 1.1, float("nan")):
        with pytest.raises(PatternError, match="r_c"):
            layer_cost(GEOMETRY, Pattern(16, 4), 14, 14, r_c)


def test_columns_of_a_few_constants_are_solved_however_close_to_singular():
    # Quantised columns of an untrained network: each takes one or two values, and together they span the constant.
    x = torch.randn(40, 3)[torch.randint(0, 40, (2000,))].repeat(1, 60) + 100.0
    y = torch.randn(2000, 4)
    problem = LeastSquares(180, 4)
    problem.add(x, y)
    weights, bias = problem.solve(torch.zeros(180, 4))
    assert torch.isfinite(weights).all()
    assert (x @ weights + bias - y).var() < 1.05 * y.var()
