"""Measurements of a search that take a compiler: the conventional network, one candidate's cycles, whole networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ostinato.data import INPUT_SCALE, INPUT_ZERO_POINT
from ostinato.firmware import Firmware, deploy
from ostinato.reuse import read_pattern
from ostinato.search.candidate import Candidate, fields_of
from ostinato.search.context import Context, divergence, log_probabilities
from ostinato.search.fitting import fit_layer, layer_inputs
from ostinato.search.layer_firmware import quantize_layer, simulated
from ostinato.search.profile import lightweight
from ostinato.training import apply_patterns, evaluate

_QUANTIZED_ON = 64  # images


def firmware_of(context: Context, network: nn.Module, kernel: str = "dense") -> Firmware:
    """Firmware of a network for the search's board, not verified layer by layer.

    Raises:
        DoesNotFitError, UnsupportedError, QuantizationError: see `deploy`.
    """
    images = context.calibration[:_QUANTIZED_ON]
    return deploy(
        network, images, context.board, kernel=kernel, input_scale=INPUT_SCALE, input_zero_point=INPUT_ZERO_POINT,
        verify=False,
    )  # fmt: skip


def baseline(context: Context) -> dict[str, Any]:
    """The conventional network: accuracy, cycles on both dense kernels, and by layer cycles, constants and SRAM.

    `alive_bytes` of a layer is what its run needs beside its own scratch, with the output's buffer and the stack.
    """
    firmware, style = firmware_of(context, context.model), firmware_of(context, context.model, "cmsis")
    simulation, cmsis = firmware.simulate(context.probe[:1]), style.simulate(context.probe[:1])
    fixed = simulation.sram_bytes - firmware.plan.arena_bytes
    cmsis_cycles = {layer.name: layer.cycles for layer in cmsis.layers}
    layers = {
        layer.name: {
            "cycles": layer.cycles, "cmsis_cycles": cmsis_cycles[layer.name], "flash_bytes": binding.flash_bytes,
            "kernel": layer.kernel, "scratch_bytes": binding.scratch_bytes,
            "alive_bytes": live - binding.scratch_bytes + fixed,
        }
        for layer, binding, live in zip(simulation.layers, firmware.bindings, firmware.plan.live_bytes, strict=True)
    }  # fmt: skip
    return {
        "cycles": simulation.cycles, "cmsis_cycles": cmsis.cycles, "flash_bytes": simulation.flash_bytes,
        "sram_bytes": simulation.sram_bytes, "layers": layers, **_accuracy(context, context.model),
    }  # fmt: skip


@torch.no_grad()
def simulate_candidate(context: Context, candidate: Candidate) -> dict[str, Any]:
    """Modelled cycles and code of one candidate alone, calibrated, on what the network gives its layer."""
    assert candidate.pattern is not None
    inputs = layer_inputs(context, candidate.layer, context.calibration)
    fitted = fit_layer(context, candidate.layer, lightweight(candidate.pattern), inputs)
    shown = layer_inputs(context, candidate.layer, context.probe[:1])
    return dict(simulated(quantize_layer(fitted, inputs[:_QUANTIZED_ON]), shown, context.board))


def measure_network(context: Context, patterns: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A network with these patterns, calibrated in sequence and not trained: joint divergence, accuracy, firmware."""
    chosen = {name: read_pattern(fields) for name, fields in patterns.items()}
    network = apply_patterns(context.model, context.calibration, chosen).eval() if chosen else context.model
    return describe(context, network)


def describe(context: Context, network: nn.Module) -> dict[str, Any]:
    """Divergence, validation accuracy in float, and what its firmware takes."""
    firmware = firmware_of(context, network)
    simulation = firmware.simulate(context.probe[:1])
    return {
        **float_numbers(context, network),
        "cycles": simulation.cycles, "ms": simulation.ms, "flash_bytes": simulation.flash_bytes,
        "sram_bytes": simulation.sram_bytes,
        "phases": {layer.name: dict(layer.phases) for layer in simulation.layers},
    }  # fmt: skip


def float_numbers(context: Context, network: nn.Module) -> dict[str, Any]:
    """Divergence from the conventional network, and validation accuracy."""
    return {"kl": divergence(context.answers, log_probabilities(network, context.probe)), **_accuracy(context, network)}


def _accuracy(context: Context, network: nn.Module) -> dict[str, Any]:
    """On validation images: never on the test set."""
    measured = evaluate(network, context.validation)
    return {"valid_top1": measured.top1, "valid_loss": measured.loss, "valid_images": measured.n}


def pattern_fields(patterns: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Patterns by layer as plain fields."""
    return {name: fields_of(pattern) for name, pattern in patterns.items()}
