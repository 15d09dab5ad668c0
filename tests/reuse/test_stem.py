"""Transform-coded stems as mathematics: the integers against loops, quantisers, bits, joint tables."""

from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import ModelError
from ostinato.reuse import ConvGeometry, StemPattern
from ostinato.reuse.accelerator import as_on_accelerator
from ostinato.reuse.stem import StemTransform, add_rows, coefficients, cosine_basis, stem_ids, vertical_taps
from ostinato.reuse.stem_quantise import allocate_bits, lloyd_max, pack_groups
from ostinato.reuse.stem_tables import JointTables


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 16])
def test_the_basis_is_orthonormal(size):
    basis = cosine_basis(size)
    torch.testing.assert_close(basis @ basis.t(), torch.eye(size, dtype=torch.float64))


def random_transform(rng, geometry, count):
    channels, (kh, kw) = geometry.in_channels, geometry.kernel_size
    rotation = np.rint(np.linalg.qr(rng.normal(size=(channels, channels)))[0] * 127)
    axes = np.stack([rng.integers(0, n, count) for n in (channels, kh, kw)], 1)
    return StemTransform(
        torch.tensor(rotation).long(),
        torch.tensor(axes),
        torch.tensor(rng.integers(-3000, 3000, (count, kw))),
        torch.tensor(rng.integers(-(1 << 20), 1 << 20, count)),
        torch.tensor(rng.integers(0, 2, (count, 256))) << (torch.arange(count) % 3).unsqueeze(1),
        torch.arange(count) // 3,
    )


@pytest.mark.parametrize("form", [nullcontext, as_on_accelerator])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_coefficients_and_ids_equal_integer_loops(form, seed):
    rng = np.random.default_rng(seed)
    limits = ((1, 6), (1, 4), (0, 3))
    kernel, stride, padding = (tuple(int(v) for v in rng.integers(*limit, 2)) for limit in limits)
    geometry = ConvGeometry(int(rng.integers(1, 5)), 4, kernel, stride, padding)
    height, width = (int(rng.integers(k, k + 5)) for k in kernel)
    q = rng.integers(-128, 128, (1, geometry.in_channels, height, width))
    t = random_transform(rng, geometry, 6)
    with form():
        z = coefficients(torch.tensor(q) / 128, t, geometry)
        ids = stem_ids(z, t, 2)
    padded = np.pad(q[0], ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    taps = vertical_taps(kernel[0]).tolist()
    for oy in range(z.shape[2]):
        for ox in range(z.shape[3]):
            expected = [0, 0]
            for k, (c, v, _) in enumerate(t.axes.tolist()):
                total = int(t.offset[k])
                for j in range(kernel[1]):
                    column = 1 << 15
                    for i in range(kernel[0]):
                        pixel = padded[:, oy * stride[0] + i, ox * stride[1] + j]
                        column += taps[v][i] * int(t.rotation[c].numpy() @ pixel)
                    total += int(t.horizontal[k, j]) * (column >> 16)
                value = min(max(total >> 16, -128), 127)
                assert int(z[0, k, oy, ox]) == value
                expected[k // 3] += int(t.maps[k, value + 128])
            assert ids[0, oy, ox].tolist() == expected


def test_pixels_are_rounded_and_saturated_to_int8():
    geometry = ConvGeometry(1, 1, (1, 1))
    t = StemTransform(
        torch.tensor([[127]]), torch.tensor([[0, 0, 0]]), torch.tensor([[2064]]), torch.tensor([0]),
        torch.zeros(1, 256, dtype=torch.long), torch.tensor([0]),
    )  # fmt: skip
    x = torch.tensor([[[[-3.0, -1.0, 0.2 / 128, 0.7 / 128, 126 / 128, 5.0]]]])
    z = coefficients(x, t, geometry).flatten()
    assert z[0] == z[1] == -128
    assert z[2] == 0
    assert z[3] > z[2]
    assert z[5] >= z[4]


def test_rows_are_added():
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(5, generator=generator, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(0, 4, (2, 3, 2, 3), generator=generator)
    y = add_rows(ids, table, bias)
    expected = torch.stack([table[g, ids[..., g]] for g in range(3)]).sum(0) + bias
    torch.testing.assert_close(y, expected.permute(0, 3, 1, 2))
    for form in (nullcontext, as_on_accelerator):
        with form():
            assert torch.autograd.gradcheck(lambda t, b: add_rows(ids, t, b), (table, bias))


def test_a_quantiser_gets_better_with_cells_and_its_cells_are_means():
    rng = np.random.default_rng(0)
    values = np.clip(rng.laplace(0, 20, 20_000).round(), -128, 127).astype(int)
    histogram = torch.tensor(np.bincount(values + 128, minlength=256), dtype=torch.float64)
    found = [lloyd_max(histogram, cells) for cells in (1, 2, 4, 8)]
    assert all(a.distortion > b.distortion for a, b in pairwise(found))
    assert found[0].distortion == pytest.approx(values.var())
    codes = found[3].codes.numpy()[values + 128]
    for cell in range(8):
        assert float(found[3].values[cell]) == pytest.approx(values[codes == cell].mean())
    assert (np.diff(found[3].codes.numpy()) >= 0).all()


def test_a_quantiser_of_one_value_or_none():
    histogram = torch.zeros(256, dtype=torch.float64)
    assert lloyd_max(histogram, 4).distortion == 0
    histogram[130] = 7
    assert lloyd_max(histogram, 4).distortion == 0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1 << 30))
def test_bits_are_all_given_and_fit_their_groups(seed):
    rng = np.random.default_rng(seed)
    groups, hashes, most = int(rng.integers(1, 9)), int(rng.integers(1, 9)), int(rng.integers(1, 5))
    most = min(most, hashes)
    count = int(rng.integers(max(groups, -(-groups * hashes // most)), 65))
    if count > groups * hashes:
        count = groups * hashes
    pattern = StemPattern(groups, hashes, count, most) if groups * hashes <= count * most else None
    if pattern is None:
        return
    cost = torch.tensor(rng.exponential(1, count))[:, None] * 4.0 ** -torch.arange(most + 1, dtype=torch.float64)
    allocated = allocate_bits(cost, groups * hashes)
    assert sum(allocated) == groups * hashes
    bits, group = pack_groups(allocated, cost, pattern)
    used = np.bincount(group, bits, groups)
    assert (used <= hashes).all()
    assert max(bits) <= most
    assert min(group) >= 0


def test_joint_tables_are_the_least_squares_solution():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 4, (2000, 3))
    y = rng.normal(size=(2000, 2)) + ids @ rng.normal(size=(3, 2))
    problem = JointTables(3, 4, 2)
    for part in np.array_split(np.arange(2000), 3):
        problem.add(torch.tensor(ids[part]), torch.tensor(y[part]))
    table = problem.solve(torch.zeros(3, 4, 2), ridge=1e-9).numpy()
    made = sum(table[g, ids[:, g]] for g in range(3))
    one_hot = np.concatenate([np.eye(4)[ids[:, g]] for g in range(3)], 1)
    best = one_hot @ np.linalg.lstsq(one_hot, y, rcond=None)[0]
    np.testing.assert_allclose(made, best, atol=1e-5)


def test_rows_that_never_occur_stay():
    problem = JointTables(1, 3, 1)
    problem.add(torch.tensor([[0], [0], [1]]), torch.tensor([[1.0], [3.0], [5.0]]))
    table = problem.solve(torch.full((1, 3, 1), 7.0), ridge=1e-9)
    torch.testing.assert_close(table.flatten(), torch.tensor([2.0, 5.0, 7.0], dtype=torch.float64), atol=1e-6, rtol=0)
    with pytest.raises(ModelError, match="at least one calibration image"):
        JointTables(1, 3, 1).solve(torch.zeros(1, 3, 1))
