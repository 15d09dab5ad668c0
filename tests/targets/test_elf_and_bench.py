"""Sizes of a firmware image, and the one-call measurement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ostinato.errors import SimulationError
from ostinato.targets.bench import measure
from ostinato.targets.elf import Elf
from ostinato.targets.toolchain import compile_firmware

HARNESS = """
#include <stdint.h>
int8_t in[100], out[100];
int32_t bias[25] = {1};
const int8_t weights[3000] = {1, 2, 3};
void scale(int n, int by) { for (int i = 0; i < n; i++) out[i] = (int8_t)(in[i] * by + weights[i]); }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "harness.c"
    path.write_text(text)
    return path


def test_sizes_follow_the_variables(tmp_path: Path) -> None:
    size = Elf(compile_firmware([write(tmp_path, HARNESS)], tmp_path / "a.elf")).size
    assert size.by_symbol["weights"] == (".rodata", 3000)
    assert size.by_symbol["in"] == (".bss", 100)
    assert size.by_symbol["bias"] == (".data", 100)
    assert size.flash_bytes == size.code_bytes + size.constant_bytes + size.data_bytes
    assert size.sram_bytes == size.data_bytes + size.zeroed_bytes
    larger = HARNESS.replace("3000", "4000").replace("in[100]", "in[1100]").replace("bias[25]", "bias[125]")
    grown = Elf(compile_firmware([write(tmp_path, larger)], tmp_path / "b.elf")).size
    assert grown.code_bytes == size.code_bytes
    assert grown.constant_bytes - size.constant_bytes == 1000
    assert abs(grown.zeroed_bytes - size.zeroed_bytes - 1000) < 8  # the section is padded to 8 bytes
    assert abs(grown.data_bytes - size.data_bytes - 400) < 8


def test_by_symbol_is_sorted_by_size(tmp_path: Path) -> None:
    sizes = [
        s for _, s in Elf(compile_firmware([write(tmp_path, HARNESS)], tmp_path / "a.elf")).size.by_symbol.values()
    ]
    assert sizes == sorted(sizes, reverse=True)


def test_measure_fills_calls_and_reads(tmp_path: Path) -> None:
    values = np.arange(-50, 50, dtype=np.int8)
    found = measure([write(tmp_path, HARNESS)], "scale", [100, 2], inputs={"in": values}, outputs={"out": np.int8})
    weights = np.zeros(100, np.int8)
    weights[:3] = 1, 2, 3
    np.testing.assert_array_equal(found.outputs["out"], values * 2 + weights)
    assert found.profile.by_function["scale"].instructions > 100


def test_other_machines_images_are_refused(tmp_path: Path) -> None:
    import sys

    if not sys.platform.startswith("linux"):
        pytest.skip("this computer's programs are not ELF files")
    with pytest.raises(SimulationError, match="is not for ARM"):
        Elf(Path(sys.executable).resolve())
