import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_reuse import conv_arguments, layers, reuse_convolution, tensors
from torch.nn import functional as F

from ostinato.errors import ModelError, PatternError
from ostinato.reuse import ConvGeometry, Pattern, ReuseStats, cluster_ids, quantised_columns, reuse_conv2d


def run(pattern, geometry, x, weight, bias, hash_vectors, thresholds, **more):
    return reuse_conv2d(x, weight, bias, hash_vectors, thresholds, pattern, **conv_arguments(geometry), **more)


def convolve(geometry, x, weight, bias):
    return F.conv2d(x, weight, bias, geometry.stride, geometry.padding, geometry.dilation)


@settings(max_examples=120, deadline=None)
@given(layers())
def test_forward_is_the_equations(layer):
    pattern, geometry, *_ = layer
    operands = tensors(*layer)
    stats = ReuseStats()
    y = run(pattern, geometry, *operands, training=True, stats=stats)
    expected, clusters = reuse_convolution(*(t.numpy() for t in operands), pattern, geometry)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-9, atol=1e-9)
    assert stats.clusters == clusters
    assert stats.vectors == cluster_ids(operands[0], *operands[3:], geometry, pattern).numel()
    assert stats.r_t == pytest.approx(1 - clusters / stats.vectors)


@settings(max_examples=60, deadline=None)
@given(layers(scopes=("compiled",)))
def test_compiled_evaluation_looks_centroids_up(layer):
    pattern, geometry, *_, seed = layer
    operands = tensors(*layer)
    shape = pattern.centroid_groups(geometry), pattern.ids
    generator = torch.Generator().manual_seed(seed)
    centroids = torch.randn(*shape, pattern.length, dtype=torch.float64, generator=generator)
    counts = torch.randint(0, 2, shape, generator=generator).double()
    stats = ReuseStats()
    y = run(pattern, geometry, *operands, centroids=centroids, counts=counts, stats=stats)
    expected, clusters = reuse_convolution(*(t.numpy() for t in operands), pattern, geometry, centroids.numpy())
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-9, atol=1e-9)
    ids = cluster_ids(operands[0], *operands[3:], geometry, pattern)
    assert stats.unseen == int((counts[torch.arange(shape[0]), ids] == 0).sum())
    assert stats.clusters == clusters


@settings(max_examples=40, deadline=None)
@given(layers())
def test_quantised_columns_times_weights_is_the_output(layer):
    pattern, geometry, *_, seed = layer
    x, weight, bias, hash_vectors, thresholds = tensors(*layer)
    centroids = counts = None
    if pattern.scope == "compiled":
        shape = pattern.centroid_groups(geometry), pattern.ids
        generator = torch.Generator().manual_seed(seed)
        centroids = torch.randn(*shape, pattern.length, dtype=torch.float64, generator=generator)
        counts = torch.ones(shape, dtype=torch.float64)
    columns = quantised_columns(x, hash_vectors, thresholds, geometry, pattern, centroids)
    rows = weight if pattern.order == "c.kh.kw" else weight.permute(0, 2, 3, 1)
    product = (columns @ rows.flatten(1).T + bias).transpose(1, 2)
    y = run(pattern, geometry, x, weight, bias, hash_vectors, thresholds, centroids=centroids, counts=counts)
    torch.testing.assert_close(product.reshape(y.shape), y)


def test_the_papers_example_of_averaging():
    """TREC Eq. 3.6: rows 0, 2, 3 form one cluster, row 1 another."""
    x1 = torch.tensor([[1.0, 2, 3], [0, 0, 1], [0, 2, 1], [1, 3, 2]], dtype=torch.float64)
    image = x1.T.reshape(1, 3, 2, 2)
    pattern, geometry = Pattern(3, 2), ConvGeometry(3, 1, 1)
    hash_vectors = torch.tensor([[[0.0, 0], [1, 2], [0, 0]]], dtype=torch.float64)  # sees the second column only
    thresholds = torch.zeros(1, 2, dtype=torch.float64)
    assert cluster_ids(image, hash_vectors, thresholds, geometry, pattern).flatten().tolist() == [3, 0, 3, 3]
    rows = quantised_columns(image, hash_vectors, thresholds, geometry, pattern)[0]
    big = [2 / 3, 7 / 3, 2.0]
    torch.testing.assert_close(rows, torch.tensor([big, [0, 0, 1], big, big], dtype=torch.float64))


@pytest.mark.parametrize("order", ["kh.kw.c", "c.kh.kw"])
@pytest.mark.parametrize("scope", ["image", "batch"])
def test_distinct_vectors_give_the_convolution(order, scope):
    geometry = ConvGeometry(4, 5, (3, 3))
    pattern = Pattern(12, 16, order, scope)
    operands = list(tensors(pattern, geometry, (5, 5), 2, 0))
    operands[4] *= 0
    stats = ReuseStats()
    y = run(pattern, geometry, *operands, stats=stats)
    assert stats.clusters == stats.vectors  # what the test is about: no two vectors share an id
    torch.testing.assert_close(y, convolve(geometry, *operands[:3]))


@settings(max_examples=30, deadline=None)
@given(layers())
def test_equal_vectors_form_one_cluster_and_give_the_convolution(layer):
    pattern, geometry, size, batch, seed = layer
    geometry = ConvGeometry(
        geometry.in_channels, geometry.out_channels, geometry.kernel_size, geometry.stride, 0, geometry.dilation
    )
    operands = list(tensors(pattern, geometry, size, batch, seed))
    operands[0] = operands[0][:1, :, :1, :1].expand(batch, -1, *size).contiguous()
    stats = ReuseStats()
    y = run(pattern, geometry, *operands, training=True, stats=stats)
    slices = cluster_ids(operands[0], *operands[3:], geometry, pattern).shape[2]
    assert stats.clusters == slices * (batch if pattern.scope == "image" else 1)
    torch.testing.assert_close(y, convolve(geometry, *operands[:3]))


@settings(max_examples=30, deadline=None)
@given(layers(), st.randoms(use_true_random=False))
def test_permuting_images_permutes_outputs(layer, random):
    pattern, geometry, size, _, seed = layer
    x, *rest = tensors(pattern, geometry, size, 4, seed)
    order = list(range(4))
    random.shuffle(order)
    y = run(pattern, geometry, x, *rest, training=True)
    torch.testing.assert_close(run(pattern, geometry, x[order], *rest, training=True), y[order])


@pytest.mark.parametrize("scope", ["image", "batch", "compiled"])
def test_permuting_pixels_permutes_the_outputs_of_a_1x1_convolution(scope):
    pattern, geometry = Pattern(3, 3, scope=scope), ConvGeometry(7, 5, 1)
    x, *rest = tensors(pattern, geometry, (4, 6), 2, 5)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    shuffled = x.flatten(2)[..., order].view(x.shape)
    y = run(pattern, geometry, x, *rest, training=True).flatten(2)
    torch.testing.assert_close(run(pattern, geometry, shuffled, *rest, training=True).flatten(2), y[..., order])


@settings(max_examples=30, deadline=None)
@given(layers(scopes=("image",)))
def test_on_one_image_batch_scope_is_image_scope(layer):
    pattern, geometry, size, _, seed = layer
    operands = tensors(pattern, geometry, size, 1, seed)
    batch = Pattern.from_dict({**pattern.to_dict(), "scope": "batch"})
    assert torch.equal(run(pattern, geometry, *operands), run(batch, geometry, *operands))


@settings(max_examples=40, deadline=None)
@given(layers(scopes=("image",)))
def test_image_scope_keeps_each_channels_spatial_mean(layer):
    """Centroids are means, so their errors cancel within an image (DESIGN §5.8)."""
    pattern, geometry, *_ = layer
    operands = tensors(*layer)
    means = run(pattern, geometry, *operands).mean((2, 3))
    torch.testing.assert_close(means, convolve(geometry, *operands[:3]).mean((2, 3)))


def test_images_do_not_influence_each_other_in_image_scope():
    pattern, geometry = Pattern(6, 3), ConvGeometry(3, 4, 3, padding=(1, 1))
    x, *rest = tensors(pattern, geometry, (6, 6), 3, 1)
    together = run(pattern, geometry, x, *rest)
    alone = torch.cat([run(pattern, geometry, image[None], *rest) for image in x])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("pattern", [Pattern(6, 4), Pattern(3, 4, scope="compiled", sharing="block")])
def test_lower_precisions_keep_their_type_and_stay_close(dtype, pattern):
    geometry = ConvGeometry(6, 4, 3)
    operands = [t.to(dtype) for t in tensors(pattern, geometry, (8, 8), 2, 0)]
    y = run(pattern, geometry, *operands, training=True)
    assert y.dtype == dtype
    reference = run(pattern, geometry, *(t.double() for t in operands), training=True)
    assert (y.double() - reference).norm() < 2e-2 * reference.norm()


def test_autocast_does_not_change_the_result():
    pattern, geometry = Pattern(6, 4), ConvGeometry(6, 4, 3)
    operands = [t.float() for t in tensors(pattern, geometry, (8, 8), 2, 0)]
    plain = run(pattern, geometry, *operands)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(run(pattern, geometry, *operands), plain)


def test_sixteen_hashes_and_one_output_pixel():
    pattern, geometry = Pattern(9, 16), ConvGeometry(1, 1, 3)
    operands = tensors(pattern, geometry, (3, 3), 1, 0)
    torch.testing.assert_close(run(pattern, geometry, *operands), convolve(geometry, *operands[:3]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_non_finite_input_is_refused_by_name(value):
    pattern, geometry = Pattern(6, 4), ConvGeometry(6, 4, 3)
    operands = tensors(pattern, geometry, (8, 8), 2, 0)
    operands[0][1, 2, 3, 4] = value
    with pytest.raises(ModelError, match="'fire2' got 1 NaN or infinite"):
        run(pattern, geometry, *operands, layer_name="fire2")


def test_a_finite_input_whose_sum_overflows_is_accepted():
    pattern, geometry = Pattern(6, 4), ConvGeometry(6, 4, 1)
    operands = [t.float() for t in tensors(pattern, geometry, (8, 8), 1, 0)]
    operands[0] = torch.full_like(operands[0], 1e37)
    operands[0][:, :3] *= 30
    assert not torch.isfinite(operands[0].sum())
    run(pattern, geometry, *operands)


@pytest.mark.parametrize("shape", [(0, 6, 8, 8), (2, 5, 8, 8), (6, 8, 8)])
def test_an_empty_or_misshapen_input_is_refused(shape):
    pattern, geometry = Pattern(6, 4), ConvGeometry(6, 4, 3)
    operands = tensors(pattern, geometry, (8, 8), 2, 0)
    with pytest.raises(ModelError, match="'conv1'"):
        run(pattern, geometry, torch.zeros(shape), *operands[1:], layer_name="conv1")


def test_hash_tensors_of_a_wrong_shape_are_refused():
    pattern, geometry = Pattern(6, 4), ConvGeometry(6, 4, 3)
    x, weight, bias, hash_vectors, thresholds = tensors(pattern, geometry, (8, 8), 2, 0)
    with pytest.raises(PatternError, match=r"\(9, 6, 4\).*not \(9, 6, 3\)"):
        run(pattern, geometry, x, weight, bias, hash_vectors[..., :3], thresholds)


def test_compiled_evaluation_needs_centroids():
    pattern, geometry = Pattern(6, 4, scope="compiled"), ConvGeometry(6, 4, 3)
    with pytest.raises(ModelError, match="centroids"):
        run(pattern, geometry, *tensors(pattern, geometry, (8, 8), 2, 0))
