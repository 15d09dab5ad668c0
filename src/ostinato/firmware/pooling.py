"""Maximum poolings that the layer before them does itself, where that is not slower to speak of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ostinato.firmware.kernel_runner import KernelRunner
from ostinato.firmware.pricing import Told
from ostinato.firmware.select import KernelChoice, candidates
from ostinato.kernels.binding import Binding
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QConv2d, QGraph, QMaxPool2d, QOp
from ostinato.quant.pooled_op import PoolableOp, QPooled, can_pool, pooled
from ostinato.quant.reference import execute
from ostinato.targets.boards import Board

_NOTE = "pooling of "
MOST = 1.02
"""Cycles of both as one that are taken, in parts of one after the other: for the map between them is never stored."""


def pool_note(graph: QGraph, layer: str) -> str:
    """What `fuse_pools` found about a layer and the pooling behind it; empty where there was nothing to choose."""
    return graph.metadata.get(_NOTE + layer, "")


def pairs(graph: QGraph, kernel: KernelChoice = "auto") -> list[QPooled]:
    """Layers with a pooling that alone reads them, each pair as one operator.

    With `kernel="cmsis"` conventional layers are none of them: that is the baseline, which has no such kernel.
    """
    readers = [source.name for op in graph.ops for source in op.inputs]
    makers = {op.output.name: op for op in graph.ops if readers.count(op.output.name) == 1}
    found = []
    for pool in graph.ops:
        layer = makers.get(pool.inputs[0].name)
        if layer is None or (kernel == "cmsis" and isinstance(layer, QConv2d)):
            continue
        if layer.output.name != graph.output.name and can_pool(layer, pool):
            assert isinstance(layer, PoolableOp)
            assert isinstance(pool, QMaxPool2d)
            found.append(pooled(layer, pool))
    return found


def with_pools(graph: QGraph, kernel: KernelChoice = "auto", layers: Collection[str] | None = None) -> QGraph:
    """The network with those of its `pairs` as one operator that are named in `layers`; None: all."""
    taken = {pair.name: pair for pair in pairs(graph, kernel) if layers is None or pair.name in layers}
    hidden = {pair.pool.name for pair in taken.values()}
    ops: tuple[QOp, ...] = tuple(taken.get(op.name, op) for op in graph.ops if op.name not in hidden)
    return replace(graph, ops=ops)


def fuse_pools(
    graph: QGraph,
    image: Int8Array,
    board: Board,
    toolchain: str,
    kernel: KernelChoice = "auto",
    told: Told = lambda _: None,
) -> QGraph:
    """The network with poolings in the layer before them where both together then take at most `MOST` times the cycles.

    Each pair is run on the simulated core for one image, without wait states, on the fastest of its kernels; what was
    found is in the network's metadata (`pool_note`).

    Args:
        graph: the network.
        image: firmware input.
        board: its core counts.
        toolchain: compiler.
        kernel: of conventional convolutions.
        told: what is being done.

    Raises:
        ToolchainError: no compiler.
        SimulationError: a kernel faulted.
    """
    found = pairs(graph, kernel)
    if not found:
        return graph
    told("timing layers with the pooling behind them")
    options = [[_timed(op, kernel) for op in (pair, pair.layer, pair.pool)] for pair in found]
    runner = KernelRunner([b for pair in options for op in pair for b in op], board.core, toolchain=toolchain)
    tensors = execute(graph, image)
    notes, taken = {}, []
    for pair, bindings in zip(found, options, strict=True):
        together, layer, pool = (
            min(runner.run(b, tensors[op.input.name], op.output.size)[1].total.cycles for b in of_op)
            for op, of_op in zip((pair, pair.layer, pair.pool), bindings, strict=True)
        )
        joined = together <= MOST * (layer + pool)
        taken += [pair.name] if joined else []
        both = f"with {pair.pool.name}: {together:,} cycles", f"one after the other: {layer + pool:,} cycles"
        notes[_NOTE + pair.name] = f"{both[not joined]} ({both[joined]})"
    return replace(with_pools(graph, kernel, taken), metadata={**graph.metadata, **notes})


def _timed(op: QOp, kernel: KernelChoice) -> list[Binding]:
    """Kernels of which the fastest counts; of a convolution the first, which is."""
    layer = op.layer if isinstance(op, QPooled) else op
    found = candidates(op, kernel)
    return [c.binding for c in (found[:1] if isinstance(layer, QConv2d) else found)]
