"""What each layer of a network may touch: its inputs, its output, its scratch and its own constants; nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ostinato.firmware.codegen.names import unique_identifiers
from ostinato.firmware.joining import runs
from ostinato.firmware.memory import Plan
from ostinato.quant.ops import QGraph, QOp
from ostinato.targets.elf import Symbol
from ostinato.targets.external_flash import SECTION
from ostinato.targets.guards import Area, Guards

_NEIGHBOURS = 64
"""Constants closer than so many bytes are watched as one piece, the padding between them included."""


def network_guards(graph: QGraph, plan: Plan, symbols: Mapping[str, Symbol], arena: str, output: str) -> Guards:
    """Guards for every layer, by its index.

    Args:
        graph: the network.
        plan: its arena.
        symbols: of the linked firmware.
        arena: name of the arena's variable, in which the input is, too.
        output: name of the output's variable.
    """
    memory = symbols[arena].address

    def tensor(name: str, size: int, kind: str, *, writable: bool) -> Area:
        begin = memory + plan.offsets[name] if name in plan.offsets else symbols[output].address
        return Area(f"{kind} {name!r}", begin, size, writable)

    constants = _constants(graph, symbols)
    allowed: dict[int | None, list[Area]] = {}
    for index, op in enumerate(graph.ops):
        offset, size = plan.scratch[index]
        allowed[index] = [
            tensor(op.output.name, _extent(plan, op), "the output", writable=True),
            Area("its scratch", memory + offset, size, writable=True),
            *(tensor(source.name, source.size, "the input", writable=False) for source in op.inputs),
            *constants[index],
        ]
    static = (symbols["__data_start"].address, symbols["__bss_end"].address)
    flash = _merged((area.begin, area.end) for areas in constants for area in areas)
    return Guards(watched=[static, *flash], allowed=allowed)


def _extent(plan: Plan, op: QOp) -> int:
    """Bytes from the first to the last of an output; those between its pixels, if it has any, may be touched, too."""
    channels = op.output.shape[-1]
    run, stride = runs(plan.joined, op.output.name, op.output.size, channels)
    return (op.output.size // run - 1) * stride + run


def _constants(graph: QGraph, symbols: Mapping[str, Symbol]) -> list[list[Area]]:
    """Each layer's constant arrays, which generated code names after the layer."""
    names = unique_identifiers(op.name for op in graph.ops)
    found: list[list[Area]] = [[] for _ in graph.ops]
    for symbol in symbols.values():
        if symbol.is_function or not symbol.size or symbol.section not in (".rodata", SECTION):
            continue
        owners = [index for index, name in enumerate(names) if symbol.name.startswith(f"{name}_")]
        if owners:  # the longest name: conv1 also begins the names of conv1_1's arrays
            owner = max(owners, key=lambda index: len(names[index]))
            found[owner].append(Area(f"its constants {symbol.name!r}", symbol.address, symbol.size))
    return found


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if merged and begin - merged[-1][1] <= _NEIGHBOURS:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged
