"""TransformStem: conversion, calibration, evaluation, training, export, refusals."""

import copy

import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato.data import ImageDataset, Split
from ostinato.errors import ConversionError, ModelError, PatternError
from ostinato.nn import TransformStem, conversion_report, stem_layers
from ostinato.reuse import Pattern, StemPattern

PATTERN = StemPattern(groups=6, hashes=5, coefficients=12)


def images(count, seed=0, channels=3, size=12):
    """Smooth pixels of [−1, 1) with steps of 1/128."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, channels, 4, 4, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=size, mode="bilinear") + 0.05 * torch.randn(
        count, channels, size, size, generator=generator
    )
    return ((smooth * 60).round().clamp(-128, 127)) / 128


def network(channels=3, **options):
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(channels, 16, **{"kernel_size": 5, "padding": 2, "stride": 2, **options}))
    model.add_module("relu", nn.ReLU())
    model.add_module("conv2", nn.Conv2d(16, 8, 3))
    model.add_module("head", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)))
    return model.eval()


def stem_model(pattern=PATTERN, **options):
    return ost.calibrate(ost.convert(network(**options), {"conv1": pattern}), images(40))


def relative_error(model, x):
    exact, made = nn.functional.conv2d(x, model.conv1.weight, model.conv1.weight_bias, 2, 2), model.conv1(x)
    return float((exact - made).square().sum() / (exact - exact.mean((0, 2, 3), keepdim=True)).square().sum())


def test_a_calibrated_stem_is_close_to_the_convolution_and_closer_with_more_bits():
    x = images(20, seed=1)
    with torch.no_grad():
        errors = [
            relative_error(stem_model(pattern), x)
            for pattern in (StemPattern(3, 4, 12), StemPattern(6, 5, 12), StemPattern(0, coefficients=40))
        ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[0] < 0.5
    assert errors[2] < 0.02


def test_operator_and_differentiable_path_agree():
    model, x = stem_model(), images(3, seed=2)
    with torch.no_grad():
        operator = model.conv1(x)
    torch.testing.assert_close(model.conv1(x), operator)
    assert model.conv1(x).requires_grad


@pytest.mark.parametrize("groups", [6, 0])
def test_gradients_of_table_and_bias(groups):
    stem = stem_model(StemPattern(groups, 5, 12)).conv1.double()
    x = images(2, seed=3, size=9)
    table, bias = stem.table.detach().requires_grad_(True), stem.bias.detach().requires_grad_(True)

    def output(table, bias):
        return torch.func.functional_call(stem, {"table": table, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(output, (table, bias), fast_mode=True)


def test_revert_gives_the_conventional_layer_back():
    model = network()
    back = ost.revert(ost.calibrate(ost.convert(model, {"conv1": PATTERN, "conv2": Pattern(16, 3)}), images(20)))
    assert torch.equal(back.conv1.weight, model.conv1.weight)
    assert torch.equal(back.conv1.bias, model.conv1.bias)
    assert isinstance(back.conv1, nn.Conv2d)


def test_later_layers_are_calibrated_on_what_the_stem_makes():
    model = ost.convert(network(), {"conv1": PATTERN, "conv2": Pattern(16, 4, scope="compiled", init="pca")})
    seen = []
    ost.calibrate(model, images(20), progress=lambda *step: seen.append(step))
    assert seen == [("conv1", 1, 2), ("conv2", 2, 2)]
    assert model(images(2)).isfinite().all()


def test_reports_name_it():
    model = ost.convert(network(), {"conv1": PATTERN})
    assert list(stem_layers(model)) == ["conv1"]
    assert conversion_report(model)[0].reason == "DCT of 12 coefficients, G=6 H=5, compiled scope"
    assert "G=6 H=5" in repr(model)
    with pytest.raises(ConversionError, match="'conv1' is a reuse layer already"):
        ost.convert(model, {"conv1": PATTERN})


def test_it_survives_a_state_dict():
    model, x = stem_model(), images(2, seed=5)
    fresh = ost.convert(network(), {"conv1": PATTERN})
    fresh.load_state_dict(model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(fresh(x), model(x))


def test_export_has_one_node_for_it():
    model, x = stem_model(), images(3)
    program = torch.export.export(model, (x,))
    nodes = [n for n in program.graph.nodes if n.target is torch.ops.ostinato.transform_stem.default]
    assert [list(n.meta["nn_module_stack"].values())[-1][0] for n in nodes] == ["conv1"]
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x), model(x))


def test_fit_trains_the_table_and_leaves_the_transform():
    model = stem_model(kernel_size=3, padding=1)
    pixels = (images(48) * 128 + 128).to(torch.uint8)
    split = Split(pixels, torch.arange(48) % 4)
    dataset = ImageDataset("stripes", tuple("abcd"), split, split, split)
    before = {name: value.clone() for name, value in model.conv1.state_dict().items()}
    ost.fit(model, dataset, epochs=1, lr=0.05, batch_size=16, progress=False)
    changed = {name for name, value in model.conv1.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"table", "bias"}


@pytest.mark.parametrize(
    ("options", "pattern", "message"),
    [
        ({"channels": 8}, PATTERN, "'conv1' has 8 input channels.*at most 4"),
        ({"dilation": 2}, PATTERN, r"'conv1' has dilation \(2, 2\)"),
        ({"kernel_size": 17, "padding": 8}, PATTERN, "17×17 kernel.*up to 16×16"),
        ({"kernel_size": 1, "padding": 0}, StemPattern(2, 4, 4), "K=3 numbers.*at most 3"),
    ],
)
def test_layers_that_cannot_be_stems_are_refused(options, pattern, message):
    with pytest.raises(PatternError, match=message):
        ost.convert(network(**options), {"conv1": pattern})


def test_groups_and_bad_weights_are_refused():
    model = network()
    model.conv1 = nn.Conv2d(3, 6, 3, groups=3)
    with pytest.raises(ConversionError, match="groups=3"):
        ost.convert(model, {"conv1": PATTERN})
    broken = network()
    broken.conv1.weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(ModelError, match="'conv1' has NaN"):
        ost.convert(broken, {"conv1": PATTERN})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"groups": 17}, "groups must be an integer from 0 to 16, not 17"),
        ({"hashes": 9}, "hashes must be an integer from 1 to 8, not 9"),
        ({"coefficients": True}, "coefficients must be an integer"),
        ({"groups": 16, "hashes": 8, "bits": 4}, "128 bits, but 20 coefficients can have 20 to 80"),
        ({"groups": 2, "hashes": 4, "coefficients": 9}, "8 bits, but 9 coefficients can have 9 to 36"),
    ],
)
def test_patterns_that_are_nonsense_are_refused(fields, message):
    with pytest.raises(PatternError, match=message):
        StemPattern(**fields)


def test_patterns_are_read_back():
    assert StemPattern.from_dict(PATTERN.to_dict()) == PATTERN
    with pytest.raises(PatternError, match="no field 'length'"):
        StemPattern.from_dict({"length": 3})


def test_bad_input_is_refused():
    model = ost.convert(network(), {"conv1": PATTERN})
    with pytest.raises(ModelError, match="'conv1' is a transform-coded stem that was not fitted"):
        model(images(1))
    with pytest.raises(ModelError, match=r"'conv1' reads numbers from .*within \[-1, 1\)"):
        ost.calibrate(model, images(20) * 4)
    ost.calibrate(model, images(20))
    with pytest.raises(ModelError, match="NaN or infinite pixels"):
        model(images(1) * torch.nan)
    with pytest.raises(ModelError, match="no pixels"):
        model(images(0))
    assert isinstance(model.conv1, TransformStem)


def test_a_model_made_in_inference_mode_runs():
    model, x = stem_model(), images(3)
    with torch.inference_mode():
        torch.testing.assert_close(copy.deepcopy(model)(x), model(x), rtol=0, atol=0)
