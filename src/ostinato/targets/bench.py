"""One call for kernel tests and benchmarks: compile a harness, fill its variables, call it, read its results."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.targets.cores import Core
from ostinato.targets.objects import Defines
from ostinato.targets.profile import Profile
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import Toolchain, compile_firmware


@dataclass(frozen=True)
class Measurement:
    """Results of a harness: what it cost, what it returned, and the variables that were asked for."""

    profile: Profile
    outputs: Mapping[str, npt.NDArray[Any]]


def measure(
    sources: Sequence[Path],
    entry: str,
    args: Sequence[int | str] = (),
    *,
    inputs: Mapping[str, npt.ArrayLike] | None = None,
    outputs: Mapping[str, npt.DTypeLike] | None = None,
    core: str | Core = "cortex-m4",
    include_dirs: Sequence[Path] = (),
    defines: Defines | None = None,
    optimise: str = "-O3",
    toolchain: str | Toolchain = "zig",
    timeout_s: float = 60.0,
    marker: str | None = None,
    cache_dir: Path | None = None,
) -> Measurement:
    """Compile (cached), power up, write inputs, call `entry(*args)`, read outputs.

    Args:
        sources: kernels and the harness that holds their data in non-static variables.
        entry: the function to call.
        args: integers, or names of variables, whose addresses are passed.
        inputs: variable name to array; the bytes are written as they are, so the dtype must be the variable's.
        outputs: variable name to dtype; read whole, as one-dimensional arrays.
        core: `cortex-m4` or `cortex-m7`.
        include_dirs: as for `compile_firmware`; so are `defines`, `optimise`, `toolchain` and `cache_dir`.
        defines: preprocessor names.
        optimise: optimisation level.
        toolchain: compiler.
        timeout_s: seconds after which the run is given up.
        marker: see `Simulator.run`.
        cache_dir: another place for the build cache.

    Raises:
        ToolchainError: no compiler, or it refused a source.
        SimulationError: an unknown symbol, a fault, a time-out.
    """
    with tempfile.TemporaryDirectory() as folder:
        elf = compile_firmware(
            sources,
            Path(folder) / "harness.elf",
            core=core,
            include_dirs=include_dirs,
            defines=defines,
            optimise=optimise,
            toolchain=toolchain,
            cache_dir=cache_dir,
        )
        simulator = Simulator(elf, core=core, timeout_s=timeout_s)
    for name, values in (inputs or {}).items():
        simulator.write(name, np.asarray(values))
    profile = simulator.run(entry, args, marker=marker)
    return Measurement(profile, {name: simulator.read(name, dtype) for name, dtype in (outputs or {}).items()})
