from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import NetworkBuilder

from ostinato.errors import UnsupportedError
from ostinato.firmware.codegen.kernels import KernelLibrary
from ostinato.firmware.codegen.names import comment, identifier, string_literal, unique_identifiers
from ostinato.firmware.codegen.project import Project
from ostinato.firmware.codegen.weights import format_values
from ostinato.firmware.memory import plan_memory
from ostinato.kernels.binding import ArrayRef, Binding
from ostinato.quant.ops import QGraph
from ostinato.targets.boards import get_board
from ostinato.targets.compilers import find_host_compiler
from ostinato.targets.toolchain import compile_host_library

TOY_HEADER = """
#include "ost_types.h"
typedef struct {
    ost_size2 size; int32_t bytes; const int8_t *add; const int8_t *nothing; int32_t least;
} ost_toy_params;
ost_status ost_toy(const ost_toy_params *params, const ost_scratch *scratch, const int8_t *in, int8_t *out);
"""
TOY_SOURCE = """
#include "ostinato_nn.h"
#include "private/toy.h"
ost_status ost_toy(const ost_toy_params *params, const ost_scratch *scratch, const int8_t *in, int8_t *out)
{
    if (scratch->bytes < params->bytes || params->nothing || params->least != -2147483647 - 1) return OST_NO_SCRATCH;
    for (int32_t i = 0; i < params->bytes; i++) ((int8_t *)scratch->data)[i] = (int8_t)(in[i] + params->add[TOY_ZERO]);
    for (int32_t i = 0; i < params->bytes; i++) out[i] = ((int8_t *)scratch->data)[i];
    return OST_OK;
}
"""


@pytest.fixture
def toys(tmp_path: Path) -> KernelLibrary:
    """A kernel library with one kernel that adds a constant, beside the real type header."""
    library = KernelLibrary(tmp_path / "lib" / "include", tmp_path / "lib" / "src")
    (library.source_dir / "private").mkdir(parents=True)
    library.include_dir.mkdir()
    types = Path(__file__).parents[2] / "src" / "ostinato" / "kernels" / "include" / "ost_types.h"
    shutil.copy(types, library.include_dir)
    (library.include_dir / "ostinato_nn.h").write_text(TOY_HEADER)
    (library.source_dir / "toy.c").write_text(TOY_SOURCE)
    (library.source_dir / "private" / "toy.h").write_text("#define TOY_ZERO 0\n")
    (library.source_dir / "private" / "unused.h").write_text("#error never copied\n")
    return library


def toy_binding(size: int, add: int) -> Binding:
    return Binding(
        kernel="toy",
        params_type="ost_toy_params",
        params={
            "size": {"height": 1, "width": np.int64(size)},
            "bytes": size,
            "add": ArrayRef("add"),
            "nothing": ArrayRef("empty"),
            "least": -(2**31),
        },
        arrays={"add": np.array([add], np.int8), "empty": np.zeros(0, np.int8)},
        scratch_bytes=size,
        sources=("toy.c",),
    )


def toy_project(library: KernelLibrary, names: tuple[str, ...]) -> Project:
    """A chain of toy kernels that add 1, 2, 3, ... to a vector of 8."""
    net = NetworkBuilder((8,), seed=0)
    for name in names:
        net.linear(name, 8)
    graph = net.graph('odd */ name "x"', classes=('a"b', "c\\", "d??/", "naïve", "\n", "5", "6", "7"))
    bindings = [toy_binding(8, i + 1) for i in range(len(names))]
    plan = plan_memory(graph, [b.scratch_bytes for b in bindings])
    return Project(graph, bindings, plan, get_board("stm32f469i"), library)


def write(project: Project, folder: Path) -> Path:
    folder.mkdir()
    project.write(folder)
    return folder


def test_a_generated_chain_runs_in_order_and_reports_its_layers(toys: KernelLibrary, tmp_path: Path) -> None:
    names = ("a.0", "a_0", "0", "*/ evil", "model")
    folder = write(toy_project(toys, names), tmp_path / "out")
    library = compile_host_library(
        [folder / "model.c", folder / "weights.c", folder / "kernels/src/toy.c"],
        tmp_path / "toy.so",
        include_dirs=[folder, folder / "kernels/include", folder / "kernels/src"],
    )
    loaded = ctypes.CDLL(str(library))
    size = int(re.findall(r"MODEL_ARENA_BYTES (\d+)", (folder / "model.h").read_text())[0])
    arena = np.zeros(size + 8, np.int8)
    start = -arena.ctypes.data % 8
    data, out = np.arange(8, dtype=np.int8), np.zeros(8, np.int8)

    def run(offset: int) -> int:
        where = ctypes.c_void_p(arena.ctypes.data + start + offset)
        return int(loaded.model_run(ctypes.c_void_p(data.ctypes.data), ctypes.c_void_p(out.ctypes.data), where))

    assert run(0) == 0
    assert out.tolist() == (np.arange(8) + 15).tolist()
    assert run(4) < 0, "a misaligned arena is refused"
    loaded.model_run.argtypes = [ctypes.c_void_p] * 3
    assert loaded.model_run(None, out.ctypes.data, arena.ctypes.data + start) < 0


def test_only_needed_kernel_files_are_copied(toys: KernelLibrary, tmp_path: Path) -> None:
    project = toy_project(toys, ("a",))
    folder = write(project, tmp_path / "out")
    copied = {p.relative_to(folder / "kernels").as_posix() for p in (folder / "kernels").rglob("*") if p.is_file()}
    assert copied == {"include/ostinato_nn.h", "include/ost_types.h", "src/toy.c", "src/private/toy.h"}
    assert project.sources == ["model.c", "weights.c", "kernels/src/toy.c"]


def test_a_missing_kernel_file_is_named(toys: KernelLibrary) -> None:
    (toys.source_dir / "private" / "toy.h").unlink()
    with pytest.raises(UnsupportedError, match=r"toy\.c includes private/toy\.h"):
        toys.files([toy_binding(8, 1)])
    (toys.source_dir / "toy.c").unlink()
    with pytest.raises(UnsupportedError, match=r"toy\.c"):
        toys.files([toy_binding(8, 1)])


def test_parameters_that_c_cannot_take_are_refused_by_layer(toys: KernelLibrary, tmp_path: Path) -> None:
    project = toy_project(toys, ("first",))
    binding = project.bindings[0]
    bad = Binding(**{**vars(binding), "params": {**binding.params, "bytes": 1.5}})
    with pytest.raises(UnsupportedError, match="Layer first: the parameter bytes"):
        write(Project(project.graph, [bad], project.plan, project.board, toys), tmp_path / "a")
    wide = Binding(**{**vars(binding), "arrays": {**binding.arrays, "add": np.array([1.0])}})
    with pytest.raises(UnsupportedError, match="float64"):
        write(Project(project.graph, [wide], project.plan, project.board, toys), tmp_path / "b")


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=60))
def test_values_survive_their_text(values: list[int]) -> None:
    text = format_values(np.array(values, np.int32)).replace("(-2147483647 - 1)", "-2147483648")
    assert [int(v) for v in text.split(",")] == values
    assert all(len(line) <= 400 for line in text.splitlines())


@given(st.lists(st.text(max_size=12), max_size=8))
def test_identifiers_are_c_and_unique(names: list[str]) -> None:
    result = unique_identifiers(names)
    assert len(set(result)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in result)


def test_identifiers_read_like_their_names() -> None:
    assert identifier("features.0.conv") == "features_0_conv"
    assert identifier("3") == "layer_3"
    assert unique_identifiers(["a.b", "a_b"]) == ["a_b", "a_b_1"]


@given(st.text(max_size=20))
def test_comments_cannot_be_left(text: str) -> None:
    safe = comment(text)
    assert "*/" not in safe
    assert "/*" not in safe
    assert "\n" not in safe


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20))
def test_string_literals_mean_their_text(text: str) -> None:
    body = string_literal(text)[1:-1]
    data = bytes(int(m[1:], 8) if m[0] == "\\" else ord(m) for m in re.findall(r"\\[0-7]{3}|[^\\]", body))
    assert data.decode() == text
    assert '"' not in body
    assert "??" not in body


@pytest.fixture(scope="module")
def real_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ostinato.firmware import deploy_graph

    net = NetworkBuilder((8, 8, 3), seed=5).conv("conv", 8).pool("pool").linear("head", 4)
    out = tmp_path_factory.mktemp("project") / "out"
    deploy_graph(net.graph(classes=("cat", "dog", "owl", "eel")), net.images(1), out_dir=out, verify_images=0)
    return out


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_makefile_builds_for_the_board_with_zig(real_project: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(real_project, tmp_path / "copy")
    subprocess.run(
        ["make", "-s", "TOOLCHAIN=zig", f"PYTHON={sys.executable}"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=300,
    )
    assert (folder / "build" / "libmodel.a").stat().st_size > 1000


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_makefile_builds_an_example_that_runs_here(real_project: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(real_project, tmp_path / "copy")
    compiler = " ".join(find_host_compiler().command)
    subprocess.run(
        ["make", "-s", "example", f"HOST_CC={compiler}"], cwd=folder, check=True, capture_output=True, timeout=300
    )
    assert subprocess.run([str(folder / "build" / "example")], check=False, timeout=60).returncode == 0


def test_generated_files_hold_no_path_of_this_machine(real_project: Path) -> None:
    for path in real_project.rglob("*"):
        if path.suffix in (".c", ".h", ".S", ".md", ".json") or path.name == "Makefile":
            text = path.read_text()
            assert str(Path.home()) not in text, path
            assert str(real_project.parent) not in text, path


def test_the_readme_tells_sizes_classes_and_layers(real_project: Path) -> None:
    text = (real_project / "README.md").read_text()
    arena = int(re.findall(r"MODEL_ARENA_BYTES (\d+)", (real_project / "model.h").read_text())[0])
    assert f"{arena:,}" in text
    assert "cat, dog, owl, eel" in text
    assert "ost_conv_s8_dense" in text


def test_the_same_network_gives_the_same_files(toys: KernelLibrary, tmp_path: Path) -> None:
    a = write(toy_project(toys, ("x", "y")), tmp_path / "a")
    b = write(toy_project(toys, ("x", "y")), tmp_path / "b")
    for path in a.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (b / path.relative_to(a)).read_bytes()


def test_a_graph_is_needed() -> None:
    tensor = NetworkBuilder((8,), seed=0).input
    assert plan_memory(QGraph("empty", tensor, tensor, ()), []).arena_bytes == 0
