"""Both forms of Y = X̂·W against the product written out, and the numbering of clusters that they stand on."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_reuse import clustering_fields

from ostinato.reuse import Pattern, products
from ostinato.reuse.assignment import Reuse, assign
from ostinato.reuse.autograd import multiply
from ostinato.reuse.clustering import number_slots
from ostinato.reuse.layout import Layout

FORMS = {"by cluster": 9.0, "conventional": 0.0}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("held", [1, 1 << 17])  # a slice at a time, or all
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("units", [24, 32])  # not and indeed a number of rows that oneDNN takes
def test_both_forms_are_the_quantised_rows_times_the_weights_and_its_gradients(monkeypatch, form, held, rows, units):
    monkeypatch.setattr(products, "FULL", FORMS[form])
    monkeypatch.setattr(products, "_HELD", held)
    monkeypatch.setattr(products, "_COLUMNS", held)
    length, slices, outputs = 3, 5, 4
    generator = torch.Generator().manual_seed(units + rows)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    pattern = Pattern(length, 2, block_rows=rows)
    columns, weights = normal(2, units, slices * rows * length), normal(outputs, slices * length)
    hash_vectors, thresholds = normal(slices, rows * length, 2), 0.1 * normal(slices, 2)
    layout = Layout(2, units, slices)
    table = columns.view(-1, rows * length)
    assignment = assign(table, hash_vectors, thresholds, Reuse(pattern), layout)
    quantised = assignment.centroids[assignment.clusters.index.t().reshape(-1).long()]
    x = quantised.view(2 * units, slices, rows, length).transpose(1, 2).reshape(-1, slices * length)
    weights.requires_grad_()
    columns.requires_grad_()
    probe = normal(2, units * rows, outputs)
    y = multiply(columns, weights, hash_vectors, thresholds, Reuse(pattern))
    torch.testing.assert_close(y.detach().flatten(0, 1), x @ weights.detach().t(), rtol=1e-12, atol=1e-12)
    found = torch.autograd.grad((y * probe).sum(), (weights, columns))
    torch.testing.assert_close(found[0], probe.flatten(0, 1).t() @ x, rtol=1e-12, atol=1e-12)
    own = (probe.flatten(0, 1) @ weights.detach()).view(2 * units, rows, slices, length).transpose(1, 2)
    own = own.reshape(-1, rows * length)
    cluster = assignment.clusters.index.t().reshape(-1)
    for c in cluster.unique():  # every vector has its share of its centroid's gradient
        member = cluster == c
        expected = own[member].mean(0).expand(int(member.sum()), -1)
        torch.testing.assert_close(found[1].view(-1, rows * length)[member], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gradient", ["flip", "straight-through", "trec", "frozen", "tree"])
def test_both_forms_give_the_same_gradients_of_everything(monkeypatch, gradient):
    hashing = clustering_fields("tree") if gradient == "tree" else {"gradient": gradient, "slope": 10.0}
    pattern = Pattern(4, 2, scope="batch", gradient_rows=64, **hashing)
    generator = torch.Generator().manual_seed(3)
    shapes = (2, 48, 20), (6, 20), (5, 4, pattern.planes), (5, pattern.planes)
    operands = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]
    found = []
    for full in FORMS.values():
        monkeypatch.setattr(products, "FULL", full)
        leaves = [t.clone().requires_grad_() for t in operands]
        y = multiply(*leaves, Reuse(pattern))
        y.square().sum().backward()
        found.append([y.detach(), *(t.grad for t in leaves if t.grad is not None)])
    assert len(found[0]) == len(found[1])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_slots_number_the_keys_that_occur_and_find_them(data):
    slices, units = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 12))
    per_slice = data.draw(st.sampled_from([1, 4, 16, 1000]))  # few, many or far more keys than vectors
    by_key = data.draw(st.booleans())
    used = data.draw(st.integers(1, per_slice))
    drawn = data.draw(st.lists(st.integers(0, used - 1), min_size=slices * units, max_size=slices * units))
    first = torch.arange(slices).unsqueeze(1) * per_slice
    keys = (torch.tensor(drawn).view(slices, units) + first).int()
    slots = number_slots(keys, per_slice, True, by_key)
    assert len(slots) == slices * slots.per_slice <= slices * per_slice
    known = torch.arange(len(slots)) if slots.keys is None else slots.keys
    assert torch.equal(known[slots.index.long()], keys.long())
    assert torch.equal(slots.sizes, torch.bincount(slots.index.reshape(-1), minlength=len(slots)))
    assert torch.equal(slots.index // slots.per_slice, torch.arange(slices).unsqueeze(1).expand_as(keys))
    every = torch.arange(slices * per_slice)
    slot, size = slots.find(every)
    assert torch.equal(size, torch.bincount(keys.reshape(-1), minlength=len(every)))
    assert torch.equal(known[slot[size > 0]], every[size > 0])
    values = torch.arange(units, dtype=torch.float64).unsqueeze(1)
    sums = torch.zeros(len(slots), 1, dtype=torch.float64)
    for s in range(slices):
        sums.index_add_(0, slots.index[s].long(), values)
    assert torch.equal(slots.sums(values), sums)
    part = slice(slices // 2, slices)
    assert torch.equal(slots.sums(values, part=part), sums[part.start * slots.per_slice :])
