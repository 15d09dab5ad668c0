"""The arithmetic of the programs that repeat GR's figures of the search."""

from __future__ import annotations

import itertools

import pytest

import search_figures
import search_times
import search_top_k

ROWS = [
    {"valid_top1": accuracy, "kl": kl, "error": kl, "published": -kl, "corrected": kl, "r_t": r_t}
    for accuracy, kl, r_t in ((0.7, 0.1, 0.9), (0.4, 0.5, 0.2), (0.6, 0.2, 0.5), (0.65, 0.3, 0.4))
]


def test_random_choice_is_the_mean_over_all_orders():
    accuracies = [row["valid_top1"] for row in ROWS]
    orders = list(itertools.permutations(accuracies))
    expected = [sum(max(order[:k]) for order in orders) / len(orders) for k in range(1, 5)]
    assert search_top_k.best_of_random(ROWS) == pytest.approx(expected)


def test_strategies_take_the_least_first():
    assert search_top_k.best_of_first(ROWS, "divergence") == [0.7] * 4
    assert search_top_k.best_of_first(ROWS, "published") == [0.4, 0.65, 0.65, 0.7]
    assert search_top_k.best_of_first(ROWS, "r_t") == [0.4, 0.65, 0.65, 0.7]
    numbers = {"runs": [{"rows": ROWS}], "fine_tune_epochs": 0, "validation_images": 9}
    assert search_top_k.upper(numbers) == 0.7


def test_25_patterns_that_differ():
    made = search_top_k.patterns(0)
    assert len(made) == len(set(made)) == 25


def test_a_hand_set_network_is_beside_the_fastest_that_is_as_accurate():
    front = [
        {"valid_top1": 0.6, "cycles": 10}, {"valid_top1": 0.7, "cycles": 20}, {"valid_top1": 0.8, "cycles": 100},
    ]  # fmt: skip
    hand = {"valid_top1": 0.65, "cycles": 60}
    assert search_figures.dominance({"hand_set": [hand], "search": {"front": front}}) == [(hand, front[1], 3.0)]


def test_the_time_of_everything():
    each = {"wall": 0.0, "processor": 2.0}
    numbers = {
        "train": [{"processor": 10.0}], "simulate": [each, each], "patterns": 100, "epochs": 8, "finalists": 4,
        "profile": {"processor": 50.0}, "generate": {"processor": 5.0}, "prune": {"processor": 1.0},
    }  # fmt: skip
    both = search_times.totals(numbers, "processor")
    assert both["all"] == {"profile": 0.0, "prune": 0.0, "train": 8000.0, "simulate": 200.0}
    assert both["search"] == {"profile": 55.0, "prune": 1.0, "train": 10.0 * (4 * 2 + 2 * 4 + 8), "simulate": 12.0}
