"""One layer alone as firmware: whether a kernel runs it, its constants and scratch, and its simulated cycles."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ostinato.data import INPUT_SCALE, INPUT_ZERO_POINT
from ostinato.errors import OstinatoError
from ostinato.firmware.deploy import deploy_graph
from ostinato.firmware.external import bytes_outside, estimated_cycles, large_arrays
from ostinato.firmware.storage import plan_project
from ostinato.nn import calibrate, convert
from ostinato.nn.convert import stem_layers
from ostinato.quant import quantize, quantize_input
from ostinato.quant.ops import QGraph
from ostinato.reuse import ConvGeometry, Pattern
from ostinato.search.candidate import AnyPattern
from ostinato.search.layers import Layer
from ostinato.targets.boards import Board

_PROBE_IMAGES = 4
_CODE_PER_SOURCE = 0.25
"""Bytes of code for a byte of generated source; measured 0.2 to 0.3 on the kernels of compiled scope."""


@dataclass(frozen=True)
class LayerSize:
    """What a layer takes, without compiling it.

    Attributes:
        kernel: that runs it.
        flash_bytes: constants, exact, and an estimate of code that is generated for this layer alone.
        scratch_bytes: beside its input and output while it runs, exact.
        large_bytes: of the constants, those in arrays large enough for external flash.
        wait_estimate: cycles that waiting for them there would take, by how often they are read.
    """

    kernel: str
    flash_bytes: int
    scratch_bytes: int
    large_bytes: int
    wait_estimate: float


def quantize_layer(module: nn.Module, inputs: Tensor) -> QGraph:
    """The integer network of a single layer that sees `inputs` (B, C, H, W).

    Raises:
        UnsupportedError, QuantizationError: firmware cannot run it.
    """
    network = nn.Sequential(module).eval()
    if stem_layers(network):  # it reads pixels, whose scale is fixed
        return quantize(network, inputs, input_scale=INPUT_SCALE, input_zero_point=INPUT_ZERO_POINT)
    return quantize(network, inputs)


def layer_size(graph: QGraph, board: Board) -> LayerSize:
    """Sizes of a quantised layer.

    Raises:
        UnsupportedError: no kernel runs it.
    """
    binding = plan_project(graph, "dense", board).bindings[0]
    generated = sum(map(len, binding.generated.values()))
    flash = binding.flash_bytes + round(generated * _CODE_PER_SOURCE)
    large, outside = large_arrays(binding), board.external_flash
    waits = estimated_cycles(graph.ops[0], binding, large, outside) if outside else 0.0
    return LayerSize(binding.kernel, flash, binding.scratch_bytes, bytes_outside(binding, large), waits)


def simulated(graph: QGraph, inputs: Tensor, board: Board, *, external: bool = False) -> dict[str, int]:
    """A quantised layer on the simulated core: modelled cycles, mean over `inputs` (B, C, H, W), and its kernel's code.

    With `external`, its large constants are in external flash; `staged_bytes` of them are copied into SRAM first.

    Raises:
        DoesNotFitError: it is larger than the board.
        UnsupportedError: it has no large constants for external flash.
        SimulationError, ToolchainError: see `Firmware.simulate`.
    """
    given = quantize_input(inputs, graph.input)
    outside = [graph.ops[0].name] if external else "never"
    firmware = deploy_graph(
        graph, given, board, kernel="dense", hot_code=False, external_flash=outside, verify_images=0
    )
    return {
        "cycles": firmware.simulate(inputs).cycles, "code_bytes": firmware.kernel_code_bytes,
        "staged_bytes": sum(layer.external_bytes for layer in firmware.project.layers if layer.staged),
    }  # fmt: skip


class KernelProbe:
    """Asks the quantiser and the kernels' bindings whether firmware runs a pattern on a layer; remembers answers.

    They are asked with an uncalibrated layer of the same geometry, on small noise: what they refuse for its kind or
    its sizes shows here; what depends on numbers shows when a candidate is profiled.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._known: dict[tuple[ConvGeometry, bool, AnyPattern], str | None] = {}

    def refusal(self, layer: Layer, pattern: AnyPattern) -> str | None:
        """Why firmware cannot run `pattern` on `layer`, or None."""
        if isinstance(pattern, Pattern):  # hashes are fitted to noise: the quickest way will do
            init = "pca" if pattern.clustering == "tree" else "random"
            pattern = dataclasses.replace(pattern, init=init, seed=0)
        question = (layer.geometry, layer.reads_image, pattern)
        if question not in self._known:
            self._known[question] = self._ask(layer, pattern)
        return self._known[question]

    def _ask(self, layer: Layer, pattern: AnyPattern) -> str | None:
        g = layer.geometry
        generator = torch.Generator().manual_seed(0)
        sides = (min(layer.height, 3 * g.kernel_size[0] + 4), min(layer.width, 3 * g.kernel_size[1] + 4))
        noise = torch.rand(_PROBE_IMAGES, g.in_channels, *sides, generator=generator) * 1.9 - 0.95
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            conv = nn.Conv2d(g.in_channels, g.out_channels, g.kernel_size, g.stride, g.padding, g.dilation)
        try:
            reuse = calibrate(convert(nn.Sequential(conv), {"0": pattern}), noise, refit=False)
            layer_size(quantize_layer(reuse[0], noise), self._board)  # type: ignore[index]
        except OstinatoError as error:
            return str(error).replace("'0.0'", f"'{layer.name}'").replace("'0'", f"'{layer.name}'")
        return None
