"""A candidate: a layer with a pattern, or with none; and what was dropped before it became one."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ostinato.reuse import Pattern, StemPattern, read_pattern

AnyPattern = Pattern | StemPattern
CONVENTIONAL = "conventional"


@dataclass(frozen=True)
class Candidate:
    """What one layer could run on. Without a pattern: the conventional kernel."""

    layer: str
    pattern: AnyPattern | None

    @property
    def key(self) -> str:
        """Short, the same in every process and session: names a candidate in journals and tables."""
        if self.pattern is None:
            return f"{self.layer}:{CONVENTIONAL}"
        return f"{self.layer}:{digest(fields_of(self.pattern))}"


def fields_of(pattern: AnyPattern) -> dict[str, Any]:
    """Plain fields, which `ostinato.reuse.read_pattern` reads."""
    return dict(pattern.to_dict())


def read_candidate(layer: str, fields: Mapping[str, Any] | None) -> Candidate:
    """The candidate with the fields that `fields_of` gave; None is the conventional kernel."""
    return Candidate(layer, None if fields is None else read_pattern(fields))


def digest(document: Any) -> str:
    """Twelve hexadecimal digits of a JSON document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Drop:
    """A combination that is no candidate: its layer, its pattern or fields, the kind of reason, and the sentence."""

    layer: str
    pattern: str
    reason: str
    detail: str


def summary(drops: Iterable[Drop]) -> list[str]:
    """One line for each kind of reason: how many, and an example."""
    drops = list(drops)
    counts = Counter(drop.reason for drop in drops)
    examples = {drop.reason: drop for drop in reversed(drops)}
    return [f"{count} {reason} (for example {_told(examples[reason])})" for reason, count in counts.most_common()]


def _told(drop: Drop) -> str:
    return f"'{drop.layer}', {drop.pattern}: {drop.detail}"
