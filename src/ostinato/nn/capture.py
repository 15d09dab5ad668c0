"""What goes into a layer and what comes out of it when a model runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.errors import ModelError


class _ReachedLayer(Exception):  # noqa: N818 (a signal, not an error)
    """Stops a forward pass at the layer that is looked at."""


def capture_input(model: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    """Input of `layer` when `model` runs on `images`; neither the layer nor anything after it is computed.

    Raises:
        ModelError: the layer never runs.
    """
    seen: list[Tensor] = []

    def before(_: nn.Module, args: tuple[Any, ...]) -> None:
        seen.append(args[0])
        raise _ReachedLayer

    _run(model, layer, images, layer.register_forward_pre_hook(before))
    return seen[0]


def capture_output(model: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    """Output of `layer` when `model` runs on `images`; nothing after it is computed.

    Raises:
        ModelError: the layer never runs.
    """
    seen: list[Tensor] = []

    def after(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        seen.append(output)
        raise _ReachedLayer

    _run(model, layer, images, layer.register_forward_hook(after))
    return seen[0]


def _run(model: nn.Module, layer: nn.Module, images: Tensor, handle: Any) -> None:
    with removed(handle), torch.no_grad():
        try:
            model(images)
        except _ReachedLayer:
            return
    raise ModelError(f"the layer {layer} never runs")


@contextmanager
def removed(*handles: Any) -> Iterator[None]:
    """Remove hooks at the end, whatever happens."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
