"""From a float model to firmware: quantise, choose kernels, plan memory, generate C, link, check, prove."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from ostinato.data import INPUT_SCALE, INPUT_ZERO_POINT, ImageDataset, to_input
from ostinato.errors import DataError
from ostinato.firmware.builds import Builder
from ostinato.firmware.choosing import Chooser
from ostinato.firmware.codegen.project import Project
from ostinato.firmware.codegen.readme import readme
from ostinato.firmware.firmware import Firmware
from ostinato.firmware.folder import check_replaceable, replacing
from ostinato.firmware.hot_code import choose_hot_code, hot_budget
from ostinato.firmware.pooling import fuse_pools, with_pools
from ostinato.firmware.preview import PlanReport, preview
from ostinato.firmware.select import check_kernel
from ostinato.firmware.simulate import SimulatedNetwork
from ostinato.firmware.sizes import Sizes, check_fit, estimate_sizes
from ostinato.firmware.storage import save_network
from ostinato.firmware.workfolder import WorkFolder
from ostinato.kernels.binding import Binding
from ostinato.quant import quantize, quantize_input
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QGraph
from ostinato.quant.ranges import Scales
from ostinato.targets.boards import Board, get_board
from ostinato.targets.elf import Elf
from ostinato.targets.profile import Profile

CALIBRATION_IMAGES = 256
"""Training images taken from a data set for calibration."""

_SAMPLES = 4


def deploy(
    model: nn.Module,
    calibration: Tensor | ImageDataset,
    board: str | Board = "stm32f469i",
    *,
    kernel: str = "auto",
    hot_code: bool | int = True,
    out_dir: Path | str | None = None,
    input_scale: float | None = None,
    input_zero_point: int | None = None,
    classes: Sequence[str] = (),
    name: str = "model",
    toolchain: str = "zig",
    scales: Scales = "real",
    softmax: bool = False,
    verify: bool = True,
    verify_images: int = 4,
) -> Firmware:
    """Make int8 firmware of `model`.

    Args:
        model: a module whose operators firmware has (see `ostinato.quant`).
        calibration: model inputs (N, C, H, W), float; or a data set, whose training images, input scale and class names
            are then used.
        board: a name of `targets.boards`, or a `Board`.
        kernel: what conventional convolutions run on: `dense` (ours), `cmsis` (CMSIS-NN's style, the baseline), or
            `auto`: whichever has fewer modelled cycles among those with which the network fits the board.
        hot_code: run from RAM what waits most for the flash, where that makes the network faster on the board's memory:
            within what its SRAM has left, or so many bytes.
        out_dir: where to put the C project; a temporary folder, which lives as long as the result, if None.
        input_scale: real value of one step of the int8 input; calibrated if None.
        input_zero_point: int8 value of a real zero in the input.
        classes: names of the outputs, for generated code.
        name: the network's, for generated code.
        toolchain: compiler of the firmware: `zig`, `arm-none-eabi-gcc` or `auto`.
        scales: `real`, or `power_of_two`: the papers' 8-bit fixed point (GR §5.1).
        softmax: end in probabilities, of scale 1/256, whether or not the model does.
        verify: before anything is written, compare every layer of the executor, host C, simulated plain C and simulated
            DSP code bit for bit, and with the float model; `Firmware.verification` is the result.
        verify_images: on how many calibration images; 0 for none.

    Raises:
        BoardError: an unknown board.
        UnsupportedError: an operator or a kernel that firmware does not have.
        ModelError, QuantizationError: see `ostinato.quant.quantize`.
        DoesNotFitError: more SRAM or flash than the board has.
        ToolchainError: no compiler.
        FolderError: `out_dir` is in use for something else.
        BitMismatchError: a layer's bits differ between executions, which is a bug of ours.
    """
    target = get_board(board)
    check_kernel(kernel)
    if out_dir is not None:
        check_replaceable(Path(out_dir))
    graph, images = _quantized(model, calibration, input_scale, input_zero_point, classes, name, scales, softmax)
    return deploy_graph(
        graph,
        quantize_input(images[: max(_SAMPLES, verify_images)], graph.input),
        target,
        kernel=kernel,
        hot_code=hot_code,
        out_dir=out_dir,
        toolchain=toolchain,
        verify_images=verify_images if verify else 0,
        model=model,
    )


def plan(
    model: nn.Module,
    calibration: Tensor | ImageDataset,
    board: str | Board = "stm32f469i",
    *,
    kernel: str = "auto",
    input_scale: float | None = None,
    input_zero_point: int | None = None,
    name: str = "model",
    scales: Scales = "real",
    softmax: bool = False,
) -> PlanReport:
    """What `deploy` would need on the board: SRAM, flash and stack by layer, before anything is compiled or written.

    A network that does not fit is no error here: `PlanReport.problem` says what is in the way. Code in RAM, which
    takes only what is left, is not in it.

    Args:
        model: see `deploy`, as all other arguments.
        calibration: model inputs (N, C, H, W), or a data set.
        board: by name.
        kernel: of conventional convolutions.
        input_scale: of the int8 input.
        input_zero_point: of the int8 input.
        name: the network's.
        scales: `real` or `power_of_two`.
        softmax: end in probabilities.

    Raises:
        BoardError: an unknown board.
        UnsupportedError: an operator or a kernel that firmware does not have.
        ModelError, QuantizationError: see `ostinato.quant.quantize`.
    """
    target, conv_kernel = get_board(board), check_kernel(kernel)
    graph, _ = _quantized(model, calibration, input_scale, input_zero_point, (), name, scales, softmax)
    return preview(Chooser.by_sizes(with_pools(graph), conv_kernel, target).project())


def _quantized(
    model: nn.Module,
    calibration: Tensor | ImageDataset,
    input_scale: float | None,
    input_zero_point: int | None,
    classes: Sequence[str],
    name: str,
    scales: Scales,
    softmax: bool,
) -> tuple[QGraph, Tensor]:
    """The integer network, and the images that it was calibrated on."""
    if isinstance(calibration, ImageDataset):
        classes = tuple(classes) or calibration.classes
        train = calibration.train
        calibration = to_input(train.subset(min(CALIBRATION_IMAGES, len(train))).images)
        if input_scale is None:
            input_scale, input_zero_point = INPUT_SCALE, INPUT_ZERO_POINT
    if not isinstance(calibration, Tensor) or calibration.ndim != 4 or not calibration.dtype.is_floating_point:
        raise DataError("Calibration needs float model inputs of shape (N, C, H, W), or a data set.")
    graph = quantize(
        model,
        calibration,
        input_scale=input_scale,
        input_zero_point=input_zero_point,
        name=name,
        classes=tuple(classes),
        scales=scales,
        softmax=softmax,
    )
    return graph, calibration


def deploy_graph(
    graph: QGraph,
    samples: Int8Array,
    board: str | Board = "stm32f469i",
    *,
    kernel: str = "auto",
    hot_code: bool | int = True,
    out_dir: Path | str | None = None,
    toolchain: str = "zig",
    verify_images: int = 4,
    model: nn.Module | None = None,
) -> Firmware:
    """`deploy` for a network that is quantised already.

    Args:
        graph: the network.
        samples: a few firmware inputs (N, H, W, C).
        board: see `deploy`, as all other arguments.
        kernel: of conventional convolutions.
        hot_code: what runs from RAM.
        out_dir: of the C project.
        toolchain: of the firmware.
        verify_images: 0 for none.
        model: the float model, if it is to be compared, too.
    """
    target, conv_kernel = get_board(board), check_kernel(kernel)
    project = Chooser.by_sizes(with_pools(graph), conv_kernel, target).project()  # what cannot fit compiles nothing
    planned = project.graph
    check_fit(planned, project.bindings, project.plan, estimate_sizes(planned, project.bindings, project.plan), target)
    graph = fuse_pools(graph, samples[0], target, toolchain)
    chooser = Chooser.by_cycles(graph, conv_kernel, target, samples[0], toolchain)
    project = chooser.project()
    check_fit(graph, project.bindings, project.plan, estimate_sizes(graph, project.bindings, project.plan), target)

    builds = WorkFolder()
    try:
        final = builds.path / "project" if out_dir is None else Path(out_dir)
        with replacing(final) as work:
            builder = Builder(work, builds.path, target, toolchain)
            project, sizes = _linked(chooser, project, builder)
            check_fit(graph, project.bindings, project.plan, sizes, target)
            project, sizes = _with_hot_code(project, builder, sizes, samples[0], hot_code)
            text = readme(project, sizes, toolchain)
            (work / "README.md").write_text(text, encoding="utf-8")
            firmware = Firmware(project, work, target, conv_kernel, toolchain, sizes, samples, _builds=builds)
            if verify_images:
                firmware = replace(firmware, verification=firmware.verify(samples[:verify_images], model=model))
            save_network(
                work,
                project,
                kernel=conv_kernel,
                toolchain=toolchain,
                sizes=sizes,
                samples=samples,
                verification=firmware.verification,
            )
    except BaseException:
        builds.remove()
        raise
    return replace(firmware, project_dir=final)


def _linked(chooser: Chooser, project: Project, builder: Builder) -> tuple[Project, Sizes]:
    """The project as it was written and linked; with smaller kernels where it was too large for the flash."""
    while True:
        project.write(builder.project)
        sizes = linked_sizes(builder.firmware(unlimited=True), project.bindings)
        excess = sizes.flash_bytes - chooser.board.flash_bytes
        if excess <= 0:
            return project, sizes
        smaller = chooser.project(chooser.flash_bytes(project) - excess)
        if [c.chosen for c in smaller.choices] == [c.chosen for c in project.choices]:
            return project, sizes
        project = smaller
        for part in builder.project.iterdir():
            shutil.rmtree(part) if part.is_dir() else part.unlink()


def _with_hot_code(
    project: Project, builder: Builder, sizes: Sizes, image: Int8Array, hot_code: bool | int
) -> tuple[Project, Sizes]:
    """The project with functions in RAM that gain by it, if there are any and it still fits."""
    build = partial(_build_hot, builder)
    names = choose_hot_code(build, partial(_run, project, image), hot_budget(project.board, sizes, hot_code))
    if not names:
        return project, sizes
    larger = linked_sizes(build(names), project.bindings)
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
    network = SimulatedNetwork(elf, project.graph, project.plan, board, flash_wait_states=board.flash_wait_states)
    return network.run(image)[1]


def linked_sizes(elf: Path, bindings: Sequence[Binding]) -> Sizes:
    """What the linker made of it."""
    size = Elf(elf).size
    const = sum(binding.flash_bytes for binding in bindings)
    return Sizes(static_bytes=size.sram_bytes, flash_bytes=size.flash_bytes, const_bytes=const)
