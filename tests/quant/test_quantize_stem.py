"""A transform-coded stem as integers: the float layer's ids, an output close to it, refusals, firmware."""

import numpy as np
import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.quant import quantize, quantize_input
from ostinato.quant.reference import execute
from ostinato.quant.stem_ops import QStem
from ostinato.quant.stem_reference import stem_row_ids
from ostinato.reuse import StemPattern
from ostinato.reuse.stem import coefficients, stem_ids


def images(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    smooth = nn.functional.interpolate(torch.randn(count, 3, 4, 4, generator=generator), size=12, mode="bilinear")
    noise = 0.05 * torch.randn(count, 3, 12, 12, generator=generator)
    return ((smooth + noise) * 60).round().clamp(-128, 127) / 128


def model(pattern=StemPattern(5, 5, 10), **options):  # noqa: B008 (frozen)
    torch.manual_seed(0)
    net = nn.Sequential()
    net.add_module("conv1", nn.Conv2d(3, 20, **{"kernel_size": 5, "padding": 1, **options}))
    net.add_module("norm", nn.BatchNorm2d(20))
    net.add_module("rest", nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 6)))
    net(images(50))  # statistics of the batch norm
    return ost.calibrate(ost.convert(net.eval(), {"conv1": pattern}), images(40)).eval()


def integers(net, **options):
    return quantize(net, images(30, seed=1), **{"input_scale": 1 / 128, **options})


@pytest.mark.parametrize("options", [{}, {"kernel_size": 3, "stride": 2, "padding": 0}, {"kernel_size": (4, 3)}])
def test_ids_are_the_float_layers_and_outputs_are_close(options):
    net, x = model(StemPattern(10, 4, 20), **options), images(6, seed=2)
    graph = integers(net)
    op = graph.op("conv1")
    assert isinstance(op, QStem)
    with torch.no_grad():
        ids = stem_ids(coefficients(x, net.conv1.transform, net.conv1.geometry), net.conv1.transform, 10)
        real = torch.relu(net.norm(net.conv1(x))).permute(0, 2, 3, 1).numpy()
    errors = []
    for image, q in enumerate(quantize_input(x, graph.input)):
        np.testing.assert_array_equal(stem_row_ids(op, q), ids[image].flatten(0, 1).numpy())
        made = execute(graph, q)[op.output.name].astype(float)
        wanted = np.clip(real[image] / op.output.scale + op.output.zero_point, -128, 127)
        errors.append(np.abs(made - wanted))
    # Rounding of ten rows; a few entries of a random layer's table span more steps than int8 has, and are clipped.
    assert np.percentile(errors, 99) < 3.0
    assert np.mean(errors) < 1.0


def test_firmware_has_the_same_bits_on_host_and_simulator():
    net = model()
    firmware = ost.deploy(net, images(16), input_scale=1 / 128, verify_images=2)
    report = firmware.simulate()
    assert report.layers[0].kernel.startswith("stem_s8_10x20_G5_")
    assert report.layers[0].phases["recovering"] > 0


def test_other_inputs_than_pixels_are_refused():
    net = model()
    with pytest.raises(QuantizationError, match=r"'conv1': the input has scale 0\.1 .*input_scale=1/128"):
        integers(net, input_scale=0.1)
    with pytest.raises(QuantizationError, match="zero point 3"):
        integers(net, input_zero_point=3)
    behind = nn.Sequential(nn.MaxPool2d(1, 1), net)
    with pytest.raises(UnsupportedError, match=r"conv1.*must read the network's input"):
        integers(behind)


def test_the_form_without_groups_is_refused():
    with pytest.raises(UnsupportedError, match=r"conv1.*without groups"):
        integers(model(StemPattern(0, coefficients=12)))


def test_ids_that_never_change_are_refused():
    net = model()
    net.conv1.maps.zero_()
    with pytest.raises(QuantizationError, match="all ids are 0"):
        integers(net)


def test_groups_without_coefficients_become_part_of_the_offset():
    net, x = model(), images(2, seed=3)
    net.conv1.maps[net.conv1.id_groups == 2] = 0
    op = integers(net).op("conv1")
    assert op.rows == 4
    graph = integers(net)
    with torch.no_grad():
        real = torch.relu(net.norm(net.conv1(x))).permute(0, 2, 3, 1).numpy()
    made = execute(graph, quantize_input(x, graph.input)[0])[op.output.name].astype(float)
    wanted = np.clip(real[0] / op.output.scale + op.output.zero_point, -128, 127)
    assert np.sqrt(np.square(made - wanted).mean()) < 2.0
