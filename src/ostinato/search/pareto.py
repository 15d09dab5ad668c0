"""What no other candidate is better than."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(points: Sequence[Sequence[float]]) -> list[int]:
    """Indices of points (all coordinates: less is better) that none dominates, in their order.

    A point is dominated by one that is nowhere worse and somewhere better; of equal points the first stays.
    """
    kept = []
    for i, point in enumerate(points):
        dominated = any(
            all(a <= b for a, b in zip(other, point, strict=True)) and (tuple(other) != tuple(point) or j < i)
            for j, other in enumerate(points)
            if j != i
        )
        if not dominated:
            kept.append(i)
    return kept
