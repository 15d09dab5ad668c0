import numpy as np
import pytest
import torch
from hypothesis import given, settings
from naive_reuse import columns_of, layers, tensors
from torch.nn import functional as F

from ostinato.errors import PatternError
from ostinato.reuse import ConvGeometry, col2im, column_indices, im2col, weight_from_matrix, weight_matrix
from ostinato.reuse.views import whole_slices


@pytest.mark.parametrize(
    "fields",
    [
        {"in_channels": 0},
        {"out_channels": 1.5},
        {"kernel_size": 0},
        {"kernel_size": (3, 3, 3)},
        {"stride": 0},
        {"padding": -1},
        {"dilation": (1, 0)},
        {"padding": "same"},
    ],
)
def test_nonsense_is_refused(fields):
    with pytest.raises(PatternError):
        ConvGeometry(**{"in_channels": 3, "out_channels": 4, "kernel_size": 3, **fields})


def test_single_integers_stand_for_both_axes():
    assert ConvGeometry(3, 4, 5, 2, 1, 1) == ConvGeometry(3, 4, (5, 5), (2, 2), (1, 1), (1, 1))


def test_a_kernel_larger_than_the_image_is_refused():
    with pytest.raises(PatternError, match="4×9"):
        ConvGeometry(1, 1, 5).output_size(4, 9)


def test_slices_cover_all_columns_once():
    geometry = ConvGeometry(3, 4, 3)
    assert geometry.slices(10) == [(0, 10), (10, 20), (20, 27)]
    assert geometry.slices(27) == [(0, 27)]


@settings(max_examples=40, deadline=None)
@given(layers())
def test_im2col_is_the_naive_one_and_col2im_its_adjoint(layer):
    pattern, geometry, size, batch, seed = layer
    x, weight, bias, *_ = tensors(pattern, geometry, size, batch, seed)
    columns = im2col(x, geometry, pattern.order)
    expected, axes, _ = columns_of(x.numpy(), geometry, pattern.order)
    np.testing.assert_array_equal(columns.numpy(), expected)
    np.testing.assert_array_equal(column_indices(geometry, pattern.order), np.array(axes))
    other = torch.randn(columns.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    adjoint = col2im(other, geometry, pattern.order, size)
    torch.testing.assert_close((columns * other).sum(), (x * adjoint).sum())

    matrix = weight_matrix(weight, pattern.order)
    assert torch.equal(weight_from_matrix(matrix, geometry, pattern.order), weight)
    y = (columns @ matrix + bias).transpose(1, 2).reshape(batch, -1, *geometry.output_size(*size))
    convolution = F.conv2d(x, weight, bias, geometry.stride, geometry.padding, geometry.dilation)
    torch.testing.assert_close(y, convolution)


@pytest.mark.parametrize("order", ["kh.kw.c", "c.kh.kw"])
def test_im2col_passes_gradcheck(order):
    geometry = ConvGeometry(2, 1, (2, 3), (2, 1), (1, 2), (1, 2))
    x = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: im2col(t, geometry, order), (x,))


def test_whole_slices_appends_zeros_only_where_needed():
    matrix = torch.ones(2, 5)
    assert whole_slices(matrix, 5, 1) is matrix
    padded = whole_slices(matrix, 3, 1)
    assert padded.shape == (2, 6)
    assert torch.equal(padded[:, :5], matrix)
    assert not padded[:, 5].any()
