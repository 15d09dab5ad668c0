"""Patterns that only the float side has are refused by the quantiser, by name."""

import pytest
import torch
from torch import nn

from ostinato.errors import UnsupportedError
from ostinato.nn import convert
from ostinato.quant.frontend import from_module
from ostinato.reuse import Pattern


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"block_rows": 2, "scope": "compiled"}, "block_rows=2 in compiled scope; supported is 1"),
        ({"clustering": "kmeans", "gradient": "frozen"}, "clustering='kmeans'.*'lsh' or 'tree'"),
        ({"clustering": "hypercube", "gradient": "frozen"}, "clustering='hypercube'"),
        ({"similarity": "angular"}, "similarity='angular'"),
        ({"scope": "batch"}, "one image"),
    ],
)
def test_what_firmware_cannot_express_is_refused_with_the_layers_name(fields, words):
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(4, 3, 3))
    model.add_module("conv2", nn.Conv2d(3, 3, 3))
    reuse = convert(model.eval(), {"conv2": Pattern(**{"length": 3, "hashes": 2, **fields})})
    with pytest.raises(UnsupportedError, match=f"conv2.*{words}"):
        from_module(reuse, torch.zeros(1, 4, 8, 8))
