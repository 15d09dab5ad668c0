"""A project that fits its board: kernels, external flash and code in RAM, settled by what the linker says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ostinato.errors import DoesNotFitError
from ostinato.firmware.builds import Builder
from ostinato.firmware.choosing import Chooser
from ostinato.firmware.codegen.project import Project
from ostinato.firmware.external import Outside
from ostinato.firmware.hot_code import choose_hot_code, hot_budget
from ostinato.firmware.pricing import Told
from ostinato.firmware.simulate import SimulatedNetwork
from ostinato.firmware.sizes import Sizes, check_fit, estimate_sizes
from ostinato.quant.arithmetic import Int8Array
from ostinato.targets.elf import Elf
from ostinato.targets.profile import Profile


def check_estimate(project: Project) -> Sizes:
    """What it takes at least.

    Raises:
        DoesNotFitError: that is too much.
    """
    sizes = estimate_sizes(project.graph, project.bindings, project.plan, project.external_bytes)
    check_fit(project.graph, project.bindings, project.plan, sizes, project.board)
    return sizes


def linked(
    choose: Callable[[Outside], Chooser], outside: Outside, builder: Builder, told: Told
) -> tuple[Project, Sizes]:
    """The project as it was written and linked; with `auto`, in internal flash alone if that holds it."""
    if outside == "auto":
        inside = choose("never")
        try:
            check_estimate(inside.project())
        except DoesNotFitError:
            pass
        else:
            project, sizes = _linked(inside, builder, told)
            if sizes.flash_bytes <= builder.board.flash_bytes:
                return project, sizes
            _clear(builder.project)
    return _linked(choose(outside), builder, told)


def _linked(chooser: Chooser, builder: Builder, told: Told) -> tuple[Project, Sizes]:
    """The project as it was written and linked; with smaller kernels where it was too large for the flash."""
    project = chooser.project()
    check_estimate(project)
    while True:
        told("compiling and linking")
        project.write(builder.project)
        sizes = linked_sizes(_unlimited(project, builder), project)
        excess = sizes.flash_bytes - chooser.board.flash_bytes
        if excess <= 0:
            return project, sizes
        smaller = chooser.project(chooser.flash_bytes(project) - excess)
        if _chosen(smaller) == _chosen(project):
            return project, sizes
        project = smaller
        _clear(builder.project)


def _unlimited(project: Project, builder: Builder) -> Path:
    return replace(builder, external=project.external_bytes > 0).firmware(unlimited=True)


def _chosen(project: Project) -> list[tuple[str, tuple[str, ...], bool]]:
    return [choice.key for choice in project.choices]


def _clear(folder: Path) -> None:
    for part in folder.iterdir():
        shutil.rmtree(part) if part.is_dir() else part.unlink()


def with_hot_code(
    project: Project, builder: Builder, sizes: Sizes, image: Int8Array, hot_code: bool | int, told: Told
) -> tuple[Project, Sizes]:
    """The project with functions in RAM that gain by it, if there are any and it still fits."""
    told("looking for code that is worth its place in RAM")
    build = partial(_build_hot, builder)
    names = choose_hot_code(build, partial(_run, project, image), hot_budget(project.board, sizes, hot_code))
    if not names:
        return project, sizes
    larger = linked_sizes(build(names), project)
    if larger.sram_bytes > project.board.sram_bytes or larger.flash_bytes > project.board.flash_bytes:
        return project, sizes
    project = replace(project, hot=names)
    project.write(builder.project)
    return project, larger


def _build_hot(builder: Builder, hot: Sequence[str]) -> Path:
    return replace(builder, hot=hot).firmware(unlimited=True)


def _run(project: Project, image: Int8Array, elf: Path) -> Profile:
    """One inference on the board's flash."""
    board = project.board
    external = project.external_bytes > 0
    waits = board.flash_wait_states
    network = SimulatedNetwork(elf, project.graph, project.plan, board, flash_wait_states=waits, external=external)
    return network.run(image)[1]


def linked_sizes(elf: Path, project: Project) -> Sizes:
    """What the linker made of it."""
    size = Elf(elf).size
    const = sum(layer.flash_bytes for layer in project.layers)
    return Sizes(size.sram_bytes, size.flash_bytes, const, size.external_bytes)
