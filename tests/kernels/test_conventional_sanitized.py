"""Conventional kernels under AddressSanitizer and UndefinedBehaviorSanitizer, where GCC has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conventional_samples import SOURCES

from ostinato.kernels.sources import include_dir, source_dir, source_path

HERE = Path(__file__).parent

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
from conventional_samples import random_bindings, random_input, random_inputs, random_joins
from host_runner import HostKernels

host = HostKernels(Path(sys.argv[2]))
for seed in range(40):
    rng = np.random.default_rng(seed)
    for op, binding in random_bindings(rng):
        assert host.run(binding, random_input(rng, op.input.shape), op.output.size).status == 0
    for op, binding in random_joins(rng):
        assert host.run(binding, random_inputs(rng, op), op.output.size).status == 0
print("clean")
"""


def run_child(library: Path, runtime: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own
        "PYTHONMALLOC": "malloc",  # so that every buffer has its red zones
    }
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(HERE), str(library)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_no_bad_access_and_no_undefined_behaviour(tmp_path):
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc")
    runtime = subprocess.run([gcc, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    if not Path(runtime.stdout.strip()).is_absolute():
        pytest.skip("gcc without AddressSanitizer")
    library = tmp_path / "kernels.so"
    sources = [str(source_path(name)) for name in SOURCES if name.endswith(".c")]
    flags = "-std=c99 -O1 -g -fPIC -shared -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all"
    includes = ["-I", str(include_dir()), "-I", str(source_dir())]
    subprocess.run([gcc, *flags.split(), *includes, *sources, "-o", str(library)], check=True, timeout=120)
    result = run_child(library, runtime.stdout.strip())
    assert (result.returncode, result.stdout.strip()) == (0, "clean"), result.stderr[-4000:]
