import pytest
import torch
from torch.nn import functional as F

from ostinato.errors import PatternError
from ostinato.reuse import ConvGeometry, Pattern, RunningCentroids, cluster_ids, random_hash, reuse_conv2d
from ostinato.reuse.straight_through import StraightThrough

COMPILED = Pattern(4, 3, scope="compiled", sharing="block", gradient="frozen")


def layer(pattern, seed=0):
    torch.manual_seed(seed)
    geometry = ConvGeometry(8, 5, (3, 3), (1, 1), (1, 1))
    vectors, thresholds = random_hash(geometry, pattern)
    x = torch.randn(3, 8, 6, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 8, 3, 3, dtype=torch.float64)
    return geometry, x, weight, vectors.double(), thresholds.double()


def forward(pattern, x, weight, vectors, thresholds, training=True):
    running = RunningCentroids(torch.zeros(2, 8, 4, dtype=torch.float64), torch.zeros(2, 8, dtype=torch.float64))
    return reuse_conv2d(
        x, weight, None, vectors, thresholds, pattern, padding=1,
        centroids=running.centroids, counts=running.counts, training=training, momentum=0.1,
    )  # fmt: skip


def by_hand(pattern, geometry, x, vectors, thresholds):
    """x̂ (3, 8, 8, 8) of the padded input, each pixel's block replaced by the mean of its cluster over the batch."""
    padded = F.pad(x.detach(), (1, 1, 1, 1))
    ids = cluster_ids(x.detach(), vectors, thresholds, geometry, pattern).view(3, 8, 8, 2)
    quantised = padded.permute(0, 2, 3, 1).clone()
    for block in range(2):
        part = quantised[..., 4 * block : 4 * block + 4]
        for k in ids[..., block].unique():
            members = ids[..., block] == k
            part[members] = part[members].mean(0)
    return padded.permute(0, 2, 3, 1), quantised


@pytest.mark.parametrize("commitment", [0.0, 0.7])
def test_the_input_has_the_gradient_of_its_quantised_self_and_of_the_commitment(commitment):
    clusters = COMPILED
    through = Pattern(4, 3, scope="compiled", sharing="block", gradient="frozen", input_gradient="straight-through",
                      commitment=commitment)  # fmt: skip
    geometry, x, weight, vectors, thresholds = layer(through)
    plain = forward(clusters, x, weight, vectors, thresholds)
    made = forward(through, x, weight, vectors, thresholds)
    assert torch.equal(plain, made)
    outer = torch.randn_like(made)
    share = torch.autograd.grad(plain, x, outer, retain_graph=True)[0]
    found = torch.autograd.grad(made, x, outer)[0]
    pixels, quantised = by_hand(through, geometry, x, vectors, thresholds)
    dense = torch.zeros(3, 8, 6, 6, dtype=torch.float64, requires_grad=True)
    straight = torch.autograd.grad(F.conv2d(dense, weight, padding=1), dense, outer)[0]
    pull = 2 * commitment * (pixels - quantised) / pixels.square().sum()
    expected = share + straight + pull.permute(0, 3, 1, 2)[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_commitment_is_the_gradient_of_the_relative_error():
    x = torch.randn(20, 4, dtype=torch.float64, requires_grad=True)
    quantised, energy = torch.randn(20, 4, dtype=torch.float64), float(x.detach().square().sum())
    found = torch.autograd.grad(StraightThrough.apply(quantised, x, 0.3).sum() * 0, x)[0]
    expected = torch.autograd.grad(0.3 * (x - quantised).square().sum() / energy, x)[0]
    torch.testing.assert_close(found, expected)


def test_evaluation_passes_nothing():
    pattern = Pattern(4, 3, scope="compiled", sharing="block", gradient="frozen", input_gradient="straight-through")
    _, x, weight, vectors, thresholds = layer(pattern)
    made = forward(pattern, x, weight, vectors, thresholds, training=False)
    assert not torch.autograd.grad(made.sum(), x)[0].any()


def test_refusals():
    with pytest.raises(PatternError, match="needs compiled scope"):
        Pattern(4, 3, input_gradient="straight-through")
    with pytest.raises(PatternError, match="commitment needs input_gradient"):
        Pattern(4, 3, scope="compiled", sharing="block", commitment=0.1)
    with pytest.raises(PatternError, match="negative"):
        Pattern(4, 3, scope="compiled", sharing="block", input_gradient="straight-through", commitment=-1.0)
    with pytest.raises(PatternError, match="input_gradient must be one of"):
        Pattern(4, 3, input_gradient="none")
