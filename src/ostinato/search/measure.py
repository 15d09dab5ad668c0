"""Measurements of a search that take a compiler: the conventional network, one candidate's cycles, whole networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ostinato.data import INPUT_SCALE, INPUT_ZERO_POINT
from ostinato.errors import DoesNotFitError
from ostinato.firmware import Firmware, SimulationReport, deploy
from ostinato.firmware.external import Outside, large_arrays
from ostinato.reuse import read_pattern
from ostinato.search.candidate import Candidate, fields_of
from ostinato.search.context import Context, divergence, log_probabilities
from ostinato.search.fitting import fit_layer, layer_inputs
from ostinato.search.layer_firmware import layer_size, quantize_layer, simulated
from ostinato.search.placing import may_be_inside, may_be_outside
from ostinato.search.pooling import split_pools
from ostinato.search.profile import lightweight
from ostinato.training import apply_patterns, evaluate

_QUANTIZED_ON = 64  # images


def firmware_of(
    context: Context, network: nn.Module, kernel: str = "dense", external: Outside | None = None
) -> Firmware:
    """Firmware of a network for the search's board, not verified layer by layer.

    `external`: what is in external flash, if it is not what the search was asked for.

    Raises:
        DoesNotFitError, UnsupportedError, QuantizationError: see `deploy`.
    """
    images = context.calibration[:_QUANTIZED_ON]
    return deploy(
        network, images, context.board, kernel=kernel, external_flash=external or context.outside,
        input_scale=INPUT_SCALE, input_zero_point=INPUT_ZERO_POINT, verify=False,
    )  # fmt: skip


def baseline(context: Context) -> dict[str, Any]:
    """The conventional network: accuracy, cycles on both dense kernels, and by layer cycles, constants and SRAM.

    `alive_bytes` of a layer is what its run needs beside its own scratch, with the output's buffer and the stack.
    `cycles` and `flash_bytes` of a layer are those with all its constants in internal flash, wherever this network has
    them; `external_bytes` those that may be in external flash, and `cycles_external` what it takes then. Poolings that
    layers do are told apart from them (`pooling.split_pools`).
    """
    firmware, style = firmware_of(context, context.model), firmware_of(context, context.model, "cmsis")
    simulation, cmsis = firmware.simulate(context.probe[:1]), style.simulate(context.probe[:1])
    fixed = simulation.sram_bytes - firmware.plan.arena_bytes
    cmsis_cycles = {layer.name: layer.cycles - layer.external_wait_cycles for layer in cmsis.layers}
    outside = _outside(context, firmware, simulation)
    layers = {
        layer.name: {
            "cycles": layer.cycles - layer.external_wait_cycles, "cmsis_cycles": cmsis_cycles[layer.name],
            "flash_bytes": binding.flash_bytes, "kernel": layer.kernel, "scratch_bytes": binding.scratch_bytes,
            "alive_bytes": live - binding.scratch_bytes + fixed, **outside[layer.name],
        }
        for layer, binding, live in zip(simulation.layers, firmware.bindings, firmware.plan.live_bytes, strict=True)
    }  # fmt: skip
    layers |= split_pools(layers, firmware, style, cmsis_cycles, fixed)
    return {
        **_cost(simulation), "cmsis_cycles": cmsis.cycles, "layers": layers,
        "code_bytes": simulation.flash_bytes - sum(layer.flash_bytes for layer in simulation.layers),
        **_accuracy(context, context.model),
    }  # fmt: skip


def _outside(context: Context, firmware: Firmware, simulation: SimulationReport) -> dict[str, dict[str, int]]:
    """`external_bytes` and `cycles_external` by layer, with all large constants outside that may be there."""
    names = context.outside
    if names == "auto":
        names = tuple(op.name for op, b in zip(firmware.graph.ops, firmware.bindings, strict=True) if large_arrays(b))
        simulation = firmware_of(context, context.model, external=names).simulate(context.probe[:1])
    return {
        layer.name: {"external_bytes": layer.external_bytes, "cycles_external": layer.cycles}
        for layer in simulation.layers
    }


def _cost(simulation: SimulationReport) -> dict[str, Any]:
    return {
        "cycles": simulation.cycles, "ms": simulation.ms, "flash_bytes": simulation.flash_bytes,
        "external_bytes": simulation.external_bytes, "external_wait_cycles": simulation.external_wait_cycles,
        "sram_bytes": simulation.sram_bytes,
    }  # fmt: skip


@torch.no_grad()
def simulate_candidate(context: Context, candidate: Candidate) -> dict[str, Any]:
    """Modelled cycles and code of one candidate alone, calibrated, on what the network gives its layer.

    `cycles_external` are those with its large constants in external flash, where it has such and they may be there.
    """
    assert candidate.pattern is not None
    inputs = layer_inputs(context, candidate.layer, context.calibration)
    fitted = fit_layer(context, candidate.layer, lightweight(candidate.pattern), inputs)
    shown = layer_inputs(context, candidate.layer, context.probe[:1])
    graph, found = quantize_layer(fitted, inputs[:_QUANTIZED_ON]), dict[str, Any]()
    outside = may_be_outside(context.outside, candidate.layer) and layer_size(graph, context.board).large_bytes > 0
    if outside:
        external = simulated(graph, shown, context.board, external=True)
        found = {"cycles_external": external["cycles"], "code_bytes": external["code_bytes"]}
    if may_be_inside(context.outside, candidate.layer):
        try:
            found |= simulated(graph, shown, context.board)
        except DoesNotFitError:
            if not outside:
                raise
    return found


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
        **float_numbers(context, network), **_cost(simulation),
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
