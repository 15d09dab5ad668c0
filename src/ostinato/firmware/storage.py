"""A project folder also holds the quantised network it came from, so that another process can go on with it."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.errors import CheckpointError
from ostinato.firmware.choice import Choice, Conventional, Option
from ostinato.firmware.codegen.project import Project
from ostinato.firmware.export_checks import check_export
from ostinato.firmware.external import scratch_bytes
from ostinato.firmware.folder import MANIFEST, check_replaceable, digest, read_manifest, replacing, write_manifest
from ostinato.firmware.graph_io import graph_from_document, graph_to_document
from ostinato.firmware.joining import join
from ostinato.firmware.memory import plan_memory
from ostinato.firmware.select import KernelChoice, bind_all, check_kernel
from ostinato.firmware.sizes import Sizes
from ostinato.firmware.verification import VerificationReport
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QGraph
from ostinato.targets.boards import Board, get_board

ARRAYS = "ostinato.npz"
VERIFICATION = "verification.json"
_SAMPLES = "samples"


@dataclass(frozen=True)
class SavedProject:
    """What a project folder tells."""

    project: Project
    board: Board
    kernel: KernelChoice
    toolchain: str
    sizes: Sizes
    samples: Int8Array


def plan_project(
    graph: QGraph, kernel: KernelChoice, board: Board, choices: Sequence[Choice] = (), hot: Sequence[str] = ()
) -> Project:
    """Bind kernels and place activations: the same graph and choices always give the same project.

    Args:
        graph: the network.
        kernel: of conventional convolutions.
        board: what it is for.
        choices: of a kernel for each layer; without any, the fastest by sizes alone.
        hot: functions that run from RAM.

    Raises:
        QuantizationError: constants that their types do not hold.
        UnsupportedError: an operator that no kernel runs.
    """
    check_export(graph)
    bindings, joined = join(graph, bind_all(graph, kernel, [choice.chosen for choice in choices] or None))
    staged = [choice.external if choice.staged else () for choice in choices] or [()] * len(bindings)
    scratch = [scratch_bytes(b, arrays) for b, arrays in zip(bindings, staged, strict=True)]
    plan = plan_memory(graph, scratch, [b.kernel for b in bindings], joined)
    return Project(graph, bindings, plan, board, choices=choices, hot=hot)


def save_network(
    folder: Path,
    project: Project,
    *,
    kernel: KernelChoice,
    toolchain: str,
    sizes: Sizes,
    samples: Int8Array,
    verification: VerificationReport | None = None,
) -> None:
    """Write the network's arrays, its verification and, last, the manifest into a generated project."""
    if verification is not None:
        text = json.dumps(verification.to_dict(), indent=1, ensure_ascii=False) + "\n"
        (folder / VERIFICATION).write_text(text, encoding="utf-8")
    graph = project.graph
    document, arrays = graph_to_document(graph)
    # A file object, so that NumPy adds no suffix.
    with (folder / ARRAYS).open("wb") as stream:
        np.savez_compressed(stream, **{_SAMPLES: samples, **arrays})  # type: ignore[arg-type]
    write_manifest(
        folder,
        {
            "network": graph.name,
            "board": project.board.name,
            "kernel": kernel,
            "toolchain": toolchain,
            "sizes": asdict(sizes),
            "hot": list(project.hot),
            "choices": [asdict(choice) for choice in project.choices],
            "graph": document,
        },
    )


def load_project(folder: Path) -> SavedProject:
    """Read what `save_network` wrote.

    Raises:
        CheckpointError: not a project, damaged, or of another version.
        BoardError: its board is not known here.
    """
    manifest = read_manifest(folder)
    arrays = _read_arrays(folder, manifest)
    try:
        board, toolchain = get_board(manifest["board"]), str(manifest["toolchain"])
        kernel, sizes = check_kernel(manifest["kernel"]), Sizes(**manifest["sizes"])
        graph, samples = graph_from_document(manifest["graph"], arrays), arrays[_SAMPLES]
        choices, hot = [_choice(entry) for entry in manifest["choices"]], tuple(manifest["hot"])
    except (KeyError, TypeError) as problem:
        raise CheckpointError(f"{folder / MANIFEST} is incomplete ({problem!r}); deploy again.") from problem
    return SavedProject(plan_project(graph, kernel, board, choices, hot), board, kernel, toolchain, sizes, samples)


def _choice(entry: Mapping[str, Any]) -> Choice:
    options = tuple(Option(**{**option, "external": tuple(option.get("external", ()))}) for option in entry["options"])
    beside = entry.get("conventional")
    conventional = Conventional(**beside) if beside else None
    external, staged = tuple(entry.get("external", ())), entry.get("staged", False)
    return Choice(entry["layer"], entry["chosen"], options, external, staged, conventional)


def load_verification(folder: Path) -> VerificationReport | None:
    """What `deploy` found when it compared every layer; None if it did not.

    Raises:
        CheckpointError: damaged.
    """
    path = folder / VERIFICATION
    if not path.is_file():
        return None
    try:
        return VerificationReport.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as problem:
        raise CheckpointError(f"{path} cannot be read ({problem}); deploy again.") from problem


def copy_project(source: Path, target: Path) -> Path:
    """Copy a project to another folder, atomically."""
    check_replaceable(target)
    if source.resolve() != target.resolve():
        with replacing(target) as work:
            shutil.copytree(source, work, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build"))
    return target


def _read_arrays(folder: Path, manifest: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    path = folder / ARRAYS
    try:
        if digest(path) != manifest["files"][ARRAYS]:
            raise CheckpointError(f"{path} is not the file that was written with this project; deploy again.")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as problem:
        raise CheckpointError(f"{path} is missing or damaged ({problem}); deploy again.") from problem
