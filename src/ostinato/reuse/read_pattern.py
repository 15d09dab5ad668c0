"""Patterns of every kind from plain fields, as TOML, JSON and checkpoints have them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ostinato.reuse.pattern import Pattern
from ostinato.reuse.stem_pattern import StemPattern

_ONLY_STEMS = {f.name for f in dataclasses.fields(StemPattern)} - {f.name for f in dataclasses.fields(Pattern)}


def read_pattern(fields: Mapping[str, Any]) -> Pattern | StemPattern:
    """What `to_dict` described: a `StemPattern` if a field is one that only stems have (`groups`), else a `Pattern`.

    Raises:
        PatternError: for an unknown or missing field, or a pattern that is nonsense.
    """
    if _ONLY_STEMS & fields.keys() and "length" not in fields:
        return StemPattern.from_dict(fields)
    return Pattern.from_dict(fields)
