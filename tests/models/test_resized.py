"""Networks with narrower layers than their definition: made again by name, refused where sizes are nonsense."""

from __future__ import annotations

import pytest
import torch

from ostinato import models
from ostinato.errors import ModelError
from ostinato.models.resized import layer_sizes

NARROW = {"conv1": [7, 3], "bn1": [7], "conv2": [9, 7], "bn2": [9], "fc1": [20, 225], "fc2": [192, 20]}


def test_a_network_is_made_with_other_sizes_and_says_so():
    model = models.create("cifarnet", sizes=NARROW).eval()
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert {name: size for name, size in layer_sizes(model).items() if name in NARROW} == NARROW
    again = models.create(model.architecture["model"], **model.architecture["kwargs"]).eval()
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(again(x), model(x))


def test_other_settings_of_a_layer_stay():
    model = models.create("resnet8", sizes={"stack2.conv1": [32, 16], "stack2.shortcut": [8, 16]})
    assert model.stack2.shortcut.stride == (2, 2)
    assert model.stack2.shortcut.weight.shape == (8, 16, 1, 1)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"conv9": [3, 3]}, "no convolution, linear or normalisation layer 'conv9'"),
        ({"conv1": [3]}, "'conv1' is \\[3\\], expected 2"),
        ({"bn1": [0]}, "'bn1' is \\[0\\]"),
        ({"fc1": [2.5, 3]}, "'fc1'"),
    ],
)
def test_nonsense_is_refused(sizes, words):
    with pytest.raises(ModelError, match=words):
        models.create("cifarnet", sizes=sizes)
