"""Models by name, for the command line and for checkpoints that say which network they belong to."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from ostinato.errors import ModelError
from ostinato.models.cifarnet import cifarnet
from ostinato.models.resnet import resnet18, resnet34
from ostinato.models.squeezenet import squeezenet

_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "cifarnet": cifarnet,
    "squeezenet": squeezenet,
    "resnet18": resnet18,
    "resnet34": resnet34,
}


def names() -> tuple[str, ...]:
    """The names that `create` knows, sorted."""
    return tuple(sorted(_BUILDERS))


def create(name: str, **kwargs: Any) -> nn.Module:
    """A freshly initialised model by name, e.g. `create("cifarnet", num_classes=10)`.

    Raises ModelError for an unknown name (with the close ones) or an unknown argument (with the known ones).
    """
    builder = _BUILDERS.get(name)
    if builder is None:
        close = difflib.get_close_matches(name.lower(), _BUILDERS, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "see models.names()."
        raise ModelError(f"Unknown model {name!r}; known: {', '.join(names())}; {hint}")
    known = inspect.signature(builder).parameters
    unknown = sorted(set(kwargs) - set(known))
    if unknown:
        raise ModelError(f"Model {name!r} has no argument {unknown[0]!r}; it takes {', '.join(known)}.")
    return builder(**kwargs)
