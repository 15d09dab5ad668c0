"""All files of the generated C project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ostinato.firmware.choice import Choice
from ostinato.firmware.codegen.build_files import build_files
from ostinato.firmware.codegen.kernels import KernelLibrary, compiled_files
from ostinato.firmware.codegen.layer import Layer, build_layers
from ostinato.firmware.codegen.model import model_header, model_source
from ostinato.firmware.codegen.weights import weights_header, weights_source
from ostinato.firmware.memory import Plan
from ostinato.kernels.binding import Binding
from ostinato.kernels.sources import include_dir, source_dir
from ostinato.quant.ops import QGraph
from ostinato.targets.boards import Board

INCLUDE_DIRS = (".", "kernels/include", "kernels/src")
"""Include path of the project, relative to its folder."""


@dataclass(frozen=True)
class Project:
    """A network with its kernels and its memory plan, ready to be written as C."""

    graph: QGraph
    bindings: Sequence[Binding]
    plan: Plan
    board: Board
    library: KernelLibrary = field(default_factory=lambda: KernelLibrary(include_dir(), source_dir()))
    choices: Sequence[Choice] = ()
    """Of a kernel for each layer."""
    hot: Sequence[str] = ()
    """Functions that run from RAM."""

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in execution order."""
        return build_layers(self.graph, self.bindings, self.plan, self.choices)

    @property
    def external_bytes(self) -> int:
        """Constants in external flash."""
        return sum(layer.external_bytes for layer in self.layers)

    @cached_property
    def kernel_files(self) -> dict[str, str]:
        """Project path → text: files of the kernel library, and those generated for single layers."""
        files = {path: file.read_text() for path, file in self.library.files(self.bindings).items()}
        generated = {f"src/generated/{name}": text for b in self.bindings for name, text in b.generated.items()}
        return {f"kernels/{path}": text for path, text in {**files, **generated}.items()}

    @property
    def sources(self) -> list[str]:
        """What the compiler is called for, apart from `main.c`, relative to the project."""
        return ["model.c", "weights.c", *compiled_files(self.kernel_files)]

    def write(self, folder: Path) -> None:
        """Write everything but README.md (which tells sizes that only the linker knows) into an empty folder."""
        for name, text in self.kernel_files.items():
            _write(folder / name, text)
        texts = {
            "model.h": model_header(self.graph, self.layers, self.plan, self.external_bytes),
            "model.c": model_source(self.graph, self.layers),
            "weights.h": weights_header(self.layers),
            "weights.c": weights_source(self.layers),
            **build_files(compiled_files(self.kernel_files), self.board, self.hot, external=self.external_bytes > 0),
        }
        for name, text in texts.items():
            _write(folder / name, text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
