import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import PatternError
from ostinato.reuse import channel_grouping
from ostinato.reuse.channel_grouping import block_distortion, gaussian_distortion


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def statistics(samples, weight):
    z = samples - samples.mean(0)
    return z.t() @ z / len(z), torch.einsum("mcij,mdij->cd", weight, weight)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8), st.integers(0, 12))
def test_the_distortion_is_that_of_a_water_level_found_by_bisection(variances, bits):
    lam = torch.tensor(variances, dtype=torch.float64)
    low, high = -60.0, float(lam.max().log())
    for _ in range(200):
        level = (low + high) / 2
        spent = float(((lam.log() - level) / 2 / torch.log(torch.tensor(2.0))).clamp_min(0).sum())
        low, high = (level, high) if spent > bits else (low, level)
    expected = torch.minimum(lam, torch.tensor(level, dtype=torch.float64).exp()).sum()
    torch.testing.assert_close(gaussian_distortion(lam, bits), expected, rtol=1e-6, atol=1e-12)


def test_no_bits_leave_all_the_variance_and_a_bit_on_one_axis_quarters_it():
    lam = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(gaussian_distortion(lam, 0), lam.sum())
    torch.testing.assert_close(gaussian_distortion(lam[:1], 1), lam[0] / 4)


def test_a_blocks_distortion_sees_its_own_covariance_in_its_own_metric():
    samples, weight = normal(500, 6), normal(5, 6, 3, 3, seed=1)
    covariance, gram = statistics(samples, weight)
    for block in ([0, 1, 2], [5, 1, 4]):
        w = weight[:, block].permute(1, 0, 2, 3).flatten(1)
        z = (samples - samples.mean(0))[:, block]
        lam = torch.linalg.eigvals(w @ w.t() @ z.t() @ z / len(z)).real
        found = block_distortion(torch.tensor([block]), covariance, gram, 3)
        torch.testing.assert_close(found[0], gaussian_distortion(lam, 3), rtol=1e-6, atol=0)


def test_channels_that_go_together_come_together():
    """Four signals, each seen by three channels that are scattered."""
    signals, where = normal(2000, 4), torch.randperm(12, generator=torch.Generator().manual_seed(3)) % 4
    samples = signals[:, where] + 0.05 * normal(2000, 12, seed=1)
    permutation = channel_grouping(samples, normal(8, 12, 1, 1, seed=2), 3, 2)
    assert sorted(permutation.tolist()) == list(range(12))
    assert all(len(set(where[block].tolist())) == 1 for block in permutation.view(4, 3))


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([(6, 2), (6, 3), (8, 4)]), st.integers(1, 6), st.integers(0, 1000))
def test_no_swap_of_two_channels_lowers_the_distortion_further(sizes, hashes, seed):
    channels, length = sizes
    samples = normal(200, channels, seed=seed) @ normal(channels, channels, seed=seed + 1)
    weight = normal(4, channels, 2, 2, seed=seed + 2)
    permutation = channel_grouping(samples, weight, length, hashes)
    covariance, gram = statistics(samples, weight)

    def total(p):
        return float(block_distortion(p.view(-1, length), covariance, gram, hashes).sum())

    found = total(permutation)
    assert found <= total(torch.arange(channels)) * (1 + 1e-9)
    for a, b in itertools.combinations(range(channels), 2):
        swapped = permutation.clone()
        swapped[a], swapped[b] = permutation[b], permutation[a]
        assert total(swapped) >= found * (1 - 1e-5)


def test_it_is_the_same_for_the_same_channels_in_another_place_of_their_blocks_and_is_canonical():
    permutation = channel_grouping(normal(300, 8), normal(4, 8, 3, 3, seed=1), 4, 3).view(2, 4)
    assert torch.equal(permutation, permutation.sort(1).values)
    assert permutation[0, 0] < permutation[1, 0]


def test_dead_channels_and_one_block_are_no_trouble():
    samples = normal(100, 8).relu()
    samples[:, 2:6] = 0
    weight = normal(4, 8, 1, 1, seed=1)
    weight[:, 3] = 0
    assert sorted(channel_grouping(samples, weight, 2, 4).tolist()) == list(range(8))
    assert channel_grouping(samples, weight, 8, 4).tolist() == list(range(8))


@pytest.mark.parametrize(
    ("samples", "length", "words"),
    [
        (torch.zeros(5, 8), 3, "3 channels do not divide the 8"),
        (torch.zeros(5, 6), 2, r"\(n, 8\)"),
        (torch.zeros(0, 8), 2, "finite samples"),
        (torch.full((5, 8), torch.nan), 2, "finite"),
    ],
)
def test_bad_input_is_refused(samples, length, words):
    with pytest.raises(PatternError, match=words):
        channel_grouping(samples, torch.zeros(4, 8, 3, 3), length, 4)
