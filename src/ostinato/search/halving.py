"""Successive halving: many networks are trained a little, the better of them longer (Jamieson and Talwalkar 2016)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]


def schedule(networks: int, epochs: int, factor: int) -> list[tuple[int, int]]:
    """(networks, epochs) of each round; the last has `epochs`, each one before 1/factor of them, at least one.

    `factor` times fewer networks go on each time, and at least one; rounds of equal epochs are one.
    """
    sizes = [networks]
    while sizes[-1] > 1:
        sizes.append(-(-sizes[-1] // factor))
    lengths = [max(1, epochs // factor**left) for left in reversed(range(len(sizes)))]
    rounds: dict[int, int] = {}
    for size, length in zip(sizes, lengths, strict=True):
        rounds.setdefault(length, size)  # the larger: nothing is cut before it was trained for longer
    return [(size, length) for length, size in rounds.items()]


def successive_halving(
    entries: Sequence[Entry], epochs: int, factor: int, train: Callable[[Sequence[Entry], int], list[Entry | None]],
    better: Callable[[Sequence[Entry]], list[int]],
) -> list[Entry]:  # fmt: skip
    """All measurements of the last round, with the entries that left earlier as they were measured then.

    Args:
        entries: that enter.
        epochs: of the last round.
        factor: one in so many goes on.
        train: entries for so many epochs; None for one that fails.
        better: indices of entries, best first.
    """
    rounds = schedule(len(entries), epochs, factor)
    alive, left = list(entries), list[Entry]()
    for number, (_, length) in enumerate(rounds):
        trained = [entry for entry in train(alive, length) if entry is not None]
        order = better(trained)
        go_on = rounds[number + 1][0] if number + 1 < len(rounds) else len(trained)
        left += [trained[i] for i in order[go_on:]]
        alive = [trained[i] for i in order[:go_on]]
    return alive + left
