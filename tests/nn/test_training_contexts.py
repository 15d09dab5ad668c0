"""Training a reuse layer as PyTorch users train: autocast, torch.compile, a GPU, a seed."""

import copy

import pytest
import torch
from torch import nn

from ostinato.nn import calibrate, convert
from ostinato.reuse import Pattern

TREE = {"clustering": "tree", "init": "pca", "gradient": "frozen"}
PATTERNS = [
    Pattern(4, 3),
    Pattern(4, 3, sharing="block", gradient="trec", slope=20.0),
    Pattern(9, 3, "c.kh.kw", "batch", gradient="straight-through"),
    Pattern(4, 3, scope="compiled", sharing="block"),
    Pattern(6, 3, scope="compiled", **TREE),
    Pattern(5, 3, scope="across_batches"),
    Pattern(4, 2, "kw.c:4.kh", block_rows=2, row_order="b.oh:2.ow:2", similarity="angular"),
    Pattern(4, 3, clustering="kmeans", gradient="frozen"),
    Pattern(4, 3, scope="compiled", sharing="block", clustering="tree", init="pca", gradient="soft", table="free"),
]


def network(pattern):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1), nn.Flatten(), nn.Linear(144, 5))
    return convert(model, {"2": pattern}).train()


def images(seed=1, batch=4):
    return torch.randn(batch, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def step(model, x, twin=None):
    """Outputs in training, gradients, and outputs in evaluation afterwards; `twin` wraps the model."""
    run = model if twin is None else twin
    y = run(x)
    y.float().square().mean().backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    run.eval()
    with torch.no_grad():
        return y.detach(), gradients, run(x)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_autocast_trains_and_evaluates(pattern):
    """Under autocast the layer gets bfloat16 from the convolution before it and computes in float32."""
    model = network(pattern)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, gradients, evaluated = step(model, images())
    assert y.dtype == evaluated.dtype == torch.bfloat16
    assert all(torch.isfinite(g).all() for g in gradients.values())
    assert gradients["2.weight"].dtype == torch.float32
    assert gradients["2.weight"].any()
    assert gradients["0.weight"].any()
    if pattern.scope == "compiled":
        assert model[2].centroids.dtype == torch.float32


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_a_compiled_model_is_the_model(pattern):
    """torch.compile leaves what depends on the data as it is (graph breaks) and compiles the rest."""
    model = network(pattern)
    torch._dynamo.reset()
    other = copy.deepcopy(model)
    found, expected = step(other, images(), torch.compile(other, backend="aot_eager")), step(model, images())
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_the_same_seed_gives_the_same_bits(pattern):
    first, second = step(network(pattern), images()), step(network(pattern), images())
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[2], second[2])
    assert all(torch.equal(g, second[1][name]) for name, g in first[1].items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device here")
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_a_gpu_computes_what_the_cpu_does(pattern):
    model = network(pattern).double()
    there = copy.deepcopy(model).cuda()
    y, gradients, evaluated = step(there, images().double().cuda())
    expected = step(model, images().double())
    torch.testing.assert_close(y.cpu(), expected[0])
    torch.testing.assert_close(evaluated.cpu(), expected[2])
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient.cpu(), expected[1][name])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device here")
@pytest.mark.parametrize("pattern", PATTERNS[3:5], ids=str)
def test_calibration_on_a_gpu_is_calibration(pattern):
    here, there = (calibrate(network(pattern).double().to(d), images().double().to(d)) for d in ("cpu", "cuda"))
    for name, value in here.state_dict().items():
        torch.testing.assert_close(there.state_dict()[name].cpu(), value)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_every_tensor_is_made_on_the_device_of_the_input(pattern):
    """Where no GPU is, the meta device shows it: an operator that mixes devices refuses."""
    model, x = network(pattern), images()
    with torch.device("meta"):  # whatever is made without a device would land here
        y, gradients, evaluated = step(model, x)
    assert {t.device.type for t in (y, evaluated, *gradients.values())} == {"cpu"}
