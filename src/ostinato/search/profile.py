"""Profiling: all candidates of a layer from one pass over a few training images (GR §4's lightweight measurement)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.nn import ReuseConv2d, measure_reuse
from ostinato.nn.capture import removed
from ostinato.reuse import Pattern, layer_cost
from ostinato.search.candidate import AnyPattern, Candidate, fields_of
from ostinato.search.context import Context, divergence, log_probabilities
from ostinato.search.failures import reason
from ostinato.search.fitting import FittedLayer, fit_layer, layer_inputs
from ostinato.search.generate import key_condition
from ostinato.search.layer_firmware import layer_size, quantize_layer
from ostinato.search.layers import Layer
from ostinato.search.placing import may_be_outside
from ostinato.theory.layer_errors import layer_errors

Row = dict[str, Any]
_QUANTIZED_ON = 16  # images


@torch.no_grad()
def profile_layer(context: Context, name: str, patterns: Iterable[AnyPattern]) -> list[Row]:
    """One row of numbers for each pattern on a layer; a pattern that fails has a row with `failed`.

    Measured as deployed, that is calibrated, with all other layers conventional; but polished trees are measured before
    they are polished, which is most of the time and takes a tenth of the error of every candidate alike:

    * `r_t`, `clusters` (of an image, mean) and `unseen` (share of vectors whose id calibration never met);
    * `error`: ‖Y − Ŷ‖² over ‖Y − Ȳ‖²; `published`, `corrected`: GR §4.1's bound and one that holds, over the same;
    * `kl`: divergence of the network's answers in nats, which predicts whole networks best (docs/search.md);
    * `flops`: of conventional, with all that `layer_cost` counts; `key_condition`: whether H/D_out < r_t;
    * `flash_bytes`, `scratch_bytes`, `kernel`: of its firmware, with all constants in internal flash; `external_bytes`:
      those that may be in external flash; `wait_estimate`: cycles of waiting for them there, by how often they are
      read;
    * `input_mean`, `input_std`, `input_zeros`: of the layer's activations; `seconds`: that this took.
    """
    layer, conv = context.layer(name), context.model.get_submodule(name)
    fitted_to, seen = (layer_inputs(context, name, images) for images in (context.calibration, context.probe))
    target = conv(seen)
    statistics = {
        "input_mean": float(seen.mean()),
        "input_std": float(seen.std()),
        "input_zeros": float((seen == 0).float().mean()),
    }
    rows = []
    for pattern in patterns:
        began = time.perf_counter()
        row: Row = {"layer": name, "key": Candidate(name, pattern).key, "pattern": fields_of(pattern)}
        try:
            fitted = fit_layer(context, name, lightweight(pattern), fitted_to)
            row |= _errors(context, layer, conv, fitted, pattern, seen, target) | statistics
            size = layer_size(quantize_layer(fitted, fitted_to[:_QUANTIZED_ON]), context.board)
            row |= {"kernel": size.kernel, "flash_bytes": size.flash_bytes, "scratch_bytes": size.scratch_bytes}
            outside = may_be_outside(context.outside, name)
            row |= {"external_bytes": size.large_bytes if outside else 0, "wait_estimate": size.wait_estimate}
        except Exception as error:  # whatever it is: one candidate must not end a search
            row["failed"] = reason(error)
        rows.append(row | {"seconds": time.perf_counter() - began})
    return rows


def lightweight(pattern: AnyPattern) -> AnyPattern:
    """The pattern that is measured in place of `pattern`: the same ids and tables, a quicker fit."""
    if isinstance(pattern, Pattern) and pattern.init == "polished":
        return dataclasses.replace(pattern, init="pca")
    return pattern


def _errors(
    context: Context, layer: Layer, conv: nn.Module, fitted: FittedLayer, pattern: AnyPattern, seen: Tensor,
    target: Tensor,
) -> Row:  # fmt: skip
    with measure_reuse(nn.Sequential(fitted)) as counts:
        output = fitted(seen)
    row = {
        "error": relative_error(output, target),
        "kl": divergence(context.answers, _answers_with(context, layer.name, output)),
    }
    if not isinstance(fitted, ReuseConv2d):
        return row | {"r_t": 1.0, "key_condition": key_condition(pattern, layer, 1.0)}
    stats = counts["0"]
    few = seen[: context.settings.bound_images]
    row |= {
        "r_t": stats.r_t,
        "clusters": stats.clusters / len(seen),
        "unseen": stats.unseen / stats.vectors,
        "key_condition": key_condition(pattern, layer, stats.r_t),
        "flops": layer_cost(layer.geometry, fitted.pattern, layer.height, layer.width, 1 - stats.r_t).flops_remaining,
    }
    if fitted.pattern.direction == "vertical" and fitted.pattern.block_rows == 1:  # what GR §4.1 is about
        assert isinstance(conv.weight, Tensor)
        bounds = layer_errors(
            few, conv.weight, fitted.hash_vectors, fitted.thresholds, layer.geometry, fitted.pattern, fitted.centroids
        )
        row |= {"published": bounds.published / bounds.variation, "corrected": bounds.corrected / bounds.variation}
    return row


def relative_error(output: Tensor, target: Tensor) -> float:
    """‖Y − Ŷ‖² over ‖Y − Ȳ‖², Ȳ each channel's mean (DESIGN §5.8), of (n, M, OH, OW)."""
    variation = (target - target.mean((0, 2, 3), keepdim=True)).double().square().sum()
    return float((output - target).double().square().sum() / variation.clamp_min(torch.finfo(torch.float64).tiny))


def _answers_with(context: Context, name: str, output: Tensor) -> Tensor:
    """Log-probabilities on the probe images if the layer put out `output`."""
    parts = iter(torch.split(output, 64))
    handle = context.model.get_submodule(name).register_forward_hook(lambda *_: next(parts))
    with removed(handle):
        return log_probabilities(context.model, context.probe)
