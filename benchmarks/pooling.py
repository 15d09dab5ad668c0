"""What it saves that a layer does the max-pool behind it: `python benchmarks/pooling.py`.

CifarNet's convolutions and their 2×2 pooling, a 3×3 one, and first layers with CifarNet's and SqueezeNet's,
conventional and with tables, modelled on both cores without wait states: the layer and the pooling one after the other,
and as one kernel. Random weights and tables, smooth inputs; all bits are checked against the integer reference. SRAM is
input, output and scratch of the one that needs more. Then whole trained networks, deployed both ways. Writes
docs/results/pooling.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

import ostinato as ost
import reuse_cases as reuse
from kernels import LAYERS, random_conv
from ostinato.data import INPUT_SCALE, INPUT_ZERO_POINT
from ostinato.files import write_atomically
from ostinato.firmware import pooling
from ostinato.firmware.kernel_runner import KernelRunner
from ostinato.kernels.binding import Binding
from ostinato.kernels.conventional import bind_conv
from ostinato.kernels.pooled import bind_conv_pooled
from ostinato.kernels.pools import bind_max_pool
from ostinato.kernels.reuse_compiled import CompiledForm, bind_reuse_compiled
from ostinato.kernels.stem import bind_stem
from ostinato.models import pretrained
from ostinato.quant.ops import ConvDims, QConv2d, QMaxPool2d
from ostinato.quant.pooled_op import PoolableOp, QPooled, pooled
from ostinato.quant.reference import execute_op
from ostinato.quant.stem_ops import QStem
from provenance import RESULTS, provenance

CORES = ("cortex-m4", "cortex-m7")
BOARD = "stm32f469i"
NETWORKS = {
    "cifarnet-cifar10": 32, "squeezenet-cifar10": 32, "zfnet-cifar10": 64,
    "cifarnet-cifar10-tables": 32, "squeezenet-cifar10-tables": 32,
}  # fmt: skip
"""Trained networks that come with the package, with the side of their images."""


@dataclass(frozen=True)
class Case:
    """A layer with a pooling, on one form of kernel."""

    name: str
    pair: QPooled
    form: CompiledForm | None
    """Of compiled scope; None: a stem or conventional."""

    @property
    def bindings(self) -> tuple[Binding, Binding, Binding]:
        """Of the layer, of the pooling, of both as one."""
        layer, pool = self.pair.layer, self.pair.pool
        if isinstance(layer, QConv2d):
            return bind_conv(layer, "dense"), bind_max_pool(pool), bind_conv_pooled(layer, "dense", pool.dims)
        if isinstance(layer, QStem):
            return bind_stem(layer), bind_max_pool(pool), bind_stem(layer, pool=pool.dims)
        return (
            bind_reuse_compiled(layer, self.form),
            bind_max_pool(pool),
            bind_reuse_compiled(layer, self.form, pool.dims.kernel),
        )


def cases() -> Iterator[Case]:
    """Conventional layers; first ones by kernel rows, second ones by pixels; stems."""
    conv1, conv2 = LAYERS["CifarNet conv1"], LAYERS["CifarNet conv2"]
    wider = ConvDims((32, 32, 3), (32, 32, 96), (3, 3), padding=(1, 1))
    rng = np.random.default_rng(0)
    yield Case("CifarNet conv1, pool 2×2", _pair(random_conv(rng, conv1), (2, 2)), None)
    yield Case("CifarNet conv2, pool 2×2", _pair(random_conv(rng, conv2), (2, 2)), None)
    yield Case("SqueezeNet conv1, pool 3×3 by 2", _pair(random_conv(rng, wider), (3, 3), (2, 2)), None)
    rows = reuse.kernel_row_layer(conv1, 6, largest=63, thresholds=True)
    yield Case("CifarNet conv1, L=15, H=6, thresholds, pool 2×2", _pair(rows, (2, 2)), "addresses")
    for length in (8, 16):
        op = reuse.compiled_layer(conv2, length, 4, largest=63, tree=False)
        for form in ("addresses", "offsets"):
            yield Case(f"CifarNet conv2, L={length}, H=4, pool 2×2", _pair(op, (2, 2)), form)
    yield Case("CifarNet conv2, L=16, H=4, pool 3×3", _pair(op, (3, 3)), "addresses")
    stem = reuse.stem_layer(conv1, 10, 6, 20, largest=63)
    yield Case("CifarNet conv1, G=10, H=6, pool 2×2", _pair(stem, (2, 2)), None)
    stem = reuse.stem_layer(wider, 10, 6, 20, largest=63)
    yield Case("SqueezeNet conv1, G=10, H=6, pool 3×3 by 2", _pair(stem, (3, 3), (2, 2)), None)


def _pair(op: PoolableOp, window: tuple[int, int], stride: tuple[int, int] | None = None) -> QPooled:
    by = stride or window
    height, width = ((n - k) // s + 1 for n, k, s in zip(op.dims.output[:2], window, by, strict=True))
    dims = ConvDims(op.dims.output, (height, width, op.dims.output[2]), window, by)
    output = replace(op.output, name="pooled", shape=dims.output)
    return pooled(op, QMaxPool2d(name="pool", input=op.output, output=output, dims=dims))


def rows() -> Iterator[str]:
    """Lines of the table."""
    found = list(cases())
    runners = [KernelRunner([b for case in found for b in case.bindings], core) for core in CORES]
    for case in found:
        layer, pool, both = case.bindings
        pair = case.pair
        x = reuse.smooth_input(pair.layer.dims.input)
        middle, last = execute_op(pair.layer, x), execute_op(pair, x)
        cells = []
        for runner in runners:
            cycles = []
            for binding, given, made in ((layer, x, middle), (pool, middle, last), (both, x, last)):
                output, profile = runner.run(binding, given, made.size)
                np.testing.assert_array_equal(output, made.ravel())
                cycles.append(profile.total.cycles)
            before, after = cycles[0] + cycles[1], cycles[2]
            cells += [f"{cycles[0]:,}", f"{cycles[1]:,}", f"{after:,}", f"{1 - after / before:.1%}"]
        apart = max(x.size + middle.size + layer.scratch_bytes, middle.size + last.size)
        together = x.size + last.size + both.scratch_bytes
        form = case.form or ("dense" if isinstance(pair.layer, QConv2d) else "stem")
        yield f"| {case.name} | {form} | {' | '.join(cells)} | {apart:,} | {together:,} |"


def networks() -> Iterator[str]:
    """Lines of the table of networks: deployed with poolings as layers of their own, and as `deploy` does it."""
    usual = pooling.MOST
    for name, side in NETWORKS.items():
        images = _images(side)
        cells, joined = list[str](), list[str]()
        for most in (0.0, usual):  # no pair takes 0 cycles
            pooling.MOST = most
            firmware = ost.deploy(
                pretrained(name), images, BOARD, verify=False,
                input_scale=INPUT_SCALE, input_zero_point=INPUT_ZERO_POINT,
            )  # fmt: skip
            report = firmware.simulate(images[:1])
            cells += [f"{report.sram_bytes:,}", f"{report.cycles:,}"]
            joined = [op.name for op in firmware.graph.ops if isinstance(op, QPooled)]
        yield f"| {name} | {' | '.join(cells)} | {', '.join(joined)} |"


def _images(side: int) -> Tensor:
    """(8, 3, side, side): smooth random ones; what conventional layers take depends on sizes alone."""
    coarse = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, side, mode="bilinear").clamp(-1, 127 / 128)


def main() -> None:
    """Measure and write the page."""
    heading = "layer | pool | both as one | saved"
    lines = [
        "# Poolings in the layer before them",
        "",
        "Modelled cycles, no wait states, of a layer (conventional on our best dense kernel, in compiled scope, or a",
        "stem), of the max-pool behind it, and of both as one kernel, which stores no map between them; *saved* is",
        "of the sum of the two. Random weights, tables of 7 bits, smooth random inputs; every output has the integer",
        "reference's bits. SRAM, in bytes, is input, output and scratch of the larger of the two layers, and of both",
        "as one. The Cortex-M7's model is not calibrated.",
        "",
        f"| | | M4: {heading} | M7: {heading} | SRAM apart | as one |",
        f"| --- | --- |{' ---: |' * 10}",
        *rows(),
        "",
        f"Whole networks on the {BOARD}, without wait states, with the map between layer and pooling and without it,",
        "as `deploy` chooses. SRAM has output and stack; images are smooth random ones.",
        "",
        "| network | SRAM, B | cycles | SRAM with pairs as one | cycles | layers that do their pooling |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
        *networks(),
        "",
        provenance("python benchmarks/pooling.py", "fixed in the program"),
    ]
    text = "\n".join(lines)
    write_atomically(RESULTS / "pooling.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
