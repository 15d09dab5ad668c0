"""Boards and cores are data; an unknown name is answered with the known ones."""

from __future__ import annotations

import pytest

from ostinato.errors import BoardError
from ostinato.targets.boards import BOARDS, KIB, MIB, get_board
from ostinato.targets.cores import CORES, get_core


def test_the_papers_boards_have_their_data_sheets_figures() -> None:
    m4, m7 = get_board("stm32f469i"), get_board("stm32f767zi")
    assert (m4.core, m4.clock_hz, m4.sram_bytes, m4.flash_bytes) == ("cortex-m4", 180_000_000, 320 * KIB, 2 * MIB)
    assert (m7.core, m7.clock_hz, m7.sram_bytes, m7.flash_bytes) == ("cortex-m7", 216_000_000, 512 * KIB, 2 * MIB)
    assert m4.extra_sram_bytes == 64 * KIB


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_every_board_names_itself_and_a_known_core(name: str) -> None:
    board = get_board(name)
    assert board.name == name
    assert board.core_data is CORES[board.core]
    assert board.flash_wait_states >= 0


def test_names_are_case_insensitive_and_boards_pass_through() -> None:
    board = get_board("STM32F469I")
    assert get_board(board) is board
    assert get_core(board.core_data) is board.core_data


def test_milliseconds_are_cycles_over_the_clock() -> None:
    assert get_board("stm32f469i").milliseconds(1_800_000) == pytest.approx(10.0)


def test_an_unknown_board_is_answered_with_the_known_ones() -> None:
    with pytest.raises(BoardError, match=r"'stm32h7'.*stm32f469i, stm32f767zi"):
        get_board("stm32h7")


def test_an_unknown_core_is_answered_with_the_known_ones() -> None:
    with pytest.raises(BoardError, match=r"'cortex-m0'.*cortex-m4, cortex-m7"):
        get_core("cortex-m0")
