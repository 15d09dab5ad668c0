"""From a module to the float graph: what is understood computes the same, what is not is refused in one sentence."""

from __future__ import annotations

import pytest
import torch
from quant_helpers import convolutional, images, reused, settle
from torch import Tensor, nn
from torch.nn import functional as F

import ostinato.nn as onn
from ostinato.errors import ModelError, UnsupportedError
from ostinato.quant.evaluate import run
from ostinato.quant.frontend import from_module
from ostinato.quant.graph import FloatConv, FloatPool, FloatReuse
from ostinato.reuse import Pattern


class Free(nn.Module):
    """Its forward is the given function, on a convolution that it may use."""

    def __init__(self, function) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


MODELS = {
    "everything": lambda: nn.Sequential(
        nn.Conv2d(3, 8, (3, 2), stride=(1, 2), padding=(1, 0), dilation=(1, 2), bias=False), nn.BatchNorm2d(8),
        nn.ReLU6(), nn.MaxPool2d(3, 2, 1), nn.Dropout2d(), nn.Conv2d(8, 6, 1), nn.Hardtanh(-0.5, 0.5), nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(),
        nn.Linear(7, 4, bias=False),
    ),
    "functional": lambda: Free(
        lambda m, x: F.linear(
            F.max_pool2d(F.relu6(m.conv(x)).clamp(max=1.0), 2).mean((2, 3)), torch.full((5, 4), 0.3).to(x)
        )
    ),
    "parametrised": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU()),
    "no affine": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding="same"), nn.BatchNorm2d(4, affine=False)),
    "squeezes": lambda: Free(lambda m, x: F.adaptive_avg_pool2d(m.conv(x), 1).squeeze(-1).squeeze(-1)),
    "in place": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding="valid"), nn.ReLU(inplace=True), nn.ReLU6(True)),
    "padded average": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_computes_what_the_module_does(name: str) -> None:
    torch.manual_seed(0)
    model = settle(MODELS[name]()).double()
    x = images(3).double()
    graph = from_module(model, x[:1])
    with torch.no_grad():
        expected = model(x)
    assert torch.allclose(run(graph, x)[graph.output].reshape(expected.shape), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("scope", "sharing", "order"), [("image", "slice", "c.kh.kw"), ("image", "block", "kh.kw.c"),
                                    ("compiled", "block", "kh.kw.c"), ("compiled", "layer", "c.kh.kw")],
)  # fmt: skip
def test_reuse_layers_are_one_operator(scope: str, sharing: str, order: str) -> None:
    model = reused(Pattern(8, 3, scope=scope, sharing=sharing, order=order, init="median")).double()
    x = images(3).double()
    graph = from_module(model, x[:1])
    layer = graph.op("3")
    assert isinstance(layer, FloatReuse)
    assert layer.pattern.scope == scope
    assert torch.allclose(run(graph, x)[graph.output], model(x), atol=1e-10)


def test_operators_are_named_after_layers() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.ModuleDict({"conv": nn.Conv2d(3, 3, 3, padding=1)})
            self.pool = nn.MaxPool2d(2)

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(2):
                x = self.pool(F.relu(self.body["conv"](x)))
            return x

    graph = from_module(Twice(), images(1))
    assert [op.name for op in graph.ops if isinstance(op, FloatConv)] == ["body.conv", "body.conv_1"]
    assert [op.name for op in graph.ops if isinstance(op, FloatPool)] == ["pool", "pool_1"]
    assert len({op.name for op in graph.ops}) == len(graph.ops)


def test_a_final_softmax_is_left_out_and_noted() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(432, 5), nn.Softmax(1))
    graph = from_module(model, images(1))
    assert "softmax at the end is left out" in graph.notes[0]
    assert torch.allclose(run(graph, images(2))[graph.output].softmax(1), model(images(2)), atol=1e-6)


def test_the_model_is_left_as_it_was() -> None:
    model = convolutional().train()
    model[4].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    from_module(model, images(1))
    assert model.training
    assert not model[4].training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


REFUSED = {
    r"layer '0' \(Conv2d\): operator aten\.pad is not supported; supported are Conv2d":
        lambda: nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
    r"layer '0' \(Conv2d\): padding='same' with kernel \(2, 2\)": lambda: nn.Conv2d(3, 3, 2, padding="same"),
    r"layer '0' \(ConvTranspose2d\): operator aten\.conv_transpose2d": lambda: nn.ConvTranspose2d(3, 3, 3),
    r"layer '0' \(GELU\): operator aten\.gelu": nn.GELU,
    r"layer '0' \(MaxPool2d\): pooling with ceil_mode=True gives 5×5": lambda: nn.MaxPool2d(3, 3, 1, ceil_mode=True),
    r"layer '0' \(AvgPool2d\): average pooling that counts padding": lambda: nn.AvgPool2d(3, 1, 1),
    r"layer '0' \(AvgPool2d\): average pooling with divisor_override":
        lambda: nn.AvgPool2d(2, divisor_override=3),
    r"layer '0' \(AdaptiveAvgPool2d\): adaptive pooling of 12×12 to 5×5": lambda: nn.AdaptiveAvgPool2d(5),
    r"layer '0' \(Linear\): a linear layer on a tensor of shape \(1, 3, 12, 12\)": lambda: nn.Linear(12, 4),
    r"layer '0' \(Hardtanh\): a clamp to \[1, 2\] is not supported": lambda: nn.Hardtanh(1, 2),
    r"layer '0' \(BatchNorm2d\): batch norm uses the statistics of the batch":
        lambda: nn.BatchNorm2d(3, track_running_stats=False),
    r"the forward of Free: reshaping \(1, 4, 12, 12\) to \(1, 4, 144\)":
        lambda: Free(lambda m, x: m.conv(x).view(1, 4, 144)),
    r"the forward of Free: operator aten\.mul is not supported": lambda: Free(lambda m, x: m.conv(x) * m.conv(x)),
    r"the forward of Free: aten\.add reads something other than an activation":
        lambda: Free(lambda m, x: m.conv(x) + 1),
    r"the forward of Free: a sum of tensors of shapes \(1, 4, 12, 12\) and \(1, 4, 1, 1\)":
        lambda: Free(lambda m, x: m.conv(x) + m.conv(x).mean((2, 3), keepdim=True)),
    r"the forward of Free: a sum with alpha=2": lambda: Free(lambda m, x: torch.add(m.conv(x), m.conv(x), alpha=2)),
    r"the forward of Free: a concatenation along dimension 2":
        lambda: Free(lambda m, x: torch.cat([m.conv(x), m.conv(x)], 2)),
    r"the forward of Free: aten\.cat reads something other than an activation":
        lambda: Free(lambda m, x: torch.cat([m.conv(x), m.conv.weight[:1].mean() + torch.ones(1, 1, 12, 12)], 1)),
    r"the forward of Free: dropout is active in evaluation": lambda: Free(lambda m, x: F.dropout(m.conv(x), 0.5)),
    r"the forward of Free: a mean over dimensions \[1\]": lambda: Free(lambda m, x: m.conv(x).mean(1)),
    r"the forward of Free: weight of aten\.conv2d depends on the input":
        lambda: Free(lambda m, x: F.conv2d(x, F.relu(x))),
    r"the forward of Free: operator aten\.randn_like is not supported":
        lambda: Free(lambda m, x: F.conv2d(x, torch.randn_like(m.conv.weight))),
    r"the forward of Free: aten\.conv2d reads something other than an activation":
        lambda: Free(lambda m, x: F.conv2d(m.conv.weight, x, padding=6)),
    r"Free cannot be exported by torch\.export for an input of shape \(1, 3, 12, 12\)":
        lambda: Free(lambda m, x: m.conv(x) if x.sum() > 0 else x),
    r"Free has 1 inputs and 2 outputs": lambda: Free(lambda m, x: (m.conv(x), x)),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_the_unsupported_is_refused_by_name(message: str) -> None:
    part = REFUSED[message]()
    model = part if isinstance(part, Free) else nn.Sequential(part)
    with pytest.raises(UnsupportedError, match=message) as caught:
        from_module(model, images(1))
    assert "\n" not in str(caught.value)


def test_a_softmax_in_the_middle_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Softmax(1), nn.Linear(432, 5))
    with pytest.raises(UnsupportedError, match=r"layer '1' \(Softmax\): aten\.softmax is only supported as the last"):
        from_module(model, images(1))


def test_a_flattened_map_as_output_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"layer '1': the output is a flattened 12×12 map"):
        from_module(nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten()), images(1))


def test_a_network_that_computes_nothing_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="computes nothing"):
        from_module(nn.Sequential(nn.Dropout()), images(1))


def test_batch_scope_is_refused_with_what_to_do() -> None:
    model = onn.convert(convolutional(), {"3": Pattern(8, 3, scope="batch")})
    with pytest.raises(
        UnsupportedError, match=r"layer '3' \(ReuseConv2d\): .*one image; use scope 'image' or 'compiled'"
    ):
        from_module(model, images(1))


def test_compiled_scope_without_centroids_is_refused() -> None:
    model = onn.convert(convolutional(), {"3": Pattern(8, 3, scope="compiled")})
    with pytest.raises(ModelError, match="layer '3' has compiled scope but no centroids yet"):
        from_module(model, images(1))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(value: float) -> None:
    model = convolutional()
    with torch.no_grad():
        model[3].weight[0, 0, 0, 0] = value
    with pytest.raises(ModelError, match=r"layer '3': 1 of 3456 values of parameter 'weight' are NaN or infinite"):
        from_module(model, images(1))
    model = convolutional()
    model[1].running_var[2] = value
    with pytest.raises(ModelError, match=r"layer '1': 1 of 16 values of buffer 'running_var'"):
        from_module(model, images(1))


def test_batches_are_refused_as_example() -> None:
    with pytest.raises(UnsupportedError, match=r"shape \(2, 3, 12, 12\); firmware runs one image"):
        from_module(convolutional(), images(2))
