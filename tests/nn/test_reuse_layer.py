import copy

import pytest
import torch
from torch import nn

from ostinato.errors import ConversionError, ModelError, PatternError
from ostinato.nn import ReuseConv2d, calibrate, measure_reuse
from ostinato.reuse import ConvGeometry, Pattern, reuse_conv2d

TREE = {"clustering": "tree", "init": "pca", "gradient": "frozen"}
PATTERNS = [
    Pattern(5, 3),
    Pattern(4, 3, "c.kh.kw", "batch", "layer"),
    Pattern(5, 3, scope="compiled"),
    Pattern(3, 3, scope="compiled", sharing="block"),
    Pattern(5, 2, **TREE),
    Pattern(3, 3, scope="compiled", sharing="block", **TREE),
    Pattern(4, 3, "kw.c:4.kh", block_rows=2, row_order="b.oh:2.ow:2", similarity="angular"),
    Pattern(4, 2, scope="compiled", block_rows=2, **TREE),
    Pattern(2, 3, "c:4.kh.kw", "batch", "layer", direction="horizontal", block_rows=4, row_order="oh.ow.b"),
    Pattern(54, 3, clustering="kmeans", gradient="frozen", similarity="angular"),
    Pattern(6, 2, clustering="hypercube", gradient="frozen", bins=3),
]


def conv(seed=0, **fields):
    torch.manual_seed(seed)
    return nn.Conv2d(6, 4, 3, **fields)


def images(seed=1, batch=4, size=7):
    return torch.randn(batch, 6, size, size, generator=torch.Generator().manual_seed(seed))


def trained(pattern, **fields):
    layer = ReuseConv2d.from_conv(conv(**fields), pattern, "conv2").train()
    if pattern.clustering == "tree":
        calibrate(layer, images(), refit=False)
    with torch.no_grad():
        layer(images())
    return layer.eval()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_layer_is_reuse_conv2d_of_its_tensors(pattern):
    layer = trained(pattern, stride=2, padding=(1, 0), dilation=(1, 2))
    with torch.no_grad():
        y = layer(images())
    expected = reuse_conv2d(
        images(), layer.weight, layer.bias, layer.hash_vectors, layer.thresholds, pattern,
        stride=2, padding=(1, 0), dilation=(1, 2), centroids=layer.centroids, counts=layer.centroid_counts,
    )  # fmt: skip
    assert torch.equal(y, expected)
    assert torch.equal(layer(images()), y)  # with gradients enabled, by the differentiable path


@pytest.mark.parametrize("pattern", PATTERNS)
def test_from_conv_and_back_keeps_weights_and_shape(pattern):
    original = conv(stride=2, padding=1)
    layer = ReuseConv2d.from_conv(original, pattern)
    back = layer.to_conv()
    assert torch.equal(back(images()), original(images()))
    assert layer.weight is not original.weight
    assert layer.geometry == ConvGeometry(6, 4, 3, 2, 1)


def test_parameters_and_buffers_have_the_documented_shapes():
    layer = ReuseConv2d(ConvGeometry(6, 4, 3), Pattern(5, 3, scope="compiled"))
    assert layer.hash_vectors.shape == (11, 5, 3)
    assert layer.thresholds.shape == (11, 3)
    assert layer.centroids.shape == (11, 8, 5)
    assert layer.centroid_counts.shape == (11, 8)
    assert not layer.hash_vectors[-1, 4:].any()
    assert not layer.thresholds.any()
    block = ReuseConv2d(ConvGeometry(6, 4, 3), Pattern(3, 3, scope="compiled", sharing="block"), bias=False)
    assert block.hash_vectors.shape == (2, 3, 3)
    assert block.centroids.shape == (2, 8, 3)
    assert block.bias is None
    assert ReuseConv2d(ConvGeometry(6, 4, 3), Pattern(5, 3, sharing="layer")).hash_vectors.shape == (1, 5, 3)
    assert "centroids" not in ReuseConv2d(ConvGeometry(6, 4, 3), Pattern(5, 3)).state_dict()


@pytest.mark.parametrize("gradient", ["flip", "trec", "straight-through", "frozen"])
@pytest.mark.parametrize("pattern", PATTERNS[:4])
def test_every_gradient_trains(pattern, gradient):
    pattern = Pattern.from_dict({**pattern.to_dict(), "gradient": gradient, "slope": 10.0, "window": 2.0})
    layer = ReuseConv2d.from_conv(conv(), pattern)
    layer(images()).square().mean().backward()
    assert layer.weight.grad.abs().sum() > 0
    assert (layer.hash_vectors.grad is None) == (gradient == "frozen")
    if gradient != "frozen":
        assert layer.hash_vectors.grad.abs().sum() > 0
        assert layer.thresholds.grad.abs().sum() > 0


def test_a_tree_trains_everything_but_itself():
    layer = trained(PATTERNS[5]).train()
    before = copy.deepcopy(layer.state_dict())
    x = images(3).requires_grad_()
    layer(x).square().mean().backward()
    assert layer.weight.grad.abs().sum() > 0
    assert x.grad.abs().sum() > 0
    assert not layer.hash_vectors.requires_grad
    assert not layer.thresholds.requires_grad
    assert not torch.equal(before["centroids"], layer.centroids)


def test_a_trees_planes_are_one_for_each_node():
    layer = ReuseConv2d(ConvGeometry(6, 4, 3), PATTERNS[5])
    assert layer.hash_vectors.shape == (2, 3, 7)
    assert layer.thresholds.shape == (2, 7)
    assert layer.centroids.shape == (2, 8, 3)


def test_a_tree_fills_ids_that_were_never_seen_from_its_own_branches():
    layer = trained(Pattern(3, 6, scope="compiled", sharing="block", **TREE))
    unseen = layer.centroid_counts == 0
    assert unseen.any()
    assert torch.equal(layer.centroids, layer.running().filled("tree"))
    assert not torch.allclose(layer.centroids, layer.running().filled())


@pytest.mark.parametrize(
    "pattern",
    [
        Pattern(6, 2),
        Pattern(6, 2, scope="compiled", sharing="block"),
        Pattern(6, 2, block_rows=2, row_order="b.oh:2.ow", order="kw.c.kh"),
        Pattern(1, 3, "c.kh.kw", direction="horizontal", sharing="layer", block_rows=20),
        Pattern(6, 2, similarity="angular"),
    ],
)
def test_learning_the_hash_by_flips_lowers_the_reconstruction_error(pattern):
    """Descent on the hash alone, towards the conventional output of smooth images."""
    original = conv()
    layer = ReuseConv2d.from_conv(original, pattern)
    x, losses = nn.functional.interpolate(images(batch=8, size=4), size=(12, 12), mode="bilinear"), []
    optimiser = torch.optim.Adam([layer.hash_vectors, layer.thresholds], lr=0.02)
    for _ in range(40):
        loss = (layer(x) - original(x)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.9 * losses[0]


def test_same_padding_is_understood_where_it_is_even():
    original = conv(padding="same", dilation=2)
    layer = ReuseConv2d.from_conv(original, Pattern(54, 16))
    assert layer.geometry.padding == (2, 2)
    assert layer(images()).shape == original(images()).shape
    assert ReuseConv2d.from_conv(conv(padding="valid"), Pattern(5, 3)).geometry.padding == (0, 0)
    with pytest.raises(ConversionError, match="uneven"):
        ReuseConv2d.from_conv(nn.Conv2d(6, 4, 2, padding="same"), Pattern(5, 3))


@pytest.mark.parametrize(
    ("fields", "words"), [({"groups": 2}, "groups=2"), ({"padding_mode": "reflect", "padding": 1}, "reflect")]
)
def test_what_cannot_be_reused_is_refused_by_name(fields, words):
    with pytest.raises(ConversionError, match=f"'conv2'.*{words}"):
        ReuseConv2d.from_conv(conv(**fields), Pattern(3, 3), "conv2")


def test_weights_that_are_not_finite_are_refused():
    broken = conv()
    with torch.no_grad():
        broken.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelError, match="'conv2': its weight"):
        ReuseConv2d.from_conv(broken, Pattern(3, 3), "conv2")


def test_a_pattern_that_does_not_fit_is_refused():
    with pytest.raises(PatternError, match=r"'conv2'.*K = 54"):
        ReuseConv2d.from_conv(conv(), Pattern(28, 3, direction="horizontal", sharing="layer"), "conv2")


def test_compiled_evaluation_before_any_training_is_refused():
    layer = ReuseConv2d.from_conv(conv().eval(), Pattern(5, 3, scope="compiled"), "conv2")
    with pytest.raises(ModelError, match=r"'conv2'.*no centroids yet.*calibrate"):
        layer(images())


def test_a_fitted_initialisation_that_was_never_fitted_warns_once(recwarn):
    layer = ReuseConv2d.from_conv(conv(), Pattern(5, 3, init="pca"), "conv2")
    with pytest.warns(UserWarning, match=r"'conv2' runs with random hashes.*calibrate"):
        layer(images())
    recwarn.clear()
    layer(images())
    calibrate(fitted := ReuseConv2d.from_conv(conv(), Pattern(5, 3, init="pca")), images())
    fitted(images())
    dead = ReuseConv2d.from_conv(conv(), PATTERNS[4])
    calibrate(dead, images()[:, :, :3, :3])  # four vectors a slice: too few to cut
    dead(images())
    assert not dead.hash_vectors.any()
    assert not recwarn.list


def test_training_updates_running_centroids_and_evaluation_does_not():
    layer = trained(PATTERNS[2])
    before = copy.deepcopy(layer.state_dict())
    with torch.no_grad():
        layer(images(2))
    assert all(torch.equal(before[k], v) for k, v in layer.state_dict().items())
    layer.train()
    layer(images(2))
    assert not torch.equal(before["centroids"], layer.centroids)


def test_evaluation_fills_ids_that_were_never_seen():
    layer = trained(Pattern(5, 6, scope="compiled"))
    unseen = layer.centroid_counts == 0
    assert unseen.any()
    assert layer.centroids[unseen].abs().sum() > 0
    torch.testing.assert_close(layer.centroids, layer.filled_centroids())
    layer.train()
    layer(images(3))
    with torch.no_grad():
        layer.eval()(images(4))
    torch.testing.assert_close(layer.centroids, layer.filled_centroids())


@pytest.mark.parametrize("pattern", PATTERNS)
def test_state_dicts_round_trip(pattern):
    layer = trained(pattern)
    other = ReuseConv2d.from_conv(conv(seed=5), pattern).eval()
    other.load_state_dict(layer.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(other(images()), layer(images()))


def test_a_checkpoint_of_another_pattern_is_refused():
    with pytest.raises(RuntimeError, match="size mismatch"):
        trained(Pattern(5, 3)).load_state_dict(trained(Pattern(6, 3)).state_dict())


def test_measure_reuse_counts_and_stops_counting():
    layer = trained(PATTERNS[2])
    model = nn.Sequential(nn.Identity(), layer)
    with torch.no_grad(), measure_reuse(model) as stats:
        plain = model(images())
        model(images(9))
    first = stats["1"]
    assert first.vectors == 2 * 4 * 25 * 11
    assert 0 < first.clusters <= 2 * 11 * 8
    assert first.r_t == 1 - first.clusters / first.vectors
    assert layer.recorder is None
    with torch.no_grad():
        assert torch.equal(model(images()), plain)
    assert first.vectors == 2 * 4 * 25 * 11


def test_measure_reuse_counts_vectors_with_ids_never_seen():
    layer = trained(Pattern(5, 8, scope="compiled"))
    with torch.no_grad(), measure_reuse(layer) as stats:
        layer(images())
    assert stats["(model)"].unseen == 0
    with torch.no_grad(), measure_reuse(layer) as stats:
        layer(3 * images(7))
    ids = layer.cluster_ids(3 * images(7))
    expected = (layer.centroid_counts[torch.arange(11), ids] == 0).sum()
    assert stats["(model)"].unseen == expected > 0


def test_deepcopy_and_double_precision():
    layer = copy.deepcopy(trained(PATTERNS[3])).double()
    with torch.no_grad():
        y = layer(images().double())
    assert y.dtype == torch.float64
    torch.testing.assert_close(y.float(), trained(PATTERNS[3])(images()).detach(), rtol=1e-4, atol=1e-4)


def test_repr_names_the_pattern():
    assert "compiled scope" in repr(trained(PATTERNS[2]))
