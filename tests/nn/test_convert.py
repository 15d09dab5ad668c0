import pytest
import torch
from torch import nn

from ostinato.errors import ConversionError, ModelError, PatternError
from ostinato.nn import ReuseConv2d, conversion_report, convert, reuse_layers, revert
from ostinato.reuse import Pattern


class Network(nn.Module):
    """Convolutions of many kinds, one of them used twice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.grouped = nn.Conv2d(8, 8, 3, groups=2, padding=1)
        self.circular = nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")
        self.up = nn.ConvTranspose2d(8, 8, 2)
        self.twin = self.stem

    def forward(self, x):
        return self.up(self.circular(self.grouped(self.body(self.stem(x)))))


def network():
    torch.manual_seed(0)
    return Network().eval()


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_named_layers_are_converted_and_the_original_is_untouched():
    model = network()
    reuse = convert(model, {"body.1": Pattern(8, 4), "stem": Pattern(9, 3)})
    assert list(reuse_layers(reuse)) == ["stem", "body.1"]
    assert reuse.body[1].pattern == Pattern(8, 4)
    assert reuse.body[1].layer_name == "body.1"
    assert not reuse.body[1].training
    assert isinstance(model.stem, nn.Conv2d)
    assert torch.equal(reuse.body[1].weight, model.body[1].weight)


def test_a_module_used_under_two_names_is_replaced_under_both():
    reuse = convert(network(), {"stem": Pattern(9, 3)})
    assert reuse.twin is reuse.stem
    assert isinstance(reuse.stem, ReuseConv2d)


def test_with_every_vector_distinct_the_network_is_the_same():
    model = network()
    reuse = convert(model, {"stem": Pattern(27, 16, seed=1), "body.1": Pattern(72, 16)})
    x = X[:, :, :2, :2]  # few vectors, so that ids do not collide
    ids = reuse.stem.cluster_ids(x)
    assert ids.unique().numel() == 2 * 4
    with torch.no_grad():
        torch.testing.assert_close(reuse(x), model(x))


def test_one_pattern_converts_all_that_can_be():
    report = {line.name: line for line in conversion_report(convert(network(), Pattern(9, 3)))}
    assert report["stem"].converted
    assert report["body.1"].converted
    assert str(Pattern(9, 3)) in report["stem"].reason
    assert not report["grouped"].converted
    assert "groups=2" in report["grouped"].reason
    assert "circular" in report["circular"].reason
    assert "ConvTranspose2d" in report["up"].reason


def test_filter_fn_chooses():
    reuse = convert(network(), Pattern(9, 3), filter_fn=lambda name, conv: conv.in_channels == 8)
    assert list(reuse_layers(reuse)) == ["body.1"]
    reasons = {line.name: line.reason for line in conversion_report(reuse)}
    assert reasons["stem"] == "not asked for"


def test_inplace_changes_the_model_itself():
    model = network()
    assert convert(model, {"stem": Pattern(9, 3)}, inplace=True) is model
    assert isinstance(model.stem, ReuseConv2d)
    assert revert(model, inplace=True) is model
    assert isinstance(model.stem, nn.Conv2d)


def test_revert_gives_the_conventional_model_back():
    model = network()
    reuse = convert(model, Pattern(9, 3))
    with torch.no_grad():
        assert torch.equal(revert(reuse)(X), model(X))
    assert reuse_layers(reuse)
    assert revert(reuse).state_dict().keys() == model.state_dict().keys()


def test_a_bare_convolution_is_a_model_too():
    conv = network().stem
    reuse = convert(conv, Pattern(9, 3))
    assert isinstance(reuse, ReuseConv2d)
    assert isinstance(revert(reuse), nn.Conv2d)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("body.2", "BatchNorm2d; only Conv2d"),
        ("stm", "did you mean 'stem'"),
        ("xyz", "it has stem, body.1"),
        ("grouped", "'grouped' has groups=2"),
        ("circular", "circular"),
        ("up", "ConvTranspose2d"),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(name, words):
    with pytest.raises(ConversionError, match=words):
        convert(network(), {name: Pattern(8, 4)})


def test_converting_twice_is_refused():
    with pytest.raises(ConversionError, match="'stem' is a reuse layer already"):
        convert(convert(network(), {"stem": Pattern(9, 3)}), {"stem": Pattern(9, 3)})


def test_a_refused_conversion_in_place_changes_nothing():
    model = network()
    across = Pattern(40, 3, direction="horizontal", sharing="layer")
    with pytest.raises(PatternError, match=r"'body\.1'.*K = 72.*1 to 36"):
        convert(model, {"stem": Pattern(9, 3), "body.1": across}, inplace=True)
    assert not reuse_layers(model)


def test_a_length_above_k_is_refused_before_anything_changes():
    model = network()
    with pytest.raises(PatternError, match=r"'body\.1': .*K = 72"):
        convert(model, {"body.1": Pattern(73, 3)}, inplace=True)
    assert isinstance(model.body[1], nn.Conv2d)


def test_nan_weights_are_refused_by_name():
    model = network()
    with torch.no_grad():
        model.body[1].bias[0] = float("nan")
    with pytest.raises(ModelError, match=r"'body\.1': its bias has NaN"):
        convert(model, {"body.1": Pattern(8, 4)})


def test_a_filter_with_named_patterns_and_an_empty_choice_are_refused():
    with pytest.raises(ConversionError, match="filter_fn"):
        convert(network(), {"stem": Pattern(9, 3)}, filter_fn=lambda *_: True)
    with pytest.raises(ConversionError, match="conversion_report"):
        convert(network(), Pattern(9, 3), filter_fn=lambda *_: False)


def test_state_dicts_load_strictly_into_a_freshly_converted_model():
    patterns = {"stem": Pattern(9, 3), "body.1": Pattern(8, 4, scope="compiled", sharing="block")}
    reuse = convert(network(), patterns).train()
    reuse(X)
    fresh = convert(Network(), patterns)
    fresh.load_state_dict(reuse.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(fresh.eval()(X), reuse.eval()(X))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (Pattern(8, 3, block_rows=65), r"'body\.1': blocks of 65 rows .* 64 output pixels of one image"),
        (Pattern(8, 3, scope="batch", block_rows=129), r"'body\.1': .*129 rows.*128 output pixels of one batch of 2"),
        (Pattern(8, 3, block_rows=2, row_order="b.oh.ow:9"), r"'body\.1': .*tiles of 9 in axis ow, which has 8"),
    ],
)
def test_rows_that_do_not_fit_are_refused_at_conversion_given_an_example(pattern, words):
    model = network().train()
    convert(model, {"body.1": pattern})  # what the input's size decides cannot be known without one
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(PatternError, match=words):
        convert(model, {"stem": Pattern(9, 3), "body.1": pattern}, inplace=True, example_input=X)
    assert not reuse_layers(model)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_an_example_input_changes_nothing_else():
    model = network()
    pattern = Pattern(8, 3, block_rows=64, scope="compiled")
    with_example, without = (convert(model, {"body.1": pattern}, example_input=x) for x in (X, None))
    assert all(torch.equal(a, b) for a, b in zip(with_example.parameters(), without.parameters(), strict=True))
    further = convert(with_example, {"stem": Pattern(9, 3)}, example_input=X)
    assert list(reuse_layers(further)) == ["stem", "body.1"]


def test_a_layer_that_does_not_run_on_the_example_is_refused():
    model = network()
    model.unused = nn.Conv2d(8, 8, 3)
    with pytest.raises(ConversionError, match="'unused' does not run"):
        convert(model, {"unused": Pattern(8, 3)}, example_input=X)


@pytest.mark.parametrize("scope", ["image", "compiled", "across_batches"])
def test_without_an_example_the_first_forward_pass_refuses_before_anything_changes(scope):
    layer = convert(network().stem, Pattern(9, 3, scope=scope, block_rows=65)).train()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    with pytest.raises(PatternError, match="65 rows do not fit"):
        layer(X[:1])
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())
    assert not layer._needs_filling
