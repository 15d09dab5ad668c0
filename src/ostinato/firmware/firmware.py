"""A network as firmware: its C project, its sizes, its time on the simulated board, its accuracy on this computer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from ostinato.data import Split
from ostinato.errors import DataError, DoesNotFitError
from ostinato.firmware import storage
from ostinato.firmware.builds import Builder
from ostinato.firmware.codegen.project import Project
from ostinato.firmware.host import HostNetwork, Progress
from ostinato.firmware.inputs import Images, to_int8
from ostinato.firmware.memory import Plan
from ostinato.firmware.report import SimulationReport
from ostinato.firmware.select import KernelChoice
from ostinato.firmware.simulate import SimulatedNetwork, layer_reports
from ostinato.firmware.sizes import Sizes
from ostinato.firmware.verification import VerificationReport
from ostinato.firmware.verify import BitMismatchError, verify
from ostinato.firmware.workfolder import WorkFolder
from ostinato.kernels.binding import Binding
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.layer_errors import LayerErrors
from ostinato.quant.ops import QGraph
from ostinato.targets.boards import Board
from ostinato.targets.elf import Elf


@dataclass(frozen=True)
class Firmware:
    """What `deploy` returns.

    Attributes:
        project: the quantised network with its kernels and memory plan.
        project_dir: the C project.
        board: what it was made for.
        kernel: what conventional convolutions run on: `dense`, `cmsis`, or `auto` (`project.choices` tells).
        toolchain: compiler of the firmware.
        sizes: as linked.
        samples: a few firmware inputs (N, H, W, C) from the calibration images, for `simulate()` without images.
        verification: what `deploy` found when it compared every layer; None if it was told not to.
    """

    project: Project
    project_dir: Path
    board: Board
    kernel: KernelChoice
    toolchain: str
    sizes: Sizes
    samples: Int8Array = field(repr=False)
    verification: VerificationReport | None = field(default=None, repr=False)
    _builds: WorkFolder = field(default_factory=WorkFolder, repr=False, compare=False)

    @property
    def graph(self) -> QGraph:
        """The quantised network."""
        return self.project.graph

    @property
    def plan(self) -> Plan:
        """Where activations and scratch are."""
        return self.project.plan

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """Each operator's kernel."""
        return tuple(self.project.bindings)

    @property
    def sram_bytes(self) -> int:
        """Static data, the arena among it, and an estimate of the stack; `simulate` measures the stack."""
        return self.sizes.sram_bytes

    @property
    def flash_bytes(self) -> int:
        """Code and constants, as linked with the example `main.c`."""
        return self.sizes.flash_bytes

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each reuse layer whose conventional kernel takes fewer modelled cycles."""
        return tuple(choice.warning for choice in self.project.choices if choice.warning)

    @property
    def external_bytes(self) -> int:
        """Constants in external flash, which are not in `flash_bytes`."""
        return self.sizes.external_bytes

    def simulate(
        self,
        images: Images | None = None,
        plain_c: bool = False,
        *,
        flash_wait_states: int = 0,
        guards: bool = False,
    ) -> SimulationReport:
        """Run images one by one on the simulated board.

        Args:
            images: see `inputs.Images`; by default one image of the calibration set.
            plain_c: run the kernels' plain C instead of their DSP instructions.
            flash_wait_states: of the board's flash (`Board.flash_wait_states` at its full clock), behind its
                accelerator or caches, which are empty before each image; 0 is ideal memory. External flash, where
                constants are there, costs its time either way.
            guards: refuse every access of a layer to memory that is not its own: the arena outside its inputs, output
                and scratch, other variables, other layers' constants. Slow.

        Raises:
            BoardError: wait states that the board cannot have.
            DataError: images that are not this network's.
            DoesNotFitError: the measured stack does not fit beside the static data.
            SimulationError: a fault (it names function and layer), or a core without a cycle model.
            ToolchainError: no compiler.
        """
        inputs = self.samples[:1] if images is None else to_int8(images, self.graph.input)
        external = self.external_bytes > 0
        network = self._simulator(plain_c, flash_wait_states=flash_wait_states, external=external, guarded=guards)
        runs = [(*network.run(image), network.scratch_heads) for image in inputs]
        profiles = [profile for _, profile, _ in runs]
        layers = layer_reports(self.project, profiles, [heads for _, _, heads in runs])
        cycles = sum(layer.cycles for layer in layers)
        stack = max(profile.stack_bytes for profile in profiles)
        return SimulationReport(
            network=self.graph.name,
            board=self.board.name,
            kernel=self.kernel,
            code="plain C" if plain_c else "DSP",
            cycle_model=profiles[0].cycle_model,
            images=len(inputs),
            instructions=sum(layer.instructions for layer in layers),
            cycles=cycles,
            ms=self.board.milliseconds(cycles),
            sram_bytes=self._checked_sram(network.static_bytes, stack),
            stack_bytes=stack,
            flash_bytes=network.flash_bytes,
            layers=layers,
            hot_code=() if plain_c else tuple(self.project.hot),
            external_bytes=self.external_bytes,
            logits=np.stack([logits for logits, _, _ in runs]),
        )

    def predict_int8(self, images: Images, progress: Progress | None = None) -> Int8Array:
        """Outputs (N, *output), int8, of the generated C on this computer.

        Raises:
            DataError: images that are not this network's.
            ToolchainError: no compiler.
        """
        return self._host.predict_int8(to_int8(images, self.graph.input), progress=progress)

    def layer_counts(self, images: Images) -> Mapping[str, float]:
        """What layers count by themselves (`LayerReport.counts`), mean of the images, from the C on this computer.

        Raises:
            DataError: images that are not this network's.
            ToolchainError: no compiler.
        """
        inputs = to_int8(images, self.graph.input)
        counted = self._host.counts(inputs) / len(inputs)
        layers = zip(self.graph.ops, self.bindings, counted, strict=True)
        return {op.name: float(count) for op, binding, count in layers if binding.counts}

    def evaluate(
        self, images: Images, labels: Tensor | npt.ArrayLike | None = None, progress: Progress | None = None
    ) -> float:
        """Top-1 (0 ... 1) of the firmware's own code, run on this computer; the first of equal outputs wins.

        Args:
            images: a split with its labels, or images with `labels` (N,).
            labels: class numbers; not with a split.
            progress: called with (images done, images in all).

        Raises:
            DataError: no labels, or another number of them than of images.
            ToolchainError: no compiler.
        """
        if isinstance(images, Split):
            labels = images.labels
        if labels is None:
            raise DataError("Accuracy needs labels: pass a split, or images and labels.")
        wanted, outputs = np.asarray(labels).reshape(-1), self.predict_int8(images, progress)
        if len(wanted) != len(outputs):
            raise DataError(f"There are {len(outputs)} images but {len(wanted)} labels.")
        return float((outputs.reshape(len(outputs), -1).argmax(axis=1) == wanted).mean())

    def verify(
        self, images: Images | None = None, *, model: nn.Module | None = None, check: bool = True
    ) -> VerificationReport:
        """Compare integer executor, host C, simulated plain C and simulated DSP code, bit for bit, layer by layer.

        Args:
            images: see `inputs.Images`; by default the calibration images that were kept.
            model: the float model that was deployed, for the signal-to-noise ratio of every layer.
            check: raise when something differs; otherwise the report tells.

        Raises:
            BitMismatchError: names the first layer that differs.
            SimulationError: names the first layer that touches memory which is not its own (`simulate(guards=True)`).
            UnsupportedError: another model than the one that was deployed.
        """
        inputs = self.samples if images is None else to_int8(images, self.graph.input)
        executions = {
            "C on the host": self._host.trace,
            "simulated plain C": self._simulator(plain_c=True, trace=True, guarded=True).trace,
            "simulated DSP code": self._simulator(plain_c=False, trace=True, guarded=True).trace,
        }
        errors = None if model is None else LayerErrors.of(self.graph, model)
        report = verify(self.graph, self.bindings, inputs, executions, errors)
        if check and not report.agrees:
            raise BitMismatchError(report)
        return report

    def save(self, folder: Path | str) -> Path:
        """Write the C project to `folder`, atomically; `load` reads it back.

        Raises:
            FolderError: the folder is in use for something else.
        """
        return storage.copy_project(self.project_dir, Path(folder))

    @classmethod
    def load(cls, folder: Path | str) -> Firmware:
        """The firmware of a project folder.

        Raises:
            CheckpointError: the folder is not a project, is damaged, or of another version.
        """
        saved = storage.load_project(Path(folder))
        return cls(
            saved.project,
            Path(folder),
            saved.board,
            saved.kernel,
            saved.toolchain,
            saved.sizes,
            saved.samples,
            storage.load_verification(Path(folder)),
        )

    def to_dict(self) -> Mapping[str, Any]:
        """The main figures, for `--json`."""
        return {
            "network": self.graph.name,
            "board": self.board.name,
            "kernel": self.kernel,
            "toolchain": self.toolchain,
            "project_dir": str(self.project_dir),
            "sram_bytes": self.sram_bytes,
            "arena_bytes": self.plan.arena_bytes,
            "flash_bytes": self.flash_bytes,
            "external_bytes": self.external_bytes,
            "hot_code": list(self.project.hot),
            "warnings": list(self.warnings),
        }

    @property
    def kernel_code_bytes(self) -> int:
        """Bytes of the kernels' code: without start-up code, the model's own, and what memory functions take."""
        return sum(f.size for f in Elf(self._builder.firmware()).functions if f.name.startswith("ost_"))

    @property
    def _builder(self) -> Builder:
        external = self.external_bytes > 0
        return Builder(self.project_dir, self._builds.path, self.board, self.toolchain, self.project.hot, external)

    @cached_property
    def _host(self) -> HostNetwork:
        return HostNetwork(self._builder.host_library(), self.graph, self.plan.arena_bytes)

    def _simulator(
        self,
        plain_c: bool,
        trace: bool = False,
        *,
        flash_wait_states: int = 0,
        external: bool = False,
        guarded: bool = False,
    ) -> SimulatedNetwork:
        return SimulatedNetwork(
            self._builder.firmware(plain_c=plain_c, trace=trace),
            self.graph,
            self.plan,
            self.board,
            flash_wait_states=flash_wait_states,
            external=external,
            guarded=guarded,
        )

    def _checked_sram(self, static: int, stack: int) -> int:
        need = static + stack
        if need > self.board.sram_bytes:
            raise DoesNotFitError(
                f"The network's stack does not fit: static data {static:,} and stack {stack:,} bytes are "
                f"{need - self.board.sram_bytes:,} more than the {self.board.sram_bytes:,} of {self.board.name}."
            )
        return need
