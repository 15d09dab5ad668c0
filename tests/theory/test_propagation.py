import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_samples import quantise
from torch import nn
from torch.nn import functional as F

from ostinato import theory
from ostinato.errors import PatternError
from ostinato.reuse import ConvGeometry, col2im, im2col, weight_matrix

SLACK = 1 + 1e-9


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def run(x, weights, labels, length):
    """Output of a chain of fully connected layers with ReLU between, and its stages; no labels: no reuse."""
    stages = []
    for i, w in enumerate(weights):
        quantised = x if labels[i] is None else quantise(x, labels[i], min(length, len(w)))
        stages.append(theory.ErrorStage(theory.spectral_norm(w), theory.centroid_error(x, quantised)))
        x = quantised @ w
        if i < len(weights) - 1:
            x = x.relu()
    return x, stages


@st.composite
def chains(draw):
    seed, depth, rows, length = (draw(st.integers(a, b)) for a, b in ((0, 10_000), (1, 4), (2, 10), (1, 4)))
    widths = [draw(st.integers(1, 5)) for _ in range(depth + 1)]
    weights = [random(seed + i, widths[i], widths[i + 1]) for i in range(depth)]
    generator = torch.Generator().manual_seed(seed)
    labels = [
        torch.randint(3, (rows, -(-widths[i] // min(length, widths[i]))), generator=generator) for i in range(depth)
    ]
    return random(seed + 99, rows, widths[0]), weights, labels, length


@settings(deadline=None)
@given(chains())
def test_the_bound_bounds_when_all_layers_are_reused(chain):
    x, weights, labels, length = chain
    exact, _ = run(x, weights, [None] * len(weights), length)
    y, stages = run(x, weights, labels, length)
    assert float((y - exact).square().sum()) <= theory.propagated_bound(stages) * SLACK + 1e-12


@settings(deadline=None)
@given(chains(), st.data())
def test_equation_2_bounds_when_one_layer_is_reused_and_is_then_the_bound(chain, data):
    x, weights, labels, length = chain
    one = data.draw(st.integers(0, len(weights) - 1))
    exact, _ = run(x, weights, [None] * len(weights), length)
    y, stages = run(x, weights, [labels[i] if i == one else None for i in range(len(weights))], length)
    published = theory.propagated_published(stages)
    assert float((y - exact).square().sum()) <= published * SLACK + 1e-12
    assert published == pytest.approx(theory.propagated_bound(stages), rel=1e-9, abs=1e-12)


def test_equation_3_is_no_bound_for_two_layers():
    """Identity weights, four rows; the second layer's error has the first one's sign where it is not zero."""
    step, half = 1.0, 2.0
    low, high = 10.0, 10.0 + 2 * half
    x = torch.tensor(
        [[low - step, 5.0], [low + step, 6.0], [high + step, 5.0], [high - step, 6.0]], dtype=torch.float64
    )
    first = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])  # slices of one column
    second = torch.tensor([[0, 0], [1, 1], [0, 0], [2, 2]])
    identity = torch.eye(2, dtype=torch.float64)
    exact, _ = run(x, [identity, identity], [None, None], 1)
    y, stages = run(x, [identity, identity], [first, second], 1)
    error = float((y - exact).square().sum())
    assert error == pytest.approx(4 * step**2 + 2 * half**2 + 4 * step * half)
    assert theory.propagated_published(stages) == pytest.approx(4 * step**2 + 2 * half**2)
    assert theory.propagated_published(stages) < error <= theory.propagated_bound(stages) * SLACK


def test_equation_2_is_no_bound_once_im2col_repeats_an_error():
    """An identity convolution, then a 3×3 one of ones over a constant image whose error it adds nine times."""
    image = torch.full((1, 1, 5, 5), 2.0, dtype=torch.float64)
    wrong = image + 1  # as if looked up from a compiled table
    kernel = torch.ones(1, 1, 3, 3, dtype=torch.float64)
    error = float((F.conv2d(wrong, kernel) - F.conv2d(image, kernel)).square().sum())
    stages = [
        theory.ErrorStage(1.0, float((wrong - image).square().sum())),
        theory.ErrorStage(
            theory.spectral_norm(weight_matrix(kernel, "kh.kw.c")), overlap=theory.window_overlap(ConvGeometry(1, 1, 3))
        ),
    ]
    assert error == pytest.approx(9 * 9**2)
    assert theory.propagated_published(stages) < error <= theory.propagated_bound(stages) * SLACK


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(0, 1))
def test_the_bound_bounds_through_convolutions_batchnorm_relu_and_pooling(seed, kernel, stride, dilation, padding):
    """Both convolutions reused, as in CifarNet: conv, BN, ReLU, max-pool 2, conv."""
    geometries = (ConvGeometry(2, 3, 2), ConvGeometry(3, 2, kernel, stride, padding, dilation))
    convolutions = [random(seed + i, g.out_channels, g.in_channels, *g.kernel_size) for i, g in enumerate(geometries)]
    norm = nn.BatchNorm2d(3).double().eval()
    norm.weight.data.copy_(random(seed + 2, 3))
    norm.running_var.copy_(random(seed + 3, 3).abs() + 0.5)
    gain = float((norm.weight.detach().abs() / (norm.running_var + norm.eps).sqrt()).max())

    def network(reused):
        x, stages = random(seed + 4, 2, 2, 11, 11), []
        for i, (geometry, weight) in enumerate(zip(geometries, convolutions, strict=True)):
            columns = im2col(x, geometry, "kh.kw.c")
            flat, w = columns.flatten(0, 1), weight_matrix(weight, "kh.kw.c")
            labels = (flat[:, ::2] > 0).long()  # a cluster by the first number of every slice of two
            quantised = quantise(flat, labels, 2) if reused else flat
            error, overlap = theory.centroid_error(flat, quantised), theory.window_overlap(geometry)
            stages.append(theory.ErrorStage(theory.spectral_norm(w), error, overlap, gain if i == 0 else 1.0))
            y = (quantised @ w).view(len(x), -1, geometry.out_channels).transpose(1, 2)
            x = y.view(len(x), -1, *geometry.output_size(*x.shape[2:]))
            if i == 0:
                x = F.max_pool2d(norm(x).relu(), 2)
        return x, stages

    with torch.no_grad():
        exact, _ = network(False)
        y, stages = network(True)
    assert float((y - exact).square().sum()) <= theory.propagated_bound(stages) * SLACK


@settings(deadline=None)
@given(*[st.integers(1, 5)] * 2, *[st.integers(1, 4)] * 4)
def test_overlap_is_how_often_im2col_repeats_a_pixel(kh, kw, sh, sw, dh, dw):
    geometry = ConvGeometry(1, 1, (kh, kw), (sh, sw), 0, (dh, dw))
    size = (dh * (kh - 1) + 1 + sh * dh * kh, dw * (kw - 1) + 1 + sw * dw * kw)
    rows, columns = geometry.output_size(*size)
    times = col2im(torch.ones(1, rows * columns, geometry.K), geometry, "kh.kw.c", size)
    assert int(times.max()) == theory.window_overlap(geometry)


def test_nonsense_is_refused():
    with pytest.raises(PatternError, match="at least one stage"):
        theory.propagated_bound([])
    with pytest.raises(PatternError, match="error must be a finite number"):
        theory.ErrorStage(1.0, -1.0)
    with pytest.raises(PatternError, match="must have one shape"):
        theory.centroid_error(torch.ones(2, 2), torch.ones(2, 3))
