"""From a trained network to a row of the report: quantised, generated, compiled, run on host and simulator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from ostinato.data import INPUT_SCALE, INPUT_ZERO_POINT, ImageDataset, to_input
from ostinato.files import write_atomically
from ostinato.firmware import SimulationReport, deploy
from ostinato.nn import measure_reuse, reuse_layers
from ostinato.nn.convert import stem_layers
from ostinato.pipeline.config import RunConfig
from ostinato.pipeline.flops import flops_remaining
from ostinato.pipeline.methods import Method
from ostinato.pipeline.networks import Say, calibration_images
from ostinato.report import Layer, Phases, ReportError, Row
from ostinato.reuse import ReuseStats
from ostinato.training import evaluate


def make_row(
    config: RunConfig, dataset: ImageDataset, network: nn.Module, method: Method, folder: Path, *, say: Say
) -> Row:
    """Measure one method on the whole test set and one image on the simulator. `folder` gets the C project."""
    say(f"float accuracy on {len(dataset.test):,} test images")
    with measure_reuse(network) as reuse:
        accuracy = evaluate(network, dataset.test)
    say("quantising, generating C, compiling")
    firmware = deploy(
        network,
        calibration_images(dataset, config.calibration_images, config.seed),
        board=config.board,
        kernel=method.dense_kernel,
        out_dir=folder,
        input_scale=INPUT_SCALE,
        input_zero_point=INPUT_ZERO_POINT,
        classes=dataset.classes,
        name=config.model,
        external_flash=config.external_flash,
    )
    say(f"int8 accuracy of the firmware's code on {len(dataset.test):,} test images")
    int8 = firmware.evaluate(dataset.test)
    say("simulating one image")
    image = to_input(dataset.test.images[:1])
    return assemble_row(method, network, reuse, accuracy.top1, int8, firmware.simulate(image), dataset)


def assemble_row(
    method: Method,
    network: nn.Module,
    reuse: Mapping[str, ReuseStats],
    top1_float: float,
    top1_int8: float,
    simulation: SimulationReport,
    dataset: ImageDataset,
) -> Row:
    """The row from its measurements.

    r_t counts the clusters whose results are computed during inference. In compiled scope there are none: every result
    is in the table, so r_t is 1, and what it costs is flash.
    """
    patterns = {name: layer.pattern for name, layer in reuse_layers(network).items()}
    shown = {**patterns, **{name: stem.pattern for name, stem in stem_layers(network).items()}}
    computed = {name: 0 if patterns[name].scope == "compiled" else stats.clusters for name, stats in reuse.items()}
    vectors = sum(stats.vectors for stats in reuse.values())
    layers = tuple(
        Layer(
            name=layer.name,
            kernel=layer.kernel,
            cycles=layer.cycles,
            instructions=layer.instructions,
            phases=Phases(**layer.phases),
            pattern=str(shown[layer.name]) if layer.name in shown else None,
            redundancy_ratio=1.0 - computed[layer.name] / reuse[layer.name].vectors if layer.name in reuse else None,
            note=layer.note or None,
            choice=layer.choice or None,
            conventional_cycles=layer.conventional_cycles,
            warning=layer.warning or None,
            external_bytes=layer.external_bytes,
            external_wait_cycles=layer.external_wait_cycles,
        )
        for layer in simulation.layers
    )
    return Row(
        method=method.method,
        scope=method.scope,
        kernel=method.kernel,
        top1_float=top1_float,
        top1_int8=top1_int8,
        redundancy_ratio=1.0 - sum(computed.values()) / vectors if vectors else None,
        flops_remaining=flops_remaining(network, reuse, to_input(dataset.test.images[:1])),
        instructions=simulation.instructions,
        cycles=simulation.cycles,
        ms=simulation.ms,
        sram_bytes=simulation.sram_bytes,
        flash_bytes=simulation.flash_bytes,
        layers=layers,
        external_bytes=simulation.external_bytes,
        external_wait_cycles=simulation.external_wait_cycles,
    )


def read_row(path: Path) -> Row | None:
    """A row that an earlier, interrupted run has finished; None if there is none that can be read."""
    try:
        return Row.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ReportError):
        return None


def write_row(path: Path, row: Row) -> None:
    """Keep a finished row."""
    write_atomically(path, (json.dumps(row.to_dict(), indent=2) + "\n").encode())
