"""What saves memory changes no number: images a part at a time, and X̂ made anew for its convolution's gradients."""

import pytest
import torch
from naive_reuse import clustering_fields
from torch.nn import functional as F

from ostinato.reuse import ConvGeometry, Pattern, RunningCentroids, layout, random_hash, reuse_conv2d
from ostinato.reuse.assignment import Reuse
from ostinato.reuse.autograd import quantise
from ostinato.reuse.layout import Layout
from ostinato.reuse.quantised_convolution import QuantisedConvolution


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(y, leaves):
    found = torch.autograd.grad((y * normal(*y.shape, seed=9)).sum(), leaves, allow_unused=True)
    return [y.detach(), *(g for g in found if g is not None)]


def same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("gradient", ["frozen", "trec"])
@pytest.mark.parametrize("order", ["kh.kw.c", "kw.kh.c", "c.kh.kw"])
def test_images_a_part_at_a_time_have_the_same_gradients(monkeypatch, order, gradient, channels_last):
    pattern = Pattern(2 if order[-1] == "c" else 5, 3, order=order, gradient=gradient, slope=20.0)
    geometry = ConvGeometry(4, 3, (3, 2), (2, 1), (1, 1))
    vectors, thresholds = (t.double() for t in random_hash(geometry, pattern))
    x = normal(7, 4, 6, 5)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    leaves = [t.requires_grad_() for t in (x, normal(3, 4, 3, 2, seed=1), normal(3, seed=2), vectors, thresholds)]

    def made():
        return gradients(reuse_conv2d(*leaves, pattern, stride=(2, 1), padding=1), leaves)

    whole = made()
    assert whole[1].is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    assert len(list(layout.image_parts(7, 10, 1))) == 1
    monkeypatch.setattr(layout, "_HELD", 1)
    assert [part.stop - part.start for part in layout.image_parts(7, 10, 1)] == [1] * 7
    assert [part.stop - part.start for part in layout.image_parts(9, 10, 20)] == [2, 2, 2, 2, 1]
    same(made(), whole)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("gradient", ["frozen", "flip", "straight-through", "trec", "tree"])
def test_a_lean_convolution_is_quantising_and_convolving(gradient, training):
    hashing = clustering_fields("tree") if gradient == "tree" else {"gradient": gradient, "slope": 20.0}
    pattern = Pattern(4, 3, scope="compiled", sharing="block", **hashing)
    geometry = ConvGeometry(8, 5, (3, 2), (2, 1), (1, 1), (1, 2))
    vectors, thresholds = normal(2, 4, pattern.planes, seed=3), normal(2, pattern.planes, seed=4)
    operands = normal(3, 9, 7, 8), normal(5, 8, 3, 2, seed=1), normal(5, seed=2), vectors, thresholds
    found = []
    for lean in (True, False):
        running = RunningCentroids(normal(2, 8, 4, seed=5), torch.ones(2, 8, dtype=torch.float64))
        reuse = Reuse(pattern, training, running, 0.1)
        leaves = [t.clone().requires_grad_() for t in operands]
        pixels, weight, bias, hash_vectors, offsets = leaves
        if lean:
            y = QuantisedConvolution.apply(*leaves, reuse, Layout(3, 63, 2), geometry)
        else:
            quantised = quantise(pixels.flatten(1, 2), hash_vectors, offsets, reuse).view(pixels.shape)
            y = F.conv2d(quantised.permute(0, 3, 1, 2), weight, bias, (2, 1), 0, (1, 2))
        found.append([*gradients(y, leaves), running.centroids, running.counts])
    same(*found)


@pytest.mark.parametrize("outputs", [1, 40])  # the second has more weights than pixels
def test_layers_of_many_weights_agree_with_their_parts(outputs):
    """A layer takes the lean form if all its outputs' weights outweigh the input; fewer outputs at a time do not."""
    pattern = Pattern(4, 3, scope="compiled", sharing="block")
    geometry = ConvGeometry(8, outputs, (3, 3), (1, 1), (1, 1))
    vectors, thresholds = (t.double().requires_grad_() for t in random_hash(geometry, pattern))
    x, weight = normal(2, 8, 6, 6).requires_grad_(), normal(outputs, 8, 3, 3, seed=1).requires_grad_()
    leaves = x, weight, vectors, thresholds

    def made(some):
        return reuse_conv2d(x, some, None, vectors, thresholds, pattern, padding=1, training=True)

    same(gradients(made(weight), leaves), gradients(torch.cat([made(w) for w in weight.split(1)], 1), leaves))


def test_blocks_of_two_rows_take_a_gradient_of_any_strides():
    x, weight = normal(1, 1, 1, 2).requires_grad_(), normal(2, 1, 1, 1, seed=1)
    outer = normal(1, 2, 1, 2, seed=2)
    y = reuse_conv2d(x, weight, None, normal(1, 2, 1, seed=3), torch.zeros(1, 1, dtype=torch.float64),
                     Pattern(1, 1, block_rows=2))  # fmt: skip
    y.backward(outer)  # one block is its own centroid
    torch.testing.assert_close(x.grad, F.conv_transpose2d(outer, weight), rtol=1e-12, atol=1e-12)
