"""Gradients against dense float64 code: TREC §3.2 written out, brute force for the flip, gradcheck."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_reuse import clustering_fields, conv_arguments, layers, tensors

from ostinato.reuse import ConvGeometry, Pattern, bindec, flips, im2col, reuse_conv2d
from ostinato.reuse import hash_gradient as estimators
from ostinato.reuse.assignment import Reuse, assign
from ostinato.reuse.autograd import multiply
from ostinato.reuse.by_slice import BySlice
from ostinato.reuse.clustered import Clustered
from ostinato.reuse.flips import deviations
from ostinato.reuse.hash_gradient import projection_gradient
from ostinato.reuse.hash_sample import sample
from ostinato.reuse.layout import Layout
from ostinato.reuse.views import whole_slices

SCOPES = ("image", "batch", "compiled")


def with_fields(pattern, **fields):
    return Pattern.from_dict({**pattern.to_dict(), **fields})


def soft_average(rows, hash_vectors, thresholds, pattern):
    """Avg (n, C) of TREC §3.2, dense: sigmoid (3.2), H×C transformation matrix (3.3), Gaussian (3.4), over N_c."""
    projections = rows @ hash_vectors - thresholds
    hashes = pattern.hashes
    numerators = torch.tensor([2.0 ** (hashes - 1 - h) for h in range(hashes)], dtype=rows.dtype)
    ids = bindec(projections)
    occurring, member, sizes = torch.unique(ids, return_inverse=True, return_counts=True)
    soft_bits = 1 / (1 + torch.exp(-pattern.slope * (projections - pattern.centre)))
    soft_bits = soft_bits + torch.cat([torch.zeros(hashes - 1), torch.ones(1)]).to(rows)  # "add 1 to the rightmost"
    transformation = numerators[:, None] / (occurring + 1)[None, :]
    quotient = soft_bits @ transformation
    sigma = 1 / (pattern.k * 2**hashes) if pattern.sigma == "dynamic" else pattern.sigma
    return torch.exp(-((quotient - 1) ** 2) / (2 * sigma**2)) / sizes, member, sizes


def dense_trec(columns, weights, hash_vectors, thresholds, pattern):
    """Y whose value is the hard one and whose gradients are those of the relaxed centroids Avgᵀ·X (Eq. 3.5)."""
    batch, positions, width = columns.shape
    panels = columns if pattern.scope == "image" else columns.reshape(1, -1, width)
    outputs = []
    for panel in panels:
        y = 0
        for s, start in enumerate(range(0, width, pattern.length)):
            rows = panel[:, start : start + pattern.length]
            g = s % len(hash_vectors)
            soft, member, sizes = soft_average(rows, hash_vectors[g], thresholds[g], pattern)
            hard = torch.nn.functional.one_hot(member, len(sizes)).to(rows) / sizes
            centroids = hard.T @ rows + (soft - soft.detach()).T @ rows.detach()
            y = y + (centroids @ weights[start : start + pattern.length])[member]
        outputs.append(y)
    return torch.stack(outputs).reshape(batch, positions, -1)


RELAXATIONS = [
    {"slope": 10_000.0, "centre": 0.001, "k": 5.0},
    {"slope": 30.0, "centre": 0.0, "k": 5.0},
    {"slope": 5.0, "centre": 0.02, "k": 2.0},
    {"slope": 3.0, "centre": -0.1, "k": 1.5},
    {"slope": 30.0, "centre": 0.0, "sigma": 1e-4},
    {"slope": 5.0, "centre": 0.02, "sigma": 0.05},
    {"slope": 3.0, "centre": -0.1, "sigma": 1.0},
]


@settings(max_examples=50, deadline=None)
@given(layers(scopes=("image", "batch"), clusterings=("lsh",)), st.sampled_from(RELAXATIONS))
def test_trec_is_the_dense_relaxation(layer, relaxation):
    pattern, geometry, size, batch, seed = layer
    pattern = with_fields(pattern, gradient="trec", **relaxation)
    x, weight, bias, hash_vectors, thresholds = tensors(pattern, geometry, size, batch, seed)
    if pattern.slope > 1000:  # bring some vectors into the sigmoid's narrow slope
        x, thresholds = x * 1e-3, thresholds * 1e-3
    leaves = [t.requires_grad_() for t in (x, weight, bias, hash_vectors, thresholds)]
    probe = torch.randn(batch, geometry.out_channels, *geometry.output_size(*size), dtype=torch.float64)
    y = reuse_conv2d(*leaves, pattern, **conv_arguments(geometry))
    found = torch.autograd.grad((y * probe).sum(), leaves)

    columns = whole_slices(im2col(x, geometry, pattern.order), pattern.length, 2)
    matrix = (weight if pattern.order == "c.kh.kw" else weight.permute(0, 2, 3, 1)).flatten(1).t()
    weights = whole_slices(matrix, pattern.length, 0)
    dense = (dense_trec(columns, weights, hash_vectors, thresholds, pattern) + bias).transpose(1, 2).reshape(y.shape)
    torch.testing.assert_close(y, dense)
    expected = torch.autograd.grad((dense * probe).sum(), leaves)
    for name, mine, theirs in zip(("x", "weight", "bias", "hash", "thresholds"), found, expected, strict=True):
        scale = max(1.0, float(theirs.abs().max()))
        assert (mine - theirs).abs().max() < 1e-6 * scale, name


@pytest.mark.parametrize("sigma", ["dynamic", 1e-4, 0.3])
@pytest.mark.parametrize("hashes", [12, 16])
def test_trec_is_the_dense_relaxation_with_many_hashes(hashes, sigma):
    """A static σ reaches over many columns, TREC §5.4: at H = 16 and 1e-4, over the 46 nearest on either side."""
    pattern = Pattern(4, hashes, scope="batch", sharing="layer", gradient="trec", slope=60.0, centre=0.0, sigma=sigma)
    generator = torch.Generator().manual_seed(hashes)
    # The first bits are 1 and the last five near their hyperplanes: ids are neighbours, soft numbers off the hard ones.
    columns = 0.02 * torch.randn(1, 40, 4, generator=generator, dtype=torch.float64)
    weights = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    hash_vectors = torch.randn(1, 4, hashes, generator=generator, dtype=torch.float64)
    thresholds = torch.full((1, hashes), -0.5, dtype=torch.float64) * (torch.arange(hashes) < hashes - 5)
    leaves = [t.requires_grad_() for t in (columns, hash_vectors, thresholds)]
    probe = torch.randn(1, 40, 3, generator=generator, dtype=torch.float64)
    x, kernels = columns.transpose(1, 2).unsqueeze(3), weights.t()[:, :, None, None]
    y = reuse_conv2d(x, kernels, None, hash_vectors, thresholds, pattern)
    found = torch.autograd.grad((y * probe.transpose(1, 2).unsqueeze(3)).sum(), leaves)
    expected = torch.autograd.grad(
        (dense_trec(columns, weights, hash_vectors, thresholds, pattern) * probe).sum(), leaves
    )
    for mine, theirs in zip(found, expected, strict=True):
        assert theirs.abs().sum() > 0
        assert (mine - theirs).abs().max() < 1e-6 * max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize("gradient", ["flip", "trec"])
def test_ids_that_are_a_view_of_the_images(gradient):
    """Windows as wide as the image: the ids of its vectors are strided then, not a contiguous matrix."""
    pattern = Pattern(1, 1, sharing="block", gradient=gradient, slope=10.0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 2, 2, dtype=torch.float64, generator=generator)
    leaves = [torch.full(size, value, dtype=torch.float64) for size, value in (((1, 1, 1), 1.0), ((1, 1), 0.0))]
    leaves = [x, *leaves]
    for leaf in leaves:
        leaf.requires_grad_()
    y = reuse_conv2d(x, torch.ones(1, 1, 1, 2, dtype=torch.float64), None, *leaves[1:], pattern)
    assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(y.sum(), leaves))


@pytest.mark.parametrize("relaxation", RELAXATIONS[1:])
def test_the_dense_relaxation_passes_gradcheck(relaxation):
    """So the formulas that the sparse code is checked against are differentiable where we say so."""
    pattern = Pattern(3, 2, **relaxation)
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    hash_vectors = torch.randn(3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    thresholds = torch.randn(2, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda v, t: soft_average(rows, v, t, pattern)[0].T @ rows, (hash_vectors, thresholds), eps=1e-7, atol=1e-4
    )


@pytest.mark.parametrize("gradient", ["flip", "straight-through", "frozen", "tree"])
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("sharing", ["slice", "block", "layer"])
def test_input_weight_and_bias_gradients_are_exact_where_ids_do_not_change(gradient, scope, sharing):
    hashing = clustering_fields("tree") if gradient == "tree" else {"gradient": gradient}
    pattern = Pattern(2, 2, scope=scope, sharing=sharing, **hashing)
    geometry = ConvGeometry(4, 2, (2, 2), (1, 2), (1, 0), (1, 1))
    x, weight, bias, hash_vectors, thresholds = tensors(pattern, geometry, (3, 4), 2, 7)
    thresholds += 0.05  # the padding's zeros are not on a hyperplane
    assert torch.autograd.gradcheck(
        lambda *t: reuse_conv2d(*t, hash_vectors, thresholds, pattern, training=True, **conv_arguments(geometry)),
        tuple(t.requires_grad_() for t in (x, weight, bias)),
        fast_mode=True,
    )


@pytest.mark.parametrize("sharing", ["slice", "block"])
def test_compiled_evaluation_has_weight_gradients_and_none_for_its_input(sharing):
    pattern, geometry = Pattern(2, 2, scope="compiled", sharing=sharing), ConvGeometry(4, 2, (2, 2))
    x, weight, bias, hash_vectors, thresholds = tensors(pattern, geometry, (3, 4), 2, 7)
    groups = pattern.centroid_groups(geometry)
    more = {
        "centroids": torch.randn(groups, 4, 2, dtype=torch.float64),
        "counts": torch.ones(groups, 4, dtype=torch.float64),
    }
    for leaf in (x, weight, bias, hash_vectors):
        leaf.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda w, b: reuse_conv2d(x, w, b, hash_vectors, thresholds, pattern, **more), (weight, bias)
    )
    reuse_conv2d(x, weight, bias, hash_vectors, thresholds, pattern, **more).sum().backward()
    assert not x.grad.any()
    assert hash_vectors.grad is None


def clustered(seed, pattern, rows=30):
    """A random clustering of vectors in slices, with random loss gradients of the recovered rows."""
    generator = torch.Generator().manual_seed(seed)
    groups = 2
    columns = torch.randn(1, rows, groups * pattern.length, generator=generator, dtype=torch.float64)
    hash_vectors = torch.randn(groups, pattern.length, pattern.hashes, generator=generator, dtype=torch.float64)
    thresholds = 0.2 * torch.randn(groups, pattern.hashes, generator=generator, dtype=torch.float64)
    flat = columns.reshape(-1, pattern.length)
    layout = Layout(1, rows, groups)
    assignment = assign(flat, hash_vectors, thresholds, Reuse(pattern), layout, learns=True)
    drawn, clusters = assignment.sample, assignment.clusters
    outer = torch.randn(flat.shape, generator=generator, dtype=torch.float64)
    sums = clusters.sums(outer, layout.base(outer.device), layout.offset(outer.device))
    own = outer[drawn.units * groups + drawn.slices]
    state = Clustered(drawn, BySlice.of(drawn.slices, groups), clusters, assignment.centroids, sums, own)
    projections = torch.einsum("ad,adh->ah", drawn.rows, hash_vectors[drawn.slices]) - thresholds[drawn.slices]
    return state, projections


def loss(rows, keys, outer):
    """A loss that is linear in the recovered rows: Σ_r outer_r · centroid(r)."""
    total = 0.0
    for key in keys.unique():
        member = keys == key
        total += float((outer[member] * rows[member].mean(0)).sum())
    return total


@pytest.mark.parametrize(("seed", "hashes"), [(0, 1), (1, 2), (2, 4)])
def test_flip_changes_are_the_losses_of_flipped_bits(seed, hashes):
    """Brute force: flip one bit of one vector, cluster anew, compare losses. Includes empty and lone clusters."""
    pattern = Pattern(3, hashes, scope="batch", gradient_share=1.0)
    state, projections = clustered(seed, pattern)
    rows, outer, keys = state.sample.rows, state.row_gradients, state.keys(state.home())
    found = flips.flip_changes(state, torch.ones_like(projections), moves_centroids=True)
    before = loss(rows, keys, outer)
    for r in range(len(keys)):
        for h in range(hashes):
            bit = 1 << (hashes - 1 - h)
            flipped = keys.clone()
            flipped[r] ^= bit
            change = loss(rows, flipped, outer) - before
            sign = -1 if keys[r] & bit else 1
            assert found[r, h].item() == pytest.approx(sign * change, abs=1e-9)


def test_straight_through_moves_one_vector_and_no_centroid():
    pattern = Pattern(3, 2, scope="batch", gradient_share=1.0)
    state, projections = clustered(3, pattern)
    found = flips.flip_changes(state, torch.ones_like(projections), moves_centroids=False)
    rows, centroids, keys = state.sample.rows, state.centroids, state.keys(state.home()).tolist()
    mean = {key: rows[[k == key for k in keys]].mean(0) for key in keys}
    for r, key in enumerate(keys):
        for h in range(2):
            target = mean.get(key ^ (2 >> h), rows[r])
            change = float(state.row_gradients[r] @ (target - centroids[state.home()[r]]))
            assert found[r, h].item() == pytest.approx(-change if key & (2 >> h) else change, abs=1e-12)


def test_flip_kernel_has_unit_area_over_a_bit():
    """Σ kernel·Δp over a sweep of projections is the bit's whole step."""
    pattern = Pattern(1, 1, scope="batch", sharing="layer")
    projections = torch.linspace(-1, 1, 4001, dtype=torch.float64).unsqueeze(1)
    deviation = projections.std(0, unbiased=False).expand(4001, 1)
    for smoothing in (flips.flip_kernel, flips.window_kernel):
        kernel = smoothing(projections, deviation, pattern)
        assert float(kernel.sum() * 2 / 4000) == pytest.approx(1.0, rel=0.01)
        assert float(kernel[projections.abs() > 0.5].sum()) == 0


@pytest.mark.parametrize("gradient", ["flip", "straight-through"])
@pytest.mark.parametrize("few", [{"gradient_rows": 2000}, {"gradient_share": 0.25}])
def test_sampling_is_deterministic_even_and_unbiased_in_scale(gradient, few):
    pattern = Pattern(3, 2, scope="batch", gradient=gradient, gradient_share=1.0, window=3.0, flip_slope=2.0)
    few = with_fields(pattern, **few)
    (state, projections), (part, drawn_projections) = clustered(5, pattern, rows=4000), clustered(5, few, rows=4000)
    deviation = deviations(projections, 2, 2)
    full = projection_gradient(state, projections, deviation, pattern)
    found = projection_gradient(part, drawn_projections, deviation, few)
    assert len(state.sample.units) == 8000
    for s in range(2):  # one of every four vectors of each slice
        assert torch.equal(part.sample.units[part.sample.slices == s] // 4, torch.arange(1000))
    assert torch.equal(found, projection_gradient(clustered(5, few, rows=4000)[0], drawn_projections, deviation, few))
    row = part.sample.slices * 4000 + part.sample.units
    torch.testing.assert_close(found, full[row] * 4)


def test_every_vector_is_drawn_equally_often_also_where_stretches_are_no_whole_numbers_of_units():
    counts = torch.zeros(20)
    for seed in range(2000):
        pattern = Pattern(3, 2, gradient_rows=32, gradient_share=1.0, seed=seed)
        slices, units = sample(Layout(1, 20, 2), pattern, counts.device)
        assert torch.equal(slices, torch.arange(2).repeat_interleave(16))
        counts += torch.bincount(units, minlength=20)
    assert (counts / 4000 - 0.8).abs().max() < 0.03  # 5 standard deviations


def test_deviations_are_those_of_each_hash_groups_projections():
    """Slice s uses hash s mod G."""
    projections = torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = deviations(projections.view(-1, 3), 2, 6)
    for group in range(2):
        torch.testing.assert_close(found[group], projections[group::2].reshape(-1, 3).std(0, correction=0))


@pytest.mark.parametrize("gradient", ["flip", "straight-through", "trec"])
@pytest.mark.parametrize("pattern", [Pattern(5, 3), Pattern(3, 3, scope="compiled", sharing="block")])
def test_hash_gradients_are_the_projections_gradients_through_the_projection(gradient, pattern):
    """Gradients of v and θ are xᵀ·dp and −Σ dp: chain rule, by autograd on the projections."""
    pattern = with_fields(pattern, gradient=gradient, slope=20.0)
    geometry = ConvGeometry(6, 4, 3)
    x, weight, bias, hash_vectors, thresholds = tensors(pattern, geometry, (6, 6), 2, 3)
    hash_vectors.requires_grad_()
    thresholds.requires_grad_()
    captured = {}
    original = estimators.projection_gradient

    def spy(state, projections, deviation, pattern):
        captured["sample"], captured["dp"] = state.sample, original(state, projections, deviation, pattern)
        return captured["dp"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ostinato.reuse.hash_gradient.projection_gradient", spy)
        y = reuse_conv2d(x, weight, bias, hash_vectors, thresholds, pattern, training=True)
        found = torch.autograd.grad(y.square().sum(), (hash_vectors, thresholds))
    drawn, dp = captured["sample"], captured["dp"]
    assert dp.abs().sum() > 0
    group = drawn.slices % len(hash_vectors)
    projections = torch.einsum("ad,adh->ah", drawn.rows, hash_vectors[group]) - thresholds[group]
    expected = torch.autograd.grad((projections * dp).sum(), (hash_vectors, thresholds))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(
    "learning",
    [
        *({"gradient": g} for g in ("flip", "straight-through", "trec")),
        *({"gradient": "trec", "sigma": sigma} for sigma in (1e-12, 1e-4, 1.0)),
    ],
)
@pytest.mark.parametrize("hashes", [1, 8, 16])
def test_gradients_stay_finite_in_float32_at_the_published_slope(learning, hashes):
    pattern, geometry = Pattern(5, hashes, **learning), ConvGeometry(5, 3, 3, padding=(1, 1))
    operands = [t.float() for t in tensors(pattern, geometry, (6, 6), 2, 3)]
    operands[0] = operands[0].relu()  # many exact zeros, as after ReLU
    operands[4] *= 0
    leaves = [t.requires_grad_() for t in operands]
    reuse_conv2d(*leaves, pattern, padding=1).square().sum().backward()
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)


def test_constant_input_has_finite_gradients():
    """Projections without deviation must not divide by zero."""
    pattern, geometry = Pattern(4, 2), ConvGeometry(4, 3, 2)
    operands = [t.float().requires_grad_() for t in tensors(pattern, geometry, (4, 4), 1, 0)]
    with torch.no_grad():
        operands[0].fill_(0.0)
        operands[4].zero_()
    reuse_conv2d(*operands, pattern).square().sum().backward()
    assert all(torch.isfinite(leaf.grad).all() for leaf in operands)


def test_a_ragged_slices_hash_rows_stay_zero_under_training():
    pattern, geometry = Pattern(4, 3, gradient="flip"), ConvGeometry(3, 3, (3, 1))  # K = 9: slices of 4, 4, 1
    operands = [t.requires_grad_() for t in tensors(pattern, geometry, (6, 6), 2, 3)]
    reuse_conv2d(*operands, pattern).square().sum().backward()
    gradient = operands[3].grad
    assert not gradient[2, 1:].any()
    assert gradient[2, :1].any()


@pytest.mark.parametrize("hashes", [8, 12, 16])
@pytest.mark.parametrize("relaxation", [{"slope": 10_000.0, "centre": 0.001}, {"slope": 40.0, "centre": 0.0}])
def test_trec_with_many_hashes_is_the_dense_relaxation_and_float32_is_close_to_it(hashes, relaxation):
    """Quotients of neighbouring ids are 1/2^H apart: lost in float32 if they were computed as they are written."""
    pattern = Pattern(4, hashes, scope="batch", sharing="layer", gradient="trec", **relaxation)
    generator = torch.Generator().manual_seed(hashes)
    scale = 1e-2 if pattern.slope > 1000 else 1.0  # some vectors are in the sigmoid's slope
    columns = scale * torch.randn(1, 300, 4, generator=generator, dtype=torch.float64)
    columns = columns.float().double()  # the same numbers in both precisions
    # Only the last bits differ, so that ids are neighbours.
    hash_vectors = torch.randn(1, 4, hashes, generator=generator).double()
    hash_vectors[:, :, : hashes - 2] = 0
    thresholds = torch.full((1, hashes), -1.0, dtype=torch.float64)
    thresholds[:, hashes - 2 :] = 0
    weights = torch.randn(4, 3, generator=generator).double()
    probe = torch.randn(1, 300, 3, generator=generator).double()

    def gradients(function, dtype):
        leaves = [t.to(dtype, copy=True).requires_grad_() for t in (columns, weights, hash_vectors, thresholds)]
        return torch.autograd.grad((function(*leaves) * probe.to(dtype)).sum(), leaves)

    reuse = Reuse(pattern)
    dense = gradients(lambda *leaves: dense_trec(*leaves, pattern), torch.float64)
    sparse = lambda x, w, *hashing: multiply(x, w.t(), *hashing, reuse)  # noqa: E731
    exact, rounded = gradients(sparse, torch.float64), gradients(sparse, torch.float32)
    assert dense[2][:, :, hashes - 2 :].abs().sum() > 0
    for mine, single, theirs in zip(exact, rounded, dense, strict=True):
        size = float(theirs.abs().max())
        assert (mine - theirs).abs().max() <= 1e-6 * size
        assert (single - theirs).abs().max() <= 2e-2 * size
