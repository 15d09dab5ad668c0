"""Reuse kernels and stems under AddressSanitizer and UndefinedBehaviorSanitizer, where GCC has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from reuse_samples import SOURCES as VERTICAL
from reuse_samples import random_with_addresses
from stem_samples import SOURCES as STEM_SOURCES

from ostinato.kernels.reuse_horizontal import SOURCES as HORIZONTAL
from ostinato.kernels.reuse_pointers import bind_reuse_pointers
from ostinato.kernels.sources import compiled_sources, include_dir, source_dir, source_path

HERE = Path(__file__).parent
BY_ADDRESSES = 24
SOURCES = tuple(dict.fromkeys((*VERTICAL, *HORIZONTAL)))

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
from host_runner import HostKernels
from horizontal_samples import horizontal_corners, random_horizontal
from ostinato.kernels.reuse_horizontal import PanelForm, bind_reuse_horizontal, whole_panels
from reuse_samples import bind, corner_cases, every_form, random_compiled, random_image, random_input, random_pooled
from reuse_samples import compact_forms, pooled_layer, random_with_addresses, table_forms
from ostinato.kernels.reuse_pointers import bind_reuse_pointers
from ostinato.quant.reference import execute_op
from stem_samples import bind_stem, random_pool_behind, random_stem

host = HostKernels(Path(sys.argv[2]))
rng = np.random.default_rng(0)
for make in (random_image, random_compiled, random_pooled):
    for seed in range(60):
        op = make(np.random.default_rng(seed))
        assert host.run(bind(op), random_input(rng, op.input.shape, 0), op.output.size).status == 0
for op in corner_cases()[::7]:
    for binding in every_form(op):
        assert host.run(binding, random_input(rng, op.input.shape, 0), op.output.size).status == 0
for seed in range(60):
    op = random_image(np.random.default_rng(seed))
    for binding in (*table_forms(op, 4), *compact_forms(op, 4)):
        assert host.run(binding, random_input(rng, op.input.shape, 0), op.output.size).status == 0
for op, window in random_with_addresses(int(sys.argv[3])):
    pair = op if window == (1, 1) else pooled_layer(op, window)
    x = random_input(rng, op.input.shape, 0)
    call = host.run(bind_reuse_pointers(op, window), x, pair.output.size)
    assert call.status == 0 and np.array_equal(call.output, execute_op(pair, x).ravel())
for op in [*horizontal_corners(), *(random_horizontal(np.random.default_rng(seed)) for seed in range(60))]:
    for form in (whole_panels(op), PanelForm(1, 1, True), PanelForm((op.panel_rows + 1) // 2, 5, False)):
        call = host.run(bind_reuse_horizontal(op, form), random_input(rng, op.input.shape, 0), op.output.size)
        assert call.status == 0
for seed in range(60):
    op = random_stem(np.random.default_rng(seed))
    x = rng.integers(-128, 128, op.input.shape).astype(np.int8)
    assert host.run(bind_stem(op, "library"), x, op.output.size).status == 0
    pair = random_pool_behind(np.random.default_rng(seed), op)
    if pair is not None:
        assert host.run(bind_stem(op, "library", pair.pool.dims), x, pair.output.size).status == 0
print("clean")
"""


def test_no_bad_access_and_no_undefined_behaviour(tmp_path):
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc")
    found = subprocess.run([gcc, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    runtime = found.stdout.strip()
    if not Path(runtime).is_absolute():
        pytest.skip("gcc without AddressSanitizer")
    library = tmp_path / "kernels.so"
    generated = [bind_reuse_pointers(*case) for case in random_with_addresses(BY_ADDRESSES)]
    library_sources = [source_path(name) for name in (*SOURCES, *STEM_SOURCES)]
    files = dict.fromkeys([*library_sources, *compiled_sources(generated, tmp_path)])
    sources = [str(path) for path in files if path.suffix == ".c"]
    flags = "-std=c99 -O1 -g -fPIC -shared -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all"
    includes = ["-I", str(include_dir()), "-I", str(source_dir())]
    subprocess.run([gcc, *flags.split(), *includes, *sources, "-o", str(library)], check=True, timeout=120)
    environment = {
        **os.environ,
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own
        "PYTHONMALLOC": "malloc",  # so that every buffer has its red zones
    }
    command = [sys.executable, "-c", CHILD, str(HERE), str(library), str(BY_ADDRESSES)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert (result.returncode, result.stdout.strip()) == (0, "clean"), result.stderr[:4000]
