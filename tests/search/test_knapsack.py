"""The knapsack against trying everything, and the front against its definition."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.search.knapsack import ADDED, Option, choose, least, total
from ostinato.search.pareto import pareto_front

numbers = st.integers(0, 30)
options = st.builds(Option, st.just("o"), numbers, numbers, numbers, numbers, external_bytes=numbers)
layers = st.lists(st.lists(options, min_size=1, max_size=4), min_size=1, max_size=3)
limits = st.fixed_dictionaries({}, optional={name: st.integers(1, 60) for name in (*ADDED, "sram_bytes")})


def networks(layers_: list[list[Option]], within: dict[str, int]) -> list[tuple[Option, ...]]:
    return [
        network
        for network in itertools.product(*layers_)
        if all(total(network, resource) <= limit for resource, limit in within.items())
    ]


@settings(max_examples=150, deadline=None)
@given(layers, limits, st.sampled_from(ADDED))
def test_the_best_of_all_networks(layers_: list[list[Option]], within: dict[str, int], minimise: str) -> None:
    possible = networks(layers_, within)
    found = choose(layers_, minimise, within)
    if not possible:
        assert found is None
        return
    assert found is not None
    assert len(found) == len(layers_)
    assert all(option in own for option, own in zip(found, layers_, strict=True))
    assert all(total(found, resource) <= limit for resource, limit in within.items())
    assert total(found, minimise) == min(total(network, minimise) for network in possible)


@settings(max_examples=60, deadline=None)
@given(layers, limits, st.sampled_from((*ADDED, "sram_bytes")))
def test_the_least_of_a_resource(layers_: list[list[Option]], within: dict[str, int], resource: str) -> None:
    others = {name: limit for name, limit in within.items() if name != resource}
    possible = networks(layers_, others)
    expected = min((total(network, resource) for network in possible), default=None)
    assert least(layers_, resource, within) == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.tuples(numbers, numbers), max_size=12))
def test_a_front_dominates_all_else_and_nothing_of_itself(points: list[tuple[int, int]]) -> None:
    kept = [points[i] for i in pareto_front(points)]

    def dominates(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return a != b and a[0] <= b[0] and a[1] <= b[1]

    assert len(set(kept)) == len(kept)
    assert set(kept) == {p for p in points if not any(dominates(q, p) for q in points)}
