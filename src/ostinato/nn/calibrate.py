"""calibrate: fit hashes, centroids and weights of all reuse layers to some unlabelled images (DESIGN §5.5)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ostinato.errors import ModelError
from ostinato.nn.capture import capture_input, capture_output, removed
from ostinato.nn.conv import ReuseConv2d, geometry_of, refusal
from ostinato.nn.convert import reuse_layers, revert, stem_layers
from ostinato.nn.linear import ReuseLinear
from ostinato.nn.sensitivity import Metric, check_metric, seen_weight
from ostinato.nn.stem import TransformStem
from ostinato.nn.stem_calibrate import calibrate_stem
from ostinato.reuse import (
    LeastSquares,
    hashed_vectors,
    im2col,
    initial_hash,
    quantised_columns,
    reuse_conv2d,
    weight_from_matrix,
    weight_matrix,
)

_SAMPLED_VECTORS = 20_000  # per hash group, to fit its hyperplanes
_SAMPLED_NUMBERS = 1 << 25  # and in all groups together
_ROWS_PER_COLUMN = 4
"""Below so many rows of X for each of its columns, a refit of a linear layer fits noise: 500 images for CifarNet's fc1,
of 1,600 columns, cost two points."""
_DENSE_ORDER = "c.kh.kw"  # of a conventional refit's columns: any will do


@torch.no_grad()
def calibrate(
    model: nn.Module,
    images: Tensor,
    *,
    refit: bool = True,
    refit_dense: bool = False,
    metric: Metric = "outputs",
    batch_size: int = 50,
    progress: Callable[[str, int, int], None] | None = None,
) -> nn.Module:
    """Fit the model's reuse layers, in the order in which they run, to unlabelled images; in place.

    Each layer sees what the reuse layers before it, already calibrated, make of the images. Its hashes are
    initialised (`random` ones stay as they are), its running centroids accumulated (compiled scope), and its weights
    and bias refitted by least squares towards the outputs of the same layer in the conventional model. A layer that
    runs several times is calibrated on its first run. A transform-coded stem has its transform, ids and table fitted,
    whatever `refit` says.

    Args:
        model: with reuse layers; left in the mode that it was in.
        images: (N, C, H, W) floating point, preprocessed as in training.
        refit: whether to refit the weights of reuse layers. Linear layers, with one row for each image, keep theirs
            unless there are four times as many images as inputs.
        refit_dense: whether to refit the conventional convolutions behind a reuse layer too, in their turn, so that
            they undo what they can of the errors before them (DESIGN §5.12). Linear layers stay: they have more
            columns than a few hundred images have rows.
        metric: what hashes that are fitted to outputs measure errors by: `outputs`, their square, or `loss`, half that
            and half what they cost the conventional network's loss (its Fisher information; no labels needed).
        batch_size: images at a time; also the batch whose vectors share clusters in batch scope.
        progress: called with (layer name, layers done, layers in all).

    Returns:
        `model`.

    Raises:
        ModelError: if `images` are none, not finite, a reuse layer never runs, or the metric is unknown.
    """
    if images.dim() != 4 or len(images) == 0 or not images.is_floating_point():
        raise ModelError(
            f"calibration needs floating-point images (N, C, H, W), not {images.dtype} of shape {tuple(images.shape)}"
        )
    check_metric(metric)
    modes = {module: module.training for module in model.modules()}
    teacher = revert(model).eval()
    for module in model.modules():
        module.training = False  # not .eval(), which would ask uncalibrated layers for their centroids
    try:
        stems = stem_layers(model)
        order = [*stems, *_execution_order(teacher, list(reuse_layers(model)), images[:1])]  # a stem reads the image
        if refit_dense and order:
            order = _with_dense(model, teacher, order, images[:1])
        batches = torch.split(images, batch_size)
        for done, name in enumerate(order):
            layer = _module(model, name)
            if isinstance(layer, TransformStem):
                calibrate_stem(model, teacher, name, layer, batches)
            elif isinstance(layer, ReuseConv2d):
                _calibrate_layer(model, teacher, name, layer, batches, refit, metric)
            elif isinstance(layer, nn.Conv2d):
                _refit_dense(model, teacher, name, layer, batches)
            if progress is not None:
                progress(name, done + 1, len(order))
    finally:
        for module, training in modes.items():
            module.training = training
    return model


def _calibrate_layer(
    model: nn.Module, teacher: nn.Module, name: str, layer: ReuseConv2d, batches: tuple[Tensor, ...], refit: bool,
    metric: Metric,
) -> None:  # fmt: skip
    inputs = [layer.as_image(capture_input(model, layer, batch)) for batch in batches]
    if layer.pattern.init != "random":
        sample = _sample_vectors(inputs, layer)
        seen = seen_weight(teacher, _module(teacher, name), layer.weight, torch.cat(batches), metric)
        vectors, thresholds = initial_hash(layer.geometry, layer.pattern, sample, name, seen)
        layer.hash_vectors.copy_(vectors)
        layer.thresholds.copy_(thresholds)
    if layer.table_offsets is not None:
        layer.table_offsets.zero_()
    if layer.pattern.scope == "compiled":
        _accumulate_centroids(layer, inputs)
    few = isinstance(layer, ReuseLinear) and sum(map(len, batches)) < _ROWS_PER_COLUMN * layer.geometry.K
    if refit and not few:
        _refit(layer, _module(teacher, name), teacher, inputs, batches)


def _module(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule("" if name == "(model)" else name)


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


def _with_dense(model: nn.Module, teacher: nn.Module, reused: list[str], images: Tensor) -> list[str]:
    """`reused` and all ordinary convolutions that run after the first of them, in the order of their first run."""
    plain = [n for n, m in model.named_modules() if type(m) is nn.Conv2d and refusal(m) is None]
    order = _execution_order(teacher, [*reused, *plain], images, all_run=False)
    return order[min(order.index(name) for name in reused) :]


def _refit_dense(
    model: nn.Module, teacher: nn.Module, name: str, layer: nn.Conv2d, batches: tuple[Tensor, ...]
) -> None:
    """Weights of a conventional convolution that bring its outputs nearest to what they were without reuse."""
    geometry, conventional = geometry_of(layer), _module(teacher, name)
    problem = LeastSquares(geometry.K, geometry.out_channels, layer.bias is not None)
    for images in batches:
        x, target = capture_input(model, layer, images), capture_output(teacher, conventional, images)
        columns = im2col(x, geometry, _DENSE_ORDER)
        problem.add(columns.flatten(0, 1), target.flatten(2).transpose(1, 2).flatten(0, 1))
    weights, bias = problem.solve(weight_matrix(layer.weight, _DENSE_ORDER))
    layer.weight.copy_(weight_from_matrix(weights, geometry, _DENSE_ORDER))
    if layer.bias is not None and bias is not None:
        layer.bias.copy_(bias)


def _refit(
    layer: ReuseConv2d, conventional: nn.Module, teacher: nn.Module, inputs: list[Tensor], batches: tuple[Tensor, ...]
) -> None:
    pattern, g = layer.pattern, layer.geometry
    problem = LeastSquares(g.K, g.out_channels, layer.bias is not None)
    for x, images in zip(inputs, batches, strict=True):
        target = capture_output(teacher, conventional, images)
        columns = quantised_columns(x, layer.hash_vectors, layer.thresholds, g, pattern, layer.centroids)
        outputs = target.reshape(*target.shape[:2], -1)  # those of a linear layer are one pixel's
        problem.add(columns.flatten(0, 1), outputs.transpose(1, 2).flatten(0, 1))
    weights, bias = problem.solve(weight_matrix(layer.weight, pattern.order))
    layer.weight.copy_(weight_from_matrix(weights, g, pattern.order))
    if layer.bias is not None and bias is not None:
        layer.bias.copy_(bias)


def _execution_order(teacher: nn.Module, names: list[str], images: Tensor, all_run: bool = True) -> list[str]:
    """`names` in the order of their first run in the conventional model; with `all_run`, each must run."""
    order: list[str] = []
    modules = {name: _module(teacher, name) for name in names}
    handles = [
        module.register_forward_pre_hook(lambda _m, _a, name=name: order.append(name))
        for name, module in modules.items()
    ]
    with removed(*handles):
        teacher(images)
    for name in names:
        if all_run and name not in order:
            raise ModelError(f"layer '{name}' never runs in the model's forward pass, so it cannot be calibrated")
    return list(dict.fromkeys(order))
