"""Successive halving: what it trains, and that the best one is there at the end."""

from __future__ import annotations

from typing import Any

from ostinato.search.halving import schedule, successive_halving


def test_schedules() -> None:
    assert schedule(4, 8, 2) == [(4, 2), (2, 4), (1, 8)]
    assert schedule(9, 9, 3) == [(9, 1), (3, 3), (1, 9)]
    assert schedule(1, 5, 2) == [(1, 5)]
    assert schedule(4, 1, 2) == [(4, 1)]  # one epoch for all, and nothing to cut before
    assert schedule(4, 2, 2) == [(4, 1), (1, 2)]


def halved(scores: list[int | None], epochs: int) -> tuple[list[Any], list[tuple[int, int]]]:
    done = []

    def train(group: Any, length: int) -> list[Any]:
        done.append((len(group), length))
        return [None if e["score"] is None else {**e, "epochs": length} for e in group]

    def better(group: Any) -> list[int]:
        return sorted(range(len(group)), key=lambda i: -group[i]["score"])

    return successive_halving([{"score": s} for s in scores], epochs, 2, train, better), done


def test_bad_ones_stop_early() -> None:
    found, done = halved([3, 9, 1, 5], 4)
    assert done == [(4, 1), (2, 2), (1, 4)]
    assert {(e["score"], e["epochs"]) for e in found} == {(9, 4), (5, 2), (3, 1), (1, 1)}
    assert found[0] == {"score": 9, "epochs": 4}


def test_failures_are_skipped() -> None:
    found, _ = halved([None, 2, None, None], 4)
    assert found == [{"score": 2, "epochs": 4}]
    assert halved([None], 4)[0] == []
