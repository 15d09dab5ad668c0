"""The generated project outside Python: Make, CMake, both compilers, C++, the desktop's program, the board's."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from random_networks import NetworkBuilder
from unicorn import unicorn_const

from ostinato.firmware import Firmware, deploy_graph
from ostinato.firmware.select import KERNEL_CHOICES
from ostinato.quant.reference import execute
from ostinato.targets.boards import Board
from ostinato.targets.compilers import find_host_compiler
from ostinato.targets.emulator import Emulator
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import compile_host_library

BOARDS = ("stm32f469i", "stm32f767zi", "stm32f769i")
NO_GCC = "arm-none-eabi-gcc is not installed (Debian: gcc-arm-none-eabi, libnewlib-arm-none-eabi)"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def cmake() -> str:
    """CMake, on PATH or from `pip install cmake`."""
    found = shutil.which("cmake")
    if found is None and importlib.util.find_spec("cmake") is not None:
        found = str(Path(sys.executable).parent / "cmake")
    if found is None:
        pytest.skip("CMake is not installed (`pip install cmake`)")
    return found


@pytest.fixture(params=["gcc", "zig"])
def toolchain(request: pytest.FixtureRequest) -> str:
    if request.param == "gcc" and shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip(NO_GCC)
    return str(request.param)


def small(board: str, out: Path) -> Firmware:
    net = NetworkBuilder((8, 8, 3), seed=5).pool("pool").linear("head", 4)
    return deploy_graph(net.graph("built"), net.images(4), board, out_dir=out, verify_images=0)


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    return small("stm32f469i", tmp_path_factory.mktemp("built") / "out")


def copy(firmware: Firmware, tmp_path: Path) -> Path:
    """A copy to build in, so that tests do not see each other's objects."""
    return shutil.copytree(firmware.project_dir, tmp_path / "project")


def call(*command: str | Path, cwd: Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(list(map(str, command)), cwd=cwd, input=stdin, capture_output=True, timeout=300, check=False)


def succeed(*command: str | Path, cwd: Path) -> None:
    result = call(*command, cwd=cwd)
    assert result.returncode == 0, (result.stdout + result.stderr).decode()[-2000:]


@needs("make")
@pytest.mark.parametrize("board", BOARDS)
def test_make_links_the_board_program(board: str, toolchain: str, tmp_path: Path) -> None:
    firmware = small(board, tmp_path / "project")
    folder = firmware.project_dir
    succeed("make", "-s", "board", f"TOOLCHAIN={toolchain}", f"PYTHON={sys.executable}", cwd=folder)
    text = run_with_stubbed_peripherals(folder / "build" / "board.elf", firmware)
    rows = [line.split() for line in text.splitlines()]
    ops, kernels = firmware.graph.ops, [f"ost_{binding.kernel}" for binding in firmware.bindings]
    assert rows[1:-2] == [[op.name, k, str(TICK), str(TICK // MHZ[board])] for op, k in zip(ops, kernels, strict=True)]
    assert rows[-2] == ["total", str(TICK * len(ops)), str(TICK * len(ops) // MHZ[board])]
    image = np.array([(i * 89 + (i >> 5)) % 256 for i in range(firmware.graph.input.size)], np.uint8).view(np.int8)
    expected = execute(firmware.graph, image)[firmware.graph.output.name]
    assert rows[-1] == ["output", *map(str, expected.tolist())]


TICK = 1000
MHZ = {"stm32f469i": 180, "stm32f767zi": 216, "stm32f769i": 216}
USART = {"stm32f469i": 0x40004800, "stm32f767zi": 0x40004800, "stm32f769i": 0x40011000}
USART_CLOCK = {"stm32f469i": 45e6, "stm32f767zi": 54e6, "stm32f769i": 108e6}
UART_STATUS = {"cortex-m4": 0x00, "cortex-m7": 0x1C}
UART_DATA = {"cortex-m4": 0x04, "cortex-m7": 0x28}
UART_DIVISOR = {"cortex-m4": 0x08, "cortex-m7": 0x0C}
QUADSPI, QUADSPI_DONE = 0xA0001000, 1 << 1


def run_with_stubbed_peripherals(elf: Path, firmware: Firmware) -> str:
    """What `main` sends over the serial port where every peripheral is memory whose "ready" bits are already set."""
    board = firmware.board
    simulator = Simulator(elf, core=board.core)
    emulator, usart = simulator._emulator, USART[board.name]
    there = [begin for begin, _, _ in emulator.uc.mem_regions()]  # hot code needs two of the peripherals
    for page in range(0x40000000, 0x40040000, 0x1000):
        if page not in there:
            emulator.map(page, 0x1000, writable=True, executable=False)
    emulator.map(0xE0001000, 0x1000, writable=True, executable=False)
    emulator.map(QUADSPI, 0x1000, writable=True, executable=False)
    ready = {
        0x40023800: 1 << 1 | 1 << 25,  # RCC_CR: HSIRDY, PLLRDY
        0x40023808: 2 << 2,  # RCC_CFGR: SWS
        0x40007004: 1 << 16 | 1 << 17,  # PWR_CSR: ODRDY, ODSWRDY
        usart + UART_STATUS[board.core]: 1 << 7,  # TXE
        QUADSPI + 0x08: QUADSPI_DONE,  # and not BUSY
    }
    for address, value in ready.items():
        emulator.write(address, value.to_bytes(4, "little"))
    sent: list[int] = []
    data = usart + UART_DATA[board.core]
    emulator.uc.hook_add(
        unicorn_const.UC_HOOK_MEM_WRITE,
        lambda _uc, _access, _address, _size, value, _user: sent.append(value & 255),
        begin=data,
        end=data + 3,
    )
    now = [0]

    def count(*_: object) -> None:
        now[0] += TICK
        emulator.write(0xE0001004, now[0].to_bytes(4, "little"))

    emulator.uc.hook_add(unicorn_const.UC_HOOK_MEM_READ, count, begin=0xE0001004, end=0xE0001007)
    assert simulator.run("main").result == 0
    divisor = int.from_bytes(emulator.read(usart + UART_DIVISOR[board.core], 4), "little")
    assert USART_CLOCK[board.name] / divisor == pytest.approx(115200, rel=0.01)
    if firmware.external_bytes:
        check_mapped(emulator, board)
    else:
        assert emulator.read(QUADSPI, 4) == bytes(4)
    return bytes(sent).decode()


def check_mapped(emulator: Emulator, board: Board) -> None:
    """QUADSPI was left in memory-mapped mode, with the clocks that the board's description has."""
    flash = board.external_flash
    assert flash is not None
    control, device, command = (
        int.from_bytes(emulator.read(QUADSPI + offset, 4), "little") for offset in (0x00, 0x04, 0x14)
    )
    lines = {1: 1, 3: 4}
    instruction, address, data = (lines[command >> shift & 3] for shift in (8, 10, 24))
    assert control & 1
    assert command >> 26 & 3 == 3
    assert (control >> 24) + 1 == flash.divider
    assert 1 << (device >> 16 & 31) + 1 == flash.size_bytes
    assert (device >> 8 & 7) + 1 == flash.deselect_clocks
    assert 8 // instruction == flash.instruction_clocks
    assert 8 * ((command >> 12 & 3) + 1) // address == flash.address_clocks
    assert command >> 18 & 31 == flash.dummy_clocks
    assert (data, command >> 31) == (4, int(flash.double_rate))


@needs("make")
@pytest.mark.parametrize("board", ["stm32f469i", "stm32f769i"])
def test_the_board_program_maps_external_flash(board: str, toolchain: str, tmp_path: Path) -> None:
    net = NetworkBuilder((8, 8, 3), seed=5).linear("wide", 64).linear("head", 4)
    graph = net.graph()
    firmware = deploy_graph(
        graph, net.images(1), board, out_dir=tmp_path / "project", external_flash="wide", verify_images=0
    )
    folder = firmware.project_dir
    succeed("make", "-s", "board", f"TOOLCHAIN={toolchain}", f"PYTHON={sys.executable}", cwd=folder)
    text = run_with_stubbed_peripherals(folder / "build" / "board.elf", firmware)
    image = np.array([(i * 89 + (i >> 5)) % 256 for i in range(graph.input.size)], np.uint8).view(np.int8)
    expected = execute(graph, image)[graph.output.name]
    assert text.splitlines()[-1].split() == ["output", *map(str, expected.tolist())]


def test_cmake_links_the_board_program(firmware: Firmware, toolchain: str, tmp_path: Path) -> None:
    folder, out = copy(firmware, tmp_path), tmp_path / "out"
    file = f"-DCMAKE_TOOLCHAIN_FILE={folder}/cmake/{toolchain}.cmake"
    succeed(cmake(), "-S", folder, "-B", out, file, f"-DPYTHON={sys.executable}", cwd=folder)
    succeed(cmake(), "--build", out, cwd=folder)
    text = run_with_stubbed_peripherals(out / "board.elf", firmware)
    assert "head" in text
    assert "output" in text


@needs("make")
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason=NO_GCC)
def test_gcc_finds_nothing_to_warn_about_in_any_kernel(tmp_path: Path) -> None:
    net = NetworkBuilder((12, 12, 3), seed=5).conv("stem", 8).pool("pool").reuse_compiled("tables", 16, 8, 4)
    net.pool("mean", average=True, stride=(1, 1)).reuse_image("clusters", 8, 8, 3, kernel=(1, 1)).linear("head", 4)
    for kernel in KERNEL_CHOICES:
        out = tmp_path / kernel
        deploy_graph(net.graph(), net.images(1), kernel=kernel, out_dir=out, verify_images=0)
        succeed("make", "-s", cwd=out)
        assert (out / "build" / "libmodel.a").stat().st_size > 1000


def host_compiler() -> str:
    return " ".join(find_host_compiler().command)


def check_host_program(program: Path, firmware: Firmware) -> None:
    expected = firmware.predict_int8(firmware.samples).reshape(len(firmware.samples), -1)
    images = firmware.samples.tobytes()
    result = call(program, cwd=program.parent, stdin=images)
    assert result.returncode == 0
    assert [list(map(int, line.split())) for line in result.stdout.decode().splitlines()] == expected.tolist()
    pixels = (firmware.samples.astype(np.int16) + 128).astype(np.uint8).tobytes()
    assert call(program, "u8", cwd=program.parent, stdin=pixels).stdout == result.stdout
    short = call(program, cwd=program.parent, stdin=images[:-1])
    assert short.returncode == 1
    assert short.stdout.splitlines() == result.stdout.splitlines()[:-1]
    assert f"{firmware.graph.input.size - 1} of {firmware.graph.input.size} bytes" in short.stderr.decode()
    assert call(program, "png", cwd=program.parent, stdin=b"").returncode == 2


@needs("make")
def test_the_desktop_program_prints_the_logits(firmware: Firmware, tmp_path: Path) -> None:
    folder = copy(firmware, tmp_path)
    succeed("make", "-s", "host", f"HOST_CC={host_compiler()}", cwd=folder)
    check_host_program(folder / "build" / "host", firmware)


def test_cmake_builds_for_the_desktop(firmware: Firmware, tmp_path: Path) -> None:
    if shutil.which("cc") is None and "CC" not in os.environ:
        pytest.skip("there is no C compiler for this computer that CMake finds by itself")
    folder, out = copy(firmware, tmp_path), tmp_path / "out"
    succeed(cmake(), "-S", folder, "-B", out, cwd=folder)
    succeed(cmake(), "--build", out, cwd=folder)
    check_host_program(out / "host", firmware)
    assert call(out / "example", cwd=out).returncode == 0


CPP = """
#include "model.h"
#include "weights.h"
#include "ostinato_nn.h"
#include <cstdint>
#include <cstdio>
alignas(MODEL_ARENA_ALIGNMENT) static std::int8_t arena[MODEL_ARENA_BYTES];
static int calls;
extern "C" void model_on_layer(int) { calls++; }
int main() {
    std::int8_t output[MODEL_OUTPUT_BYTES];
    const int status = model_run(arena + MODEL_INPUT_OFFSET, output, arena);
    std::printf("%d %d %s\\n", status, calls, model_layers[0].name);
}
"""


@needs("make")
def test_cpp_can_include_and_call_it(firmware: Firmware, tmp_path: Path) -> None:
    folder = copy(firmware, tmp_path)
    (folder / "app.cpp").write_text(CPP)
    zig = find_host_compiler("zig").command[0]
    sources = [path for path in firmware.project.sources if path.endswith(".c")]
    include = ("-I.", "-Ikernels/include", "-Ikernels/src")
    warnings = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
    no_library = ("-fno-exceptions", "-fno-rtti")  # zig would compile all of libc++ first
    succeed(zig, "c++", "-std=c++17", *no_library, *warnings, *include, "-c", "app.cpp", "-o", "app.o", cwd=folder)
    for number, path in enumerate(sources):
        succeed(zig, "cc", "-std=gnu11", *include, "-c", path, "-o", f"{number}.o", cwd=folder)
    objects = [f"{number}.o" for number in range(len(sources))]
    succeed(zig, "cc", "app.o", *objects, "-o", "app", cwd=folder)
    result = call(folder / "app", cwd=folder)
    assert result.stdout.decode().split() == ["0", str(len(firmware.graph.ops) + 1), firmware.graph.ops[0].name]


@pytest.mark.parametrize("without", [False, True])
def test_the_hook_can_be_left_out(firmware: Firmware, tmp_path: Path, without: bool) -> None:
    folder = firmware.project_dir
    library = compile_host_library(
        [folder / path for path in firmware.project.sources if path.endswith(".c")],
        tmp_path / "model.so",
        include_dirs=[folder, folder / "kernels/include", folder / "kernels/src"],
        defines={"MODEL_NO_LAYER_HOOK": None} if without else {},
    )
    assert hasattr(ctypes.CDLL(str(library)), "model_on_layer") is not without


def test_a_board_without_bring_up_code_has_no_board_folder(tmp_path: Path) -> None:
    from dataclasses import replace

    from ostinato.targets.boards import get_board

    net = NetworkBuilder((4, 4, 3), seed=0).linear("head", 2)
    other = replace(get_board("stm32f469i"), name="custom")
    folder = deploy_graph(net.graph(), net.images(1), other, out_dir=tmp_path / "out", verify_images=0).project_dir
    assert not (folder / "board").exists()
    assert "board.elf" not in (folder / "Makefile").read_text()
    assert "add_executable(board" not in (folder / "CMakeLists.txt").read_text()
