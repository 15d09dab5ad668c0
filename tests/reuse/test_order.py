import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_reuse import columns_of, places
from pattern_space import geometries, orders

from ostinato.errors import PatternError
from ostinato.reuse import col2im, column_indices, im2col, weight_from_matrix, weight_matrix
from ostinato.reuse.order import COLUMN_AXES, format_order, parse_order, permutation


@given(orders({"c": 5, "kh": 3, "kw": 4}))
def test_an_order_prints_as_it_was_read(text):
    assert format_order(parse_order(text, COLUMN_AXES)) == text


@given(orders({"c": 5, "kh": 3, "kw": 4}))
def test_a_permutation_is_the_loops_that_the_order_spells(text):
    sizes = {"c": 5, "kh": 3, "kw": 4}
    expected = [np.ravel_multi_index([p[a] for a in sizes], (5, 3, 4)) for p in places(text, **sizes)]
    assert permutation(parse_order(text, COLUMN_AXES), COLUMN_AXES, (5, 3, 4)).tolist() == expected


def test_tiles_of_channels_are_outside_and_their_channels_innermost():
    order = parse_order("c:2.kh.kw", COLUMN_AXES)
    found = permutation(order, COLUMN_AXES, (3, 1, 2))  # c.kh.kw places: c0 = 0, 1; c1 = 2, 3; c2 = 4, 5
    assert found.tolist() == [0, 2, 1, 3, 4, 5]


def test_tiling_both_kernel_axes_gives_tiles_of_the_kernel():
    order = parse_order("kh:2.kw:2.c", COLUMN_AXES)
    found = permutation(order, ("kh", "kw", "c"), (4, 4, 1))
    assert found.tolist()[:8] == [0, 1, 4, 5, 2, 3, 6, 7]


@settings(max_examples=60, deadline=None)
@given(geometries(), st.data())
def test_every_orders_im2col_is_the_naive_one_and_col2im_its_adjoint(layer, data):
    geometry, size = layer
    order = data.draw(orders({"c": geometry.in_channels, "kh": geometry.kernel_size[0], "kw": geometry.kernel_size[1]}))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, geometry.in_channels, *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(3, geometry.in_channels, *geometry.kernel_size, generator=generator, dtype=torch.float64)
    columns = im2col(x, geometry, order)
    expected, axes, _ = columns_of(x.numpy(), geometry, order)
    np.testing.assert_array_equal(columns.numpy(), expected)
    np.testing.assert_array_equal(column_indices(geometry, order), np.array(axes))
    other = torch.randn(columns.shape, generator=generator, dtype=torch.float64)
    torch.testing.assert_close((columns * other).sum(), (x * col2im(other, geometry, order, size)).sum())
    matrix = weight_matrix(weight, order)
    assert matrix.tolist() == [[float(weight[m, c, i, j]) for m in range(3)] for c, i, j in axes]
    assert torch.equal(weight_from_matrix(matrix, geometry, order), weight)


@pytest.mark.parametrize("text", ["", "c", "c.kh.kw.c", "c kh kw", "C.KH.KW", "c:x.kh.kw", "c:-2.kh.kw", "c:2:2.kh.kw"])
def test_other_spellings_are_refused(text):
    with pytest.raises(PatternError, match="a pattern's order"):
        parse_order(text, COLUMN_AXES)
