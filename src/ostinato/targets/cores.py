"""Processor cores: what a compiler must be told to generate code for each, and which emulated CPU runs it."""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.errors import BoardError


@dataclass(frozen=True)
class Core:
    """One ARM core: its name, and its flags for each compiler and for the emulator.

    Attributes:
        name: ARM's name in lower case, as GCC's `-mcpu` writes it.
        zig_cpu: zig's `-mcpu`, with the floating point unit as a feature.
        gcc_flags: the same choice in GCC's words.
        unicorn_cpu: name of Unicorn's CPU model.
    """

    name: str
    zig_cpu: str
    gcc_flags: tuple[str, ...]
    unicorn_cpu: str


CORES: dict[str, Core] = {
    core.name: core
    for core in (
        Core(
            name="cortex-m4",
            zig_cpu="cortex_m4+vfp4d16sp",
            gcc_flags=("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
            unicorn_cpu="UC_CPU_ARM_CORTEX_M4",
        ),
        Core(
            name="cortex-m7",
            zig_cpu="cortex_m7+fp_armv8d16",
            gcc_flags=("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard"),
            unicorn_cpu="UC_CPU_ARM_CORTEX_M7",
        ),
    )
}


def get_core(name: str | Core) -> Core:
    """Return the core called `name` (a `Core` is returned as it is).

    Raises:
        BoardError: no core has that name.
    """
    if isinstance(name, Core):
        return name
    try:
        return CORES[name]
    except KeyError:
        raise BoardError(f"unknown core {name!r}; known cores: {', '.join(sorted(CORES))}") from None
