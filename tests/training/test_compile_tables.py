import pytest
import torch

from ostinato import data, models
from ostinato.errors import ConversionError, PatternError
from ostinato.nn import reuse_layers
from ostinato.reuse import Pattern
from ostinato.training import compile_tables

TREE = Pattern(8, 4, scope="compiled", sharing="block", clustering="tree", init="pca", gradient="frozen")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = models.cifarnet()
    for _ in range(5):  # statistics of normalisations
        model(torch.randn(20, 3, 32, 32))
    return model.eval()


def error(model, reference, x):
    with torch.no_grad():
        return float((model(x) - reference(x)).norm() / reference(x).norm())


def test_one_call_gives_a_calibrated_network(digits, network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    compiled = compile_tables(network, digits, {"conv2": TREE}, images=100).eval()
    assert list(reuse_layers(compiled)) == ["conv2"]
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())
    assert error(compiled, network, data.to_input(digits.valid.images[:50])) < 0.5


def test_each_step_can_be_left_out_and_the_draw_is_seeded(digits, network):
    x = data.to_input(digits.valid.images[:50])

    def made(**options):
        return compile_tables(network, digits, {"conv2": TREE}, images=100, **options).eval()

    full = made()
    assert error(made(), full, x) == 0
    assert error(made(seed=1), full, x) > 0
    for step in ("group", "refit"):
        assert error(made(**{step: False}), full, x) > 0
    unrefitted = made(refit=False, refit_dense=False)
    assert error(full, network, x) < error(unrefitted, network, x)


def test_images_can_be_given_instead_of_a_data_set(digits, network):
    shown = data.to_input(digits.train.subset(100, 0).images)
    x = data.to_input(digits.valid.images[:50])
    given = compile_tables(network, shown, {"conv2": TREE}).eval()
    assert error(given, compile_tables(network, digits, {"conv2": TREE}, images=100).eval(), x) == 0


def test_refusals(digits, network):
    with pytest.raises(PatternError, match=r"layer .conv2.: compile_tables .* needs scope .compiled., not .image."):
        compile_tables(network, digits, {"conv2": Pattern(8, 4)})
    with pytest.raises(ConversionError, match="no layer 'conv3'"):
        compile_tables(network, digits, {"conv3": TREE})
    with pytest.raises(PatternError, match="layer 'conv2'"):
        compile_tables(network, digits, {"conv2": Pattern(7, 4, scope="compiled", sharing="block")})
