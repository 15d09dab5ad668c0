"""Models by name, for the command line and for checkpoints that say which network they belong to."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from ostinato.errors import ModelError
from ostinato.models.alexnet import alexnet
from ostinato.models.cifarnet import cifarnet
from ostinato.models.resized import resize
from ostinato.models.resnet import resnet18, resnet34
from ostinato.models.resnet8 import resnet8
from ostinato.models.squeezenet import squeezenet
from ostinato.models.vgg import vgg16, vgg19
from ostinato.models.zfnet import zfnet

_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "alexnet": alexnet,
    "cifarnet": cifarnet,
    "resnet8": resnet8,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "squeezenet": squeezenet,
    "vgg16": vgg16,
    "vgg19": vgg19,
    "zfnet": zfnet,
}


def names() -> tuple[str, ...]:
    """The names that `create` knows, sorted."""
    return tuple(sorted(_BUILDERS))


def create(name: str, *, sizes: Mapping[str, Sequence[int]] | None = None, **kwargs: Any) -> nn.Module:
    """A freshly initialised model by name, e.g. `create("cifarnet", num_classes=10)`.

    `sizes` makes layers narrower than the definition says (`resized.Sizes`), as pruning left them.

    Raises ModelError for an unknown name (with the close ones), an unknown argument (with the known ones), or sizes
    that the model cannot have.
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
    model = builder(**kwargs)
    if sizes is not None:
        resize(model, sizes)
        architecture: Any = model.architecture  # every builder sets it
        architecture["kwargs"]["sizes"] = {layer: list(size) for layer, size in sizes.items()}
    return model
