"""calibrate: fit hashes, centroids and weights of all reuse layers to some unlabelled images (DESIGN §5.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.errors import ModelError
from ostinato.nn.conv import ReuseConv2d
from ostinato.nn.convert import reuse_layers, revert
from ostinato.reuse import (
    LeastSquares,
    hashed_vectors,
    initial_hash,
    quantised_columns,
    reuse_conv2d,
    weight_from_matrix,
    weight_matrix,
)

_SAMPLED_VECTORS = 20_000  # per hash group, to fit its hyperplanes
_SAMPLED_NUMBERS = 1 << 25  # and in all groups together


class _ReachedLayer(Exception):  # noqa: N818 (a signal, not an error)
    """Stops a forward pass at the layer that is calibrated."""


@torch.no_grad()
def calibrate(
    model: nn.Module,
    images: Tensor,
    *,
    refit: bool = True,
    batch_size: int = 50,
    progress: Callable[[str, int, int], None] | None = None,
) -> nn.Module:
    """Fit the model's reuse layers, in the order in which they run, to unlabelled images; in place.

    Each layer sees what the reuse layers before it, already calibrated, make of the images. Its hashes are
    initialised (`random` ones stay as they are), its running centroids accumulated (compiled scope), and its weights
    and bias refitted by least squares towards the outputs of the same layer in the conventional model. Layers that
    are not reused stay as they are. A layer that runs several times is calibrated on its first run.

    Args:
        model: with reuse layers; left in the mode that it was in.
        images: (N, C, H, W) floating point, preprocessed as in training.
        refit: whether to refit weights.
        batch_size: images at a time; also the batch whose vectors share clusters in batch scope.
        progress: called with (layer name, layers done, layers in all).

    Returns:
        `model`.

    Raises:
        ModelError: if `images` are none, not finite, or a reuse layer never runs.
    """
    if images.dim() != 4 or len(images) == 0 or not images.is_floating_point():
        raise ModelError(
            f"calibration needs floating-point images (N, C, H, W), not {images.dtype} of shape {tuple(images.shape)}"
        )
    modes = {module: module.training for module in model.modules()}
    teacher = revert(model).eval()
    for module in model.modules():
        module.training = False  # not .eval(), which would ask uncalibrated layers for their centroids
    try:
        order = _execution_order(teacher, list(reuse_layers(model)), images[:1])
        layers = reuse_layers(model)
        batches = torch.split(images, batch_size)
        for done, name in enumerate(order):
            _calibrate_layer(model, teacher, name, layers[name], batches, refit)
            if progress is not None:
                progress(name, done + 1, len(order))
    finally:
        for module, training in modes.items():
            module.training = training
    return model


def _calibrate_layer(
    model: nn.Module, teacher: nn.Module, name: str, layer: ReuseConv2d, batches: tuple[Tensor, ...], refit: bool
) -> None:
    inputs = [_capture(model, layer, batch)[0] for batch in batches]
    if layer.pattern.init != "random":
        sample = _sample_vectors(inputs, layer)
        vectors, thresholds = initial_hash(layer.geometry, layer.pattern, sample, name, layer.weight)
        layer.hash_vectors.copy_(vectors)
        layer.thresholds.copy_(thresholds)
    if layer.pattern.scope == "compiled":
        _accumulate_centroids(layer, inputs)
    if refit:
        _refit(layer, teacher.get_submodule("" if name == "(model)" else name), teacher, inputs, batches)


def _sample_vectors(inputs: list[Tensor], layer: ReuseConv2d) -> Tensor:
    """(n, G, b·L) vectors of each hash group, evenly many from each batch, positions drawn by the pattern's seed."""
    groups, size = layer.pattern.hash_groups(layer.geometry), layer.pattern.block_size
    wanted = max(1, min(_SAMPLED_VECTORS, _SAMPLED_NUMBERS // (groups * size)) // len(inputs))
    generator = torch.Generator().manual_seed(layer.pattern.seed)
    samples = []
    for x in inputs:
        vectors = hashed_vectors(x, layer.geometry, layer.pattern).reshape(-1, groups, size)
        chosen = torch.randperm(len(vectors), generator=generator, device=generator.device)[:wanted]
        samples.append(vectors[chosen.to(vectors.device)])
    return torch.cat(samples)


def _accumulate_centroids(layer: ReuseConv2d, inputs: list[Tensor]) -> None:
    """Centroids of all calibration vectors together, each vector counting once; then those of unseen ids."""
    running, g = layer.running(), layer.geometry
    running.centroids.zero_()
    running.counts.zero_()
    for x in inputs:
        reuse_conv2d(
            x, layer.weight, layer.bias, layer.hash_vectors, layer.thresholds, layer.pattern,
            stride=g.stride, padding=g.padding, dilation=g.dilation, centroids=running.centroids,
            counts=running.counts, training=True, momentum=None, layer_name=layer.layer_name,
        )  # fmt: skip
    running.counts.div_(len(inputs))  # vectors per batch, the unit that training's momentum updates have
    layer.fill_centroids()


def _refit(
    layer: ReuseConv2d, conventional: nn.Module, teacher: nn.Module, inputs: list[Tensor], batches: tuple[Tensor, ...]
) -> None:
    pattern, g = layer.pattern, layer.geometry
    problem = LeastSquares(g.K, g.out_channels, layer.bias is not None)
    for x, images in zip(inputs, batches, strict=True):
        target = _capture(teacher, conventional, images)[1]
        columns = quantised_columns(x, layer.hash_vectors, layer.thresholds, g, pattern, layer.centroids)
        problem.add(columns.flatten(0, 1), target.flatten(2).transpose(1, 2).flatten(0, 1))
    weights, bias = problem.solve(weight_matrix(layer.weight, pattern.order))
    layer.weight.copy_(weight_from_matrix(weights, g, pattern.order))
    if layer.bias is not None and bias is not None:
        layer.bias.copy_(bias)


def _capture(model: nn.Module, layer: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Input and output of `layer` when `model` runs on `images`; nothing after the layer is computed.

    The output of a reuse layer is not wanted, and is a tensor without elements: it may not be able to run yet.
    """
    seen: list[Tensor] = []

    def before(_: nn.Module, args: tuple[Any, ...]) -> None:
        seen.append(args[0])
        if isinstance(layer, ReuseConv2d):
            seen.append(args[0].new_empty(0))
            raise _ReachedLayer

    def after(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        seen.append(output)
        raise _ReachedLayer

    with _hooks(layer.register_forward_pre_hook(before), layer.register_forward_hook(after)):
        try:
            model(images)
        except _ReachedLayer:
            return seen[0], seen[1]
    raise ModelError(f"the layer {layer} never runs")


def _execution_order(teacher: nn.Module, names: list[str], images: Tensor) -> list[str]:
    """`names` in the order of their first run in the conventional model."""
    order: list[str] = []
    modules = {name: teacher.get_submodule("" if name == "(model)" else name) for name in names}
    handles = [
        module.register_forward_pre_hook(lambda _m, _a, name=name: order.append(name))
        for name, module in modules.items()
    ]
    with _hooks(*handles):
        teacher(images)
    for name in names:
        if name not in order:
            raise ModelError(f"layer '{name}' never runs in the model's forward pass, so it cannot be calibrated")
    return list(dict.fromkeys(order))


@contextmanager
def _hooks(*handles: Any) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
