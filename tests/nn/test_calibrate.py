import pytest
import torch
from torch import nn

from ostinato.errors import ModelError
from ostinato.nn import calibrate, convert, reuse_layers
from ostinato.reuse import Pattern, bindec


class Network(nn.Module):
    """Defined in another order than it runs."""

    def __init__(self):
        super().__init__()
        self.second = nn.Conv2d(8, 6, 3, padding=1)
        self.first = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x):
        return self.second(self.norm(self.first(x)).relu())


def network(seed=0):
    torch.manual_seed(seed)
    model = Network()
    for _ in range(20):
        model(images())
    return model.eval()


def images(count=30, seed=0):
    """Smooth noise: neighbouring pixels resemble each other, as in photographs."""
    noise = torch.randn(count, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(noise, size=(10, 10), mode="bilinear")


def error(model, reference, x):
    with torch.no_grad():
        target = reference(x)
        return float((model(x) - target).norm() / (target - target.mean((0, 2, 3), keepdim=True)).norm())


SCOPES = [("image", "slice"), ("batch", "layer"), ("compiled", "slice"), ("compiled", "block"), ("compiled", "layer")]


TREE = {"clustering": "tree", "init": "pca", "gradient": "frozen"}


@pytest.mark.parametrize("hashing", [{"init": "itq"}, TREE])
@pytest.mark.parametrize(("scope", "sharing"), SCOPES)
def test_calibration_brings_the_network_close_to_the_conventional_one(scope, sharing, hashing):
    model = network()
    errors = {}
    for refit in (False, True):
        reuse = convert(model, {"second": Pattern(4, 3, scope=scope, sharing=sharing, **hashing)})
        calibrate(reuse, images(), refit=refit, batch_size=10)
        errors[refit] = error(reuse, model, images(seed=9))
    assert errors[True] < errors[False] < 0.9


def test_without_refit_weights_stay_and_with_it_they_follow_the_conventional_outputs():
    model = network()
    reuse = convert(model, {"second": Pattern(4, 2, scope="compiled", sharing="block", init="pca")})
    calibrate(reuse, images(), refit=False)
    assert torch.equal(reuse.second.weight, model.second.weight)
    before = error(reuse, model, images())
    calibrate(reuse, images())
    assert not torch.equal(reuse.second.weight, model.second.weight)
    assert error(reuse, model, images()) < before


@pytest.mark.parametrize("init", ["median", "pca", "itq"])
def test_hashes_are_fitted_to_the_inputs_of_the_layer(init):
    model = network()
    reuse = convert(model, {"second": Pattern(4, 3, sharing="block", scope="compiled", init=init)})
    calibrate(reuse, images())
    with torch.no_grad():
        inputs = nn.functional.pad(model.norm(model.first(images())).relu(), (1, 1, 1, 1))
        blocks = inputs.permute(0, 2, 3, 1).reshape(-1, 2, 4)
        for g in range(2):
            p = blocks[:, g] @ reuse.second.hash_vectors[g] - reuse.second.thresholds[g]
            torch.testing.assert_close(p.std(0), torch.ones(3), rtol=0.05, atol=0.05)
            assert bindec(p).unique().numel() > 4
            number = int(bindec(p).mode().values)
            member = bindec(p) == number
            mean = blocks[member, g].mean(0)
            torch.testing.assert_close(reuse.second.centroids[g, number], mean, rtol=1e-4, atol=1e-4)
            assert float(reuse.second.centroid_counts[g].sum()) == pytest.approx(len(blocks))


def test_a_tree_is_fitted_to_what_its_layers_weights_make_of_the_inputs():
    """Channels that the weights do not look at do not decide ids."""
    model = network()
    with torch.no_grad():
        model.second.weight[:, [0, 1, 6]] = 0
    reuse = calibrate(convert(model, {"second": Pattern(4, 3, sharing="block", scope="compiled", **TREE)}), images())
    planes = reuse.second.hash_vectors.abs().sum(2)
    assert (planes[0, :2] + planes[1, 2] < 1e-5).all()
    assert (planes[0, 2:] > 0.01).all()
    assert float(reuse.second.centroid_counts.gt(0).sum(1).min()) > 6


def test_random_hashes_are_not_drawn_again():
    reuse = convert(network(), {"second": Pattern(4, 3)})
    before = reuse.second.hash_vectors.clone()
    calibrate(reuse, images())
    assert torch.equal(reuse.second.hash_vectors, before)
    assert not reuse.second.thresholds.any()


def test_layers_are_calibrated_in_the_order_in_which_they_run():
    reuse = convert(network(), {name: Pattern(3, 3, init="pca", scope="compiled") for name in ("second", "first")})
    seen = []
    calibrate(reuse, images(), batch_size=7, progress=lambda *step: seen.append(step))
    assert seen == [("first", 1, 2), ("second", 2, 2)]


def test_a_later_layer_sees_what_the_reuse_layers_before_it_produce():
    model = network()
    reuse = convert(model, {name: Pattern(9, 2, init="pca", scope="compiled") for name in ("second", "first")})
    calibrate(reuse, images(), refit=False)
    alone = convert(model, {"second": Pattern(9, 2, init="pca", scope="compiled")})
    calibrate(alone, images(), refit=False)
    assert not torch.allclose(reuse.second.centroids, alone.second.centroids)
    with torch.no_grad():
        inputs = reuse.norm(reuse.first(images())).relu()
        reuse.second.running().centroids.zero_()
        reuse.second.running().counts.zero_()
        reuse.second.train()(inputs)
    first_pass = {k: v.clone() for k, v in reuse.second.state_dict().items()}
    calibrate(reuse, images(), refit=False)
    seen = first_pass["centroid_counts"] > 0
    torch.testing.assert_close(reuse.second.centroids[seen], first_pass["centroids"][seen], rtol=1e-4, atol=1e-5)


def test_calibration_is_deterministic_and_leaves_the_mode():
    states = []
    for _ in range(2):
        reuse = convert(network(), {"second": Pattern(4, 3, scope="compiled", init="itq")}).train()
        calibrate(reuse, images())
        assert all(module.training for module in reuse.modules())
        states.append(reuse.state_dict())
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_calibration_does_not_touch_batch_norm():
    reuse = convert(network(), {"second": Pattern(4, 3)}).train()
    before = reuse.norm.running_mean.clone()
    calibrate(reuse, images())
    assert torch.equal(reuse.norm.running_mean, before)


def test_a_layer_without_bias_gets_none():
    torch.manual_seed(0)
    reuse = convert(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False)), {"0": Pattern(9, 3, init="pca")})
    calibrate(reuse, images())
    assert reuse_layers(reuse)["0"].bias is None


def test_a_bare_layer_is_calibrated():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3)
    reuse = convert(conv, Pattern(9, 3, init="pca", scope="compiled"))
    calibrate(reuse, images())
    assert error(reuse.eval(), conv, images()) < 0.9


@pytest.mark.parametrize("bad", [torch.zeros(0, 3, 10, 10), torch.zeros(3, 10, 10), torch.zeros(2, 3, 10, 10).int()])
def test_images_that_are_none_are_refused(bad):
    with pytest.raises(ModelError, match="calibration needs"):
        calibrate(convert(network(), {"second": Pattern(4, 3)}), bad)


def test_nan_images_are_refused_and_leave_the_model_in_its_mode():
    reuse = convert(network(), {"second": Pattern(4, 3, scope="compiled")}).train()
    with pytest.raises(ModelError, match="NaN"):
        calibrate(reuse, images() * float("nan"))
    assert reuse.second.training


def test_a_layer_that_never_runs_is_refused():
    model = network()
    model.spare = nn.Conv2d(3, 4, 3)
    with pytest.raises(ModelError, match="'spare' never runs"):
        calibrate(convert(model, {"spare": Pattern(9, 3)}), images())


def test_conventional_layers_behind_a_reused_one_are_refitted_when_asked():
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1)
    ).eval()
    pattern = Pattern(8, 2, scope="compiled", sharing="block", clustering="tree", init="pca", gradient="frozen")
    x, seen = images(60), []
    plain = calibrate(convert(model, {"2": pattern}), x).eval()
    refitted = calibrate(
        convert(model, {"2": pattern}), x, refit_dense=True, progress=lambda *step: seen.append(step)
    ).eval()
    assert seen == [("2", 1, 3), ("4", 2, 3), ("6", 3, 3)]
    assert error(refitted, model, images(60, seed=1)) < error(plain, model, images(60, seed=1))
    for layer in (0, 2):  # before the first reused one, and the reused one itself: as without
        assert torch.equal(plain[layer].weight, refitted[layer].weight)
