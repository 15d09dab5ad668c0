import json

import pytest
import torch
from torch import nn

from ostinato.errors import ModelError
from ostinato.nn import calibrate, convert
from ostinato.reuse import Pattern

X = torch.randn(3, 3, 9, 9, generator=torch.Generator().manual_seed(0))


def reuse_model(pattern):
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(3, 8, 3, stride=2, padding=1))
    model.add_module("relu", nn.ReLU())
    model.add_module("conv2", nn.Conv2d(8, 4, 3, dilation=2, bias=False))
    model.add_module("flatten", nn.Flatten())
    return calibrate(convert(model.eval(), {"conv1": Pattern(9, 3), "conv2": pattern}), X)


PATTERNS = [
    Pattern(8, 3),
    Pattern(7, 3, "c.kh.kw", "batch", "layer"),
    Pattern(5, 3, scope="compiled"),
    Pattern(4, 3, scope="compiled", sharing="block", init="itq"),
    Pattern(4, 2, scope="compiled", sharing="block", clustering="tree", init="pca", gradient="frozen"),
    Pattern(7, 2, clustering="tree", init="pca", gradient="frozen"),
    Pattern(5, 2, "c:3.kw.kh", "batch", "layer", direction="horizontal", block_rows=2, row_order="oh.ow.b:2"),
    Pattern(5, 2, clustering="kmeans", gradient="frozen", similarity="angular"),
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_exported_graph_has_one_node_per_reuse_layer_and_computes_the_same(pattern):
    model = reuse_model(pattern)
    program = torch.export.export(model, (X,))
    nodes = [n for n in program.graph.nodes if n.target is torch.ops.ostinato.reuse_conv2d.default]
    names = [list(n.meta["nn_module_stack"].values())[-1][0] for n in nodes]
    assert names == ["conv1", "conv2"]
    operators = {str(n.target) for n in program.graph.nodes if n.op == "call_function"}
    assert operators == {"ostinato.reuse_conv2d.default", "aten.relu.default", "aten.flatten.using_ints"}
    with torch.no_grad():
        expected = model(X)
        torch.testing.assert_close(program.module()(X), expected)
    assert nodes[1].meta["val"].shape == (3, 4, 1, 1)


def test_export_without_gradients_is_the_same():
    model = reuse_model(PATTERNS[3])
    with torch.no_grad():
        program = torch.export.export(model, (X,))
    assert sum(n.target is torch.ops.ostinato.reuse_conv2d.default for n in program.graph.nodes) == 2


def test_export_in_training_mode_is_refused():
    with pytest.raises(ModelError, match=r"'conv1'.*model\.eval"):
        torch.export.export(reuse_model(PATTERNS[0]).train(), (X,))


def test_the_batch_may_be_dynamic():
    model = reuse_model(PATTERNS[0])
    program = torch.export.export(model, (X,), dynamic_shapes={"input": {0: torch.export.Dim("batch")}})
    with torch.no_grad():
        torch.testing.assert_close(program.module()(X[:2]), model(X[:2]))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_operator_meets_torchs_own_checks(pattern):
    model = reuse_model(pattern)
    layer, g = model.conv2, model.conv2.geometry
    with torch.no_grad():
        inputs = model.conv1(X).relu()
    torch.library.opcheck(
        torch.ops.ostinato.reuse_conv2d.default,
        (
            inputs, layer.weight.detach(), None, layer.hash_vectors.detach(), layer.thresholds.detach(),
            layer.centroids, layer.centroid_counts, layer.table_offsets, json.dumps(pattern.to_dict()),
            list(g.stride), list(g.padding), list(g.dilation), "conv2",
        ),
        test_utils=("test_schema", "test_faketensor"),
    )  # fmt: skip
