"""Every pattern of GR §3 and DR §III-B against the naive reference."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from naive_reuse import conv_arguments, reuse_convolution, tensors
from pattern_space import every_pattern
from torch.nn import functional as F

from ostinato.errors import PatternError
from ostinato.reuse import (
    ConvGeometry,
    Pattern,
    ReuseStats,
    cluster_ids,
    quantised_columns,
    reuse_conv2d,
    weight_matrix,
)


def run(pattern, geometry, x, weight, bias, hash_vectors, thresholds, **more):
    return reuse_conv2d(x, weight, bias, hash_vectors, thresholds, pattern, **conv_arguments(geometry), **more)


def convolve(geometry, x, weight, bias):
    return F.conv2d(x, weight, bias, geometry.stride, geometry.padding, geometry.dilation)


def with_fields(pattern, **fields):
    return Pattern.from_dict({**pattern.to_dict(), **fields})


@settings(max_examples=400, deadline=None)
@given(every_pattern())
def test_every_pattern_is_the_equations(layer):
    pattern, geometry, *_ = layer
    operands = tensors(*layer)
    stats = ReuseStats()
    y = run(pattern, geometry, *operands, training=True, stats=stats)
    expected, clusters = reuse_convolution(*(t.numpy() for t in operands), pattern, geometry)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-10, atol=1e-10)
    assert stats.clusters == clusters
    assert stats.vectors == cluster_ids(operands[0], *operands[3:], geometry, pattern).numel()


@settings(max_examples=60, deadline=None)
@given(every_pattern(scopes=("compiled",), directions=("vertical",), clusterings=("lsh", "tree")))
def test_every_compiled_pattern_looks_centroids_up(layer):
    pattern, geometry, *_, seed = layer
    operands = tensors(*layer)
    shape = pattern.centroid_groups(geometry), pattern.ids
    generator = torch.Generator().manual_seed(seed)
    centroids = torch.randn(*shape, pattern.block_size, dtype=torch.float64, generator=generator)
    y = run(pattern, geometry, *operands, centroids=centroids, counts=torch.ones(shape, dtype=torch.float64))
    expected, _ = reuse_convolution(*(t.numpy() for t in operands), pattern, geometry, centroids.numpy())
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=60, deadline=None)
@given(every_pattern(scopes=("image", "batch")))
def test_every_patterns_quantised_columns_times_weights_are_the_output(layer):
    pattern, geometry, *_ = layer
    x, weight, bias, hash_vectors, thresholds = tensors(*layer)
    columns = quantised_columns(x, hash_vectors, thresholds, geometry, pattern)
    y = run(pattern, geometry, x, weight, bias, hash_vectors, thresholds)
    product = (columns @ weight_matrix(weight, pattern.order) + bias).transpose(1, 2).reshape(y.shape)
    torch.testing.assert_close(product, y)


@settings(max_examples=60, deadline=None)
@given(every_pattern(scopes=("image",)))
def test_on_one_image_batch_scope_is_image_scope_for_every_pattern(layer):
    pattern, geometry, size, _, seed = layer
    operands = tensors(pattern, geometry, size, 1, seed)
    batch = with_fields(pattern, scope="batch")
    assert torch.equal(run(pattern, geometry, *operands), run(batch, geometry, *operands))


@settings(max_examples=40, deadline=None)
@given(every_pattern(scopes=("image",), directions=("vertical",)))
def test_image_scope_keeps_the_mean_of_each_channel_up_to_the_place_within_a_block(layer):
    """Errors cancel over the blocks, one row of a block at a time; rows that fill no block have none (DESIGN §5.8)."""
    pattern, geometry, *_ = layer
    operands = tensors(*layer)
    error = run(pattern, geometry, *operands) - convolve(geometry, *operands[:3])
    torch.testing.assert_close(error.mean((2, 3)), torch.zeros_like(error[:, :, 0, 0]), rtol=0, atol=1e-9)


def test_a_block_of_two_images_is_grs_third_pattern():
    """GR Fig. 4: b innermost, so that a block is the same place in two images."""
    geometry, pattern = ConvGeometry(1, 1, 1), Pattern(1, 1, "kh.kw.c", "batch", block_rows=2, row_order="oh.ow.b")
    x = torch.tensor([[1.0, -2.0], [3.0, 5.0]], dtype=torch.float64).reshape(2, 1, 1, 2)
    sees_the_second_image = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
    columns = quantised_columns(x, sees_the_second_image, torch.full((1, 1), 1.0).double(), geometry, pattern)
    assert columns.flatten().tolist() == [-0.5, -0.5, 4.0, 4.0]  # both blocks (1, 3) and (-2, 5) have bit 1


def test_horizontal_reuse_is_grs_example():
    """GR §3.4: similar columns a and b of a panel, c = (a + b)/2, c·(w_j + w_k)."""
    x = torch.tensor([[1.0, 2.0, -5.0], [3.0, 5.0, -1.0]], dtype=torch.float64)  # two output pixels, three channels
    pattern = Pattern(1, 1, direction="horizontal", block_rows=2, sharing="layer")
    weight = torch.tensor([[10.0, 1.0, 7.0]], dtype=torch.float64).reshape(1, 3, 1, 1)
    plane = torch.tensor([[[1.0], [1.0]]], dtype=torch.float64)
    y = reuse_conv2d(x.T.reshape(1, 3, 2, 1), weight, None, plane, torch.zeros(1, 1).double(), pattern)
    c = (x[:, 0] + x[:, 1]) / 2
    torch.testing.assert_close(y.flatten(), c * (10 + 1) + x[:, 2] * 7)


def test_angular_similarity_does_not_see_a_vectors_length_and_euclidean_does():
    geometry = ConvGeometry(2, 1, 1)
    x = torch.tensor([[1.0, 1.0], [10.0, 9.0], [10.0, 0.0], [1.0, 0.1]], dtype=torch.float64).T.reshape(1, 2, 2, 2)
    scaled = x * torch.tensor([1.0, 0.01, 3.0, 20.0]).double().reshape(1, 1, 2, 2)
    plane, threshold = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64), torch.full((1, 1), 0.5).double()

    def ids(images, **fields):
        return cluster_ids(images, plane, threshold, geometry, Pattern(2, 1, **fields)).flatten().tolist()

    assert ids(x, similarity="angular") == ids(scaled, similarity="angular") == [1, 1, 0, 0]
    assert ids(x) == [1, 1, 0, 0]
    assert ids(scaled) == [1, 0, 0, 1]


@pytest.mark.parametrize("clustering", ["kmeans", "hypercube"])
def test_separate_groups_of_vectors_are_found(clustering):
    geometry = ConvGeometry(2, 1, 1)
    generator = torch.Generator().manual_seed(0)
    corner = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]]).repeat(9, 1)
    x = (corner + 0.1 * torch.rand(36, 2, generator=generator)).T.reshape(1, 2, 6, 6)
    pattern = Pattern(2, 2, clustering=clustering, gradient="frozen", bins=2, seed=0)
    ids = cluster_ids(x, torch.zeros(1, 2, 0), torch.zeros(1, 0), geometry, pattern).flatten()
    assert len(set(ids.tolist())) == 4
    assert all(len(set(ids[k::4].tolist())) == 1 for k in range(4))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"block_rows": 37}, r"'conv1': blocks of 37 rows.*36 output pixels of one image.*1 to 36"),
        ({"block_rows": 2, "row_order": "b.oh:7.ow"}, r"'conv1': row_order b.oh:7.ow has tiles of 7.*oh, which has 6"),
        ({"block_rows": 73, "scope": "batch"}, r"73 rows.*72 output pixels of one batch of 2"),
    ],
)
def test_blocks_that_do_not_fit_into_the_output_are_refused_with_the_numbers(fields, words):
    geometry, pattern = ConvGeometry(3, 2, 3), Pattern(9, 2, **fields)
    with pytest.raises(PatternError, match=words):
        run(pattern, geometry, *tensors(pattern, geometry, (8, 8), 2, 0), layer_name="conv1")
