"""From a float model to firmware: quantise, choose kernels, plan memory, generate C, link, check, prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from ostinato.data import INPUT_SCALE, INPUT_ZERO_POINT, ImageDataset, to_input
from ostinato.errors import DataError
from ostinato.firmware.builds import Builder
from ostinato.firmware.choosing import Chooser
from ostinato.firmware.codegen.readme import readme
from ostinato.firmware.external import check_outside
from ostinato.firmware.firmware import Firmware
from ostinato.firmware.folder import check_replaceable, replacing
from ostinato.firmware.linking import check_estimate, linked, with_hot_code
from ostinato.firmware.pooling import fuse_pools, with_pools
from ostinato.firmware.preview import PlanReport, preview
from ostinato.firmware.pricing import Told
from ostinato.firmware.select import check_kernel
from ostinato.firmware.sizes import check_fit
from ostinato.firmware.storage import save_network
from ostinato.firmware.workfolder import WorkFolder
from ostinato.quant import quantize, quantize_input
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QGraph
from ostinato.quant.ranges import Scales
from ostinato.targets.boards import Board, get_board

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
    external_flash: str | Sequence[str] = "never",
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
    progress: Told | None = None,
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
        external_flash: constants in the board's external flash: `never`, `auto` (only where internal flash does not
            hold them, and those that cost the fewest modelled cycles), or names of layers, whose large constants go
            there.
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
        progress: called with a line whenever something else is being done.

    Raises:
        BoardError: an unknown board.
        UnsupportedError: an operator or a kernel that firmware does not have; external flash without such a chip.
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
    if progress is not None:
        progress("quantising")
    graph, images = _quantized(model, calibration, input_scale, input_zero_point, classes, name, scales, softmax)
    return deploy_graph(
        graph,
        quantize_input(images[: max(_SAMPLES, verify_images)], graph.input),
        target,
        kernel=kernel,
        hot_code=hot_code,
        external_flash=external_flash,
        out_dir=out_dir,
        toolchain=toolchain,
        verify_images=verify_images if verify else 0,
        model=model,
        progress=progress,
    )


def plan(
    model: nn.Module,
    calibration: Tensor | ImageDataset,
    board: str | Board = "stm32f469i",
    *,
    kernel: str = "auto",
    external_flash: str | Sequence[str] = "never",
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
        external_flash: what goes there; `auto` judges by how often constants are read, for nothing is simulated.
        input_scale: of the int8 input.
        input_zero_point: of the int8 input.
        name: the network's.
        scales: `real` or `power_of_two`.
        softmax: end in probabilities.

    Raises:
        BoardError: an unknown board.
        UnsupportedError: an operator or a kernel that firmware does not have; external flash without such a chip.
        ModelError, QuantizationError: see `ostinato.quant.quantize`.
    """
    target, conv_kernel = get_board(board), check_kernel(kernel)
    graph, _ = _quantized(model, calibration, input_scale, input_zero_point, (), name, scales, softmax)
    outside = check_outside(external_flash, graph, target)
    return preview(Chooser.by_sizes(with_pools(graph, conv_kernel), conv_kernel, target, outside).project())


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
    external_flash: str | Sequence[str] = "never",
    out_dir: Path | str | None = None,
    toolchain: str = "zig",
    verify_images: int = 4,
    model: nn.Module | None = None,
    progress: Told | None = None,
) -> Firmware:
    """`deploy` for a network that is quantised already.

    Args:
        graph: the network.
        samples: a few firmware inputs (N, H, W, C).
        board: see `deploy`, as all other arguments.
        kernel: of conventional convolutions.
        hot_code: what runs from RAM.
        external_flash: what is in external flash.
        out_dir: of the C project.
        toolchain: of the firmware.
        verify_images: 0 for none.
        model: the float model, if it is to be compared, too.
        progress: see `deploy`.
    """
    told = progress or (lambda _: None)
    target, conv_kernel = get_board(board), check_kernel(kernel)
    outside = check_outside(external_flash, graph, target)
    # What cannot fit compiles nothing.
    check_estimate(Chooser.by_sizes(with_pools(graph, conv_kernel), conv_kernel, target, outside).project())
    graph = fuse_pools(graph, samples[0], target, toolchain, conv_kernel, told)
    choose = partial(Chooser.by_cycles, graph, conv_kernel, target, samples[0], toolchain, told=told)

    builds = WorkFolder()
    try:
        final = builds.path / "project" if out_dir is None else Path(out_dir)
        with replacing(final) as work:
            builder = Builder(work, builds.path, target, toolchain)
            project, sizes = linked(choose, outside, builder, told)
            check_fit(graph, project.bindings, project.plan, sizes, target)
            for warning in filter(None, (choice.warning for choice in project.choices)):
                told(warning)
            builder = replace(builder, external=project.external_bytes > 0)
            project, sizes = with_hot_code(project, builder, sizes, samples[0], hot_code, told)
            text = readme(project, sizes, toolchain)
            (work / "README.md").write_text(text, encoding="utf-8")
            firmware = Firmware(project, work, target, conv_kernel, toolchain, sizes, samples, _builds=builds)
            if verify_images:
                told("verifying: every layer in C on this computer and on the simulated core")
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
