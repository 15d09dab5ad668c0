"""Guarded memory in the simulator itself: what is refused, how it is named, what is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostinato.errors import SimulationError
from ostinato.targets.guards import Area, Guards
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import compile_firmware

SOURCE = Path(__file__).parent / "firmware_for_tests.c"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    elf = compile_firmware([SOURCE], tmp_path_factory.mktemp("guards") / "test.elf")
    return Simulator(elf, guarded=True)


def area(simulator: Simulator, name: str, size: int, *, offset: int = 0, writable: bool = False) -> Area:
    return Area(name, simulator.symbols[name].address + offset, size, writable)


def guards(simulator: Simulator, *areas: Area) -> Guards:
    watched = simulator.symbols["__data_start"].address, simulator.symbols["__bss_end"].address
    return Guards([watched], {None: areas})


def test_what_is_allowed_runs_as_ever(simulator: Simulator) -> None:
    both = area(simulator, "bytes_in", 40), area(simulator, "bytes_out", 40, writable=True)
    free = simulator.run("copy", [40])
    assert simulator.run("copy", [40], guards=guards(simulator, *both)) == free


@pytest.mark.parametrize(
    ("size_in", "size_out", "writable", "said"),
    [
        (39, 40, True, r"fault in memcpy at 0x080\w+: read of 4 bytes at .* last byte is 1 past the end of bytes_in"),
        (40, 39, True, r"fault in memcpy at 0x080\w+: write of 4 bytes at .* is 1 past the end of bytes_out"),
        (40, 40, False, r"write of 4 bytes at .*: it may only be read here \(bytes_out\)"),
    ],
)
def test_one_byte_too_far_is_refused(
    simulator: Simulator, size_in: int, size_out: int, writable: bool, said: str
) -> None:
    areas = area(simulator, "bytes_in", size_in), area(simulator, "bytes_out", size_out, writable=writable)
    with pytest.raises(SimulationError, match=said):
        simulator.run("copy", [40], guards=guards(simulator, *areas))
    assert simulator.run("fibonacci", [6], guards=guards(simulator)).result == 8  # and the next run is sound


def test_an_access_before_an_area_says_so(simulator: Simulator) -> None:
    areas = area(simulator, "bytes_in", 36, offset=4), area(simulator, "bytes_out", 40, writable=True)
    with pytest.raises(SimulationError, match="4 before the start of bytes_in"):
        simulator.run("copy", [40], guards=guards(simulator, *areas))


def test_areas_change_with_the_marker_and_errors_name_the_segment(simulator: Simulator) -> None:
    watched = (simulator.symbols["__data_start"].address, simulator.symbols["__bss_end"].address)
    # `collatz` keeps to its registers, whatever is forbidden; the stack is never watched.
    assert simulator.run("layers", [3], marker="marker", guards=Guards([watched], {0: (), 1: ()})).result
    stack = (watched[1], simulator.symbols["__stack_top"].address)
    with pytest.raises(SimulationError, match=r"fault in \w+ \(layer third\) at 0x080\w+: read of 4"):
        simulator.run(
            "layers", [3], marker="marker", labels=["first", "second", "third"], guards=Guards([stack], {2: ()})
        )


def test_guards_need_a_guarded_simulator(simulator: Simulator) -> None:
    plain = Simulator(simulator.elf.path)
    with pytest.raises(SimulationError, match="guarded=True"):
        plain.run("copy", [4], guards=guards(simulator))
