"""The simulator: results, exact counts against an instruction-by-instruction count, stack, markers, faults."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unicorn import unicorn_const

from ostinato.errors import SimulationError, ToolchainError
from ostinato.targets import hook
from ostinato.targets.instructions import Instruction, decode
from ostinato.targets.profile import Counts
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import Memory, compile_firmware

SOURCE = Path(__file__).parent / "firmware_for_tests.c"
CALLS: list[tuple[str, list[int | str]]] = [
    ("everything", [25]),
    ("layers", [6]),
    ("nested", [7]),
    ("copy", [61]),
    ("scaled_int", [10]),
    ("long_division", [1234, 7]),
]


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = Memory(flash_bytes=1 << 20, sram_bytes=1 << 16)
    return compile_firmware([SOURCE], tmp_path_factory.mktemp("simulator") / "test.elf", memory=small)


@pytest.fixture
def simulator(firmware: Path) -> Simulator:
    return Simulator(firmware, timeout_s=20)


def test_arguments_go_into_registers_and_onto_the_stack(simulator: Simulator) -> None:
    assert simulator.run("weighted", [1, 2, 3, 4, 5, -6]).result == 1 + 4 + 9 + 16 + 25 - 36


def test_start_up_initialised_the_data_and_the_fpu(simulator: Simulator) -> None:
    assert simulator.read("initialised", np.int32).tolist() == [1, 2, 3, 4]
    assert simulator.run("scaled_int", [10]).result == 16


def test_dsp_instructions_execute(simulator: Simulator) -> None:
    assert simulator.run("smlad", [(3 << 16) | 2, (-5 << 16) | 4, 100]).result == 100 + 2 * 4 - 3 * 5


@pytest.mark.parametrize("size", [1, 2, 3, 4, 17, 61])
def test_memory_helpers(simulator: Simulator, size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, 64, np.uint8)
    simulator.write("bytes_in", data)
    simulator.run("copy", [size])
    expected = np.where(np.arange(64) < size, data, 0)
    np.testing.assert_array_equal(simulator.read("bytes_out", np.uint8), expected)
    simulator.run("move_up", [min(size, 61)])
    expected[3 : 3 + min(size, 61)] = expected[: min(size, 61)].copy()
    np.testing.assert_array_equal(simulator.read("bytes_out", np.uint8), expected)
    simulator.run("fill", [0x1A5, size])
    expected[:size] = 0xA5
    np.testing.assert_array_equal(simulator.read("bytes_out", np.uint8), expected)


def test_symbols_are_read_and_written_as_arrays(simulator: Simulator) -> None:
    simulator.write("initialised", np.array([9, -8], np.int32))
    assert simulator.read("initialised", np.int32).tolist() == [9, -8, 3, 4]
    assert simulator.read("initialised", np.int16, 3).tolist() == [9, 0, -8]
    address = simulator.symbols["initialised"].address
    simulator.write_memory(address + 4, b"\x01\x02\x03\x04")
    assert simulator.read_memory(address + 4, 4) == b"\x01\x02\x03\x04"
    simulator.reset()
    assert simulator.read("initialised", np.int32).tolist() == [1, 2, 3, 4]


def test_an_argument_may_be_the_name_of_a_variable(simulator: Simulator) -> None:
    data = np.arange(64, dtype=np.uint8)[::-1]
    simulator.write("bytes_in", data)
    simulator.run("sort", ["bytes_in", 64])
    np.testing.assert_array_equal(simulator.read("bytes_in", np.uint8), np.arange(64))


class Naive:
    """Counts every instruction by itself: slow and simple.

    The emulator does not call for an instruction whose condition fails, which a core executes nevertheless: those are
    found as what is left of an IT block when it is left.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.executed: Counter[str] = Counter()
        self._simulator = simulator
        self._it_block: list[int] = []
        simulator._emulator.uc.hook_add(unicorn_const.UC_HOOK_CODE, self._step)

    def _step(self, _: Any, address: int, *__: Any) -> None:
        while self._it_block:
            skipped = self._it_block.pop(0)
            if skipped == address:
                break
            self._count(skipped)
        if address == self._simulator._exit:
            return
        self._count(address)
        instruction = self._decode(address)
        if instruction.name == "it":
            following = address + instruction.size
            for _ in range(len(instruction.text.split()[0]) - 1):
                self._it_block.append(following)
                following += self._decode(following).size

    def _decode(self, address: int) -> Instruction:
        instruction = decode(self._simulator.read_memory(address, 4), address)
        assert instruction is not None
        return instruction

    def _count(self, address: int) -> None:
        self.executed[self._simulator.elf.function_at(address)] += 1


@pytest.mark.parametrize(("entry", "args"), CALLS)
def test_instructions_are_exact(firmware: Path, entry: str, args: list[int | str]) -> None:
    profile = Simulator(firmware).run(entry, args)
    slow = Simulator(firmware)
    naive = Naive(slow)
    assert slow.run(entry, args).result == profile.result
    assert {name: counts.instructions for name, counts in profile.by_function.items()} == dict(naive.executed)


@pytest.mark.parametrize(("entry", "args"), CALLS)
def test_both_hooks_count_the_same(firmware: Path, entry: str, args: list[int | str]) -> None:
    fast = Simulator(firmware).run(entry, args, marker="marker")
    slow = Simulator(firmware, python_hook=True).run(entry, args, marker="marker")
    assert fast == slow


def test_running_again_costs_the_same(simulator: Simulator) -> None:
    first = simulator.run("everything", [20])
    assert simulator.run("everything", [20]) == first
    simulator.reset()
    assert simulator.run("everything", [20]) == first


def test_functions_are_told_apart(simulator: Simulator) -> None:
    profile = simulator.run("everything", [20])
    assert {"everything", "sort", "collatz", "choose", "fibonacci", "memcpy"} <= set(profile.by_function)
    assert profile.total == sum(profile.by_function.values())
    assert all(counts.cycles > 0 and counts.instructions > 0 for counts in profile.by_function.values())


def test_markers_cut_the_run_into_segments(simulator: Simulator) -> None:
    profile = simulator.run("layers", [4], marker="marker")
    assert [segment.marker for segment in profile.segments] == [None, 0, 1, 2, 3]
    assert "fibonacci" in profile.segments[0].by_function
    assert "collatz" not in profile.segments[0].by_function
    assert sum(segment.total for segment in profile.segments) == profile.total
    for index, segment in enumerate(profile.segments[1:]):
        assert segment.by_function["marker"] == Counts(1, 3)  # bx lr
        assert segment.by_function["collatz"] == simulator.run("collatz", [index + 3]).total


def test_without_a_marker_there_is_one_segment(simulator: Simulator) -> None:
    profile = simulator.run("fibonacci", [6])
    assert len(profile.segments) == 1
    assert profile.segments[0].total == profile.total


def test_stack_depth_is_exact(simulator: Simulator) -> None:
    one, two, ten = (simulator.run("nested", [depth]).stack_bytes for depth in (1, 2, 10))
    frame = two - one
    assert frame >= 80  # the array of 20 words, and what it saves
    assert ten == one + 9 * frame
    assert simulator.run("marker", [0]).stack_bytes == 0


def test_stack_that_is_never_written_counts(simulator: Simulator) -> None:
    assert 1000 <= simulator.run("untouched_frame").stack_bytes <= 1040


def test_milliseconds(simulator: Simulator) -> None:
    profile = simulator.run("fibonacci", [6])
    assert profile.milliseconds(1000) == profile.total.cycles


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("write_null", r"fault in write_null at 0x080.*: write of 4 bytes at 0x00000004"),
        ("read_far", r"fault in read_far at 0x080.*: read of 4 bytes at 0x60000000"),
        ("write_flash", r"fault in write_flash at 0x080.*: write of 4 bytes at 0x080.*which is flash"),
        ("undefined_instruction", r"fault in undefined_instruction at 0x080.*: undefined instruction"),
        ("breakpoint", r"fault in breakpoint at 0x080.*: breakpoint"),
        ("jump_nowhere", r"fault in jump_nowhere at 0x080.*: jump to 0x70000000"),
    ],
)
@pytest.mark.parametrize("python_hook", [False, True])
def test_faults_are_named(firmware: Path, entry: str, said: str, python_hook: bool) -> None:
    simulator = Simulator(firmware, python_hook=python_hook)
    with pytest.raises(SimulationError, match=said):
        simulator.run(entry)
    assert simulator.run("fibonacci", [6]).result == 8  # and the next run is sound


def test_an_endless_loop_is_given_up(firmware: Path) -> None:
    simulator = Simulator(firmware, timeout_s=0.3)
    with pytest.raises(SimulationError, match=r"no end after 0\.3 s: the core was in forever"):
        simulator.run("forever")


@pytest.mark.parametrize("python_hook", [False, True])
def test_a_stack_overflow_is_caught(firmware: Path, python_hook: bool) -> None:
    with pytest.raises(SimulationError, match="stack overflow in nested"):
        Simulator(firmware, python_hook=python_hook).run("nested", [5000])


def test_wrong_names_and_sizes(simulator: Simulator, tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="no symbol 'nothing'"):
        simulator.run("nothing")
    with pytest.raises(SimulationError, match="'bytes_in' is not a function"):
        simulator.run("bytes_in")
    with pytest.raises(SimulationError, match="65 bytes do not fit into 'bytes_in', which has 64"):
        simulator.write("bytes_in", np.zeros(65, np.uint8))
    with pytest.raises(SimulationError, match="'bytes_in' has 64 bytes, not 17 elements of int32"):
        simulator.read("bytes_in", np.int32, 17)
    with pytest.raises(SimulationError, match="no memory for 4 bytes at 0x50000000"):
        simulator.read_memory(0x5000_0000, 4)
    with pytest.raises(SimulationError, match="no memory for 4 bytes at 0x50000000"):
        simulator.write_memory(0x5000_0000, bytes(4))
    with pytest.raises(SimulationError, match="cannot read the firmware"):
        Simulator(tmp_path / "nothing.elf")
    with pytest.raises(SimulationError, match="is not a firmware image"):
        Simulator(SOURCE)


def test_without_a_host_compiler_python_counts(firmware: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Path:
        raise ToolchainError("no compiler found")

    expected = Simulator(firmware).run("fibonacci", [8])
    monkeypatch.setattr(hook, "compile_host_library", fail)
    hook.c_hook_library.cache_clear()
    try:
        with pytest.warns(UserWarning, match="slower: no compiler found"):
            simulator = Simulator(firmware)
        assert simulator.run("fibonacci", [8]) == expected
    finally:
        hook.c_hook_library.cache_clear()


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
@pytest.mark.parametrize("toolchain", ["zig", "arm-none-eabi-gcc"])
@pytest.mark.parametrize("optimise", ["-O0", "-O2", "-Os"])
def test_every_compiler_core_and_level_computes_the_same(
    firmware: Path, tmp_path: Path, core: str, toolchain: str, optimise: str
) -> None:
    if toolchain == "arm-none-eabi-gcc" and shutil.which(toolchain) is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    elf = compile_firmware([SOURCE], tmp_path / "other.elf", core=core, toolchain=toolchain, optimise=optimise)
    expected, other = Simulator(firmware), Simulator(elf, core=core)
    for entry, args in CALLS:
        assert other.run(entry, args).result == expected.run(entry, args).result
