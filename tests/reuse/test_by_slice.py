"""Vectors in bins of their slices, against a loop over the vectors."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.reuse.by_slice import BySlice
from ostinato.reuse.clustering import number_slots


@settings(deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=5))
def test_products_in_bins_are_those_of_each_vector_with_its_slices_matrix(counts):
    if not any(counts):
        counts[0] = 1
    numbers = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    generator = torch.Generator().manual_seed(sum(counts))
    rows = torch.randn(len(numbers), 3, generator=generator, dtype=torch.float64)
    matrices = torch.randn(len(counts), 3, 2, generator=generator, dtype=torch.float64)
    places = BySlice.of(numbers, len(counts))
    found = places.take(torch.bmm(places.repeat(rows), matrices.index_select(0, places.slices)))
    torch.testing.assert_close(found, torch.einsum("ad,adh->ah", rows, matrices[numbers]))
    assert torch.equal(places.take(places.put(rows)), rows)
    empty = places.put(rows).flatten(0, 1).index_fill(0, places.places, 0)
    assert not empty.any()
    assert len(places.vectors) < 2 * len(numbers) + len(counts)  # hardly more places than vectors
    if len(set(counts)) == 1:
        assert torch.equal(BySlice.even(numbers, len(counts)).put(rows), places.put(rows))


def test_members_are_in_the_order_of_their_slots_whatever_integers_are_sorted():
    """Numbers up to 2^15, up to 2^16 and beyond are sorted in different types."""
    for per_slice in (1 << 13, 1 << 14, 1 << 15):
        generator = torch.Generator().manual_seed(per_slice)
        keys = torch.randint(per_slice, (4, per_slice), generator=generator, dtype=torch.int32)
        keys += torch.arange(4, dtype=torch.int32).unsqueeze(1) * per_slice
        slots = number_slots(keys, per_slice, ordered=True, by_key=True)
        assert slots.members is not None
        expected = torch.argsort(keys.long(), dim=1, stable=True)
        assert torch.equal(slots.members.long(), expected)
