import torch
from torch import nn

from ostinato.training.memory_format import channels_last, crashes


def test_weights_are_channels_last_inside_only():
    model = nn.Sequential(nn.Conv2d(8, 16, 3), nn.Conv2d(16, 8, 1, 2))
    with channels_last(model):
        assert all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in model)
        assert not model[0].weight.is_contiguous()
    assert all(m.weight.is_contiguous() for m in model)


def test_a_narrow_strided_shortcut_is_spared():
    """PyTorch's backward crashes there: its weights and input stay channels first, its result is the same."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 12, 3), nn.Conv2d(12, 20, 1, 2)).double()
    images = torch.randn(5, 3, 9, 9, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    expected = model(images)
    seen = []
    assert [crashes(m) for m in model] == [False, True]
    with channels_last(model):
        model[1].register_forward_hook(lambda module, given, made: seen.append(given[0]))
        result = model(images)
        assert model[1].weight.is_contiguous()
    assert seen[0].is_contiguous()
    assert not seen[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result, expected)
    model(images)
    assert seen[1].is_contiguous(memory_format=torch.channels_last)
