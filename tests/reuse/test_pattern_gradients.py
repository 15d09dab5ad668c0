"""Gradients of the whole pattern space."""

import pytest
import torch
from hypothesis import given, settings
from naive_reuse import conv_arguments, tensors
from pattern_space import every_pattern
from test_gradients import RELAXATIONS, soft_average, with_fields

from ostinato.reuse import ConvGeometry, Pattern, quantised_columns, reuse_conv2d, weight_matrix
from ostinato.reuse.assignment import Reuse
from ostinato.reuse.autograd import multiply, quantise


@settings(max_examples=40, deadline=None)
@given(every_pattern(scopes=("image", "batch")))
def test_input_weight_and_bias_gradients_are_those_of_held_clusters(layer):
    """Y is linear in x, weight and bias as long as ids hold: X̂ = A·X, and its derivative is an exact difference."""
    pattern, geometry, size, batch, seed = layer
    pattern = with_fields(pattern, gradient="frozen")
    x, weight, bias, *hashing = tensors(pattern, geometry, size, batch, seed)
    leaves = [t.clone().requires_grad_() for t in (x, weight, bias)]
    y = reuse_conv2d(*leaves, *hashing, pattern, **conv_arguments(geometry))
    generator = torch.Generator().manual_seed(seed)
    probe = torch.randn(y.shape, generator=generator, dtype=torch.float64)
    (y * probe).sum().backward()
    # Weight and bias: Y = X̂·W + b with X̂ from the forward pass alone.
    columns = quantised_columns(x, *hashing, geometry, pattern).flatten(0, 1)
    outer = probe.flatten(2).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(weight_matrix(leaves[1].grad, pattern.order), columns.t() @ outer)
    torch.testing.assert_close(leaves[2].grad, outer.sum(0))
    # Input: Y without bias is homogeneous in x while ids hold, so <dL/dx, x> = <dL/dY, Y − b>.
    without_bias = y.detach() - bias.view(1, -1, 1, 1)
    torch.testing.assert_close((leaves[0].grad * x).sum(), (probe * without_bias).sum())


@pytest.mark.parametrize(
    "fields",
    [
        {"block_rows": 2, "row_order": "b.ow.oh:2"},
        {"direction": "horizontal", "sharing": "layer", "block_rows": 3},
        {"similarity": "angular", "order": "kw.c:2.kh"},
    ],
)
def test_gradcheck(fields):
    pattern = Pattern(2, 2, gradient="frozen", **fields)
    geometry = ConvGeometry(3, 2, (2, 2), (1, 2), (1, 0), (1, 1))
    x, weight, bias, hash_vectors, thresholds = tensors(pattern, geometry, (3, 4), 2, 7)
    thresholds += 0.05  # the padding's zeros are not on a hyperplane
    assert torch.autograd.gradcheck(
        lambda *t: reuse_conv2d(*t, hash_vectors, thresholds, pattern, **conv_arguments(geometry)),
        tuple(t.requires_grad_() for t in (x, weight, bias)),
        fast_mode=True,
    )


@pytest.mark.parametrize("gradient", ["flip", "trec", "straight-through"])
def test_a_blocks_hash_learns_as_a_long_vectors_does(gradient):
    """b×L blocks times W are 1×bL vectors times a block-diagonal W: two ways to the same hash gradient."""
    pattern = Pattern(3, 2, block_rows=2, gradient=gradient, slope=5.0)
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randn(1, 20, 6, generator=generator, dtype=torch.float64)
    weights = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    hash_vectors = torch.randn(1, 6, 2, generator=generator, dtype=torch.float64)
    probe = torch.randn(1, 40, 4, generator=generator, dtype=torch.float64)
    gradients = []
    for b, length, matrix in ((2, 3, weights), (1, 6, torch.block_diag(weights, weights))):
        leaves = blocks.clone(), matrix.t().contiguous(), hash_vectors.clone(), torch.zeros(1, 2, dtype=torch.float64)
        for leaf in leaves:
            leaf.requires_grad_()
        one = Reuse(with_fields(pattern, block_rows=b, length=length))
        y = multiply(*leaves, one).reshape(1, 40, 4)
        gradients.append(torch.autograd.grad((y * probe).sum(), [leaves[0], leaves[2], leaves[3]]))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("relaxation", RELAXATIONS[1:])
def test_trec_with_angular_similarity_is_the_dense_relaxation_of_normalised_vectors(relaxation):
    pattern = Pattern(4, 3, "kh.kw.c", "batch", gradient="trec", similarity="angular", **relaxation)
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    rows, hash_vectors, thresholds, probe = normal(30, 4), normal(1, 4, 3), 0.2 * normal(1, 3), normal(30, 4)
    leaves = [t.requires_grad_() for t in (rows, hash_vectors, thresholds)]
    quantised = quantise(rows[None], hash_vectors, thresholds, Reuse(pattern))[0]
    found = torch.autograd.grad((quantised * probe).sum(), leaves)
    seen = rows / rows.norm(dim=1, keepdim=True)
    soft, member, sizes = soft_average(seen, hash_vectors[0], thresholds[0], pattern)
    hard = torch.nn.functional.one_hot(member, len(sizes)).to(rows) / sizes
    centroids = hard.T @ rows + (soft - soft.detach()).T @ rows.detach()
    expected = torch.autograd.grad((centroids[member] * probe).sum(), leaves)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-8)
