"""Tables that internal flash does not hold: candidates with a place in external flash, its cost, and where it shows."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from search_samples import SETTINGS, TABLES, seeded, small_dataset, small_net
from torch import nn

import ostinato as ost
from ostinato.errors import UnsupportedError
from ostinato.report import write_search_report
from ostinato.reuse import ConvGeometry, Pattern
from ostinato.search import Budgets, SearchError, SearchResult, SearchSpace
from ostinato.search.candidate import fields_of
from ostinato.search.display import uses_external
from ostinato.search.frontier import Problem, check_budgets, front, predicted
from ostinato.search.interactions import Interactions
from ostinato.search.journal import JOURNAL
from ostinato.search.knapsack import Option
from ostinato.search.latency import LatencyModel
from ostinato.search.layers import Layer
from ostinato.search.placing import Place, places
from ostinato.search.prune import NO_PLACE, fill_latencies, prune, samples
from ostinato.targets.boards import get_board

SPACE = SearchSpace.parse(f"{TABLES}hashes = 4")
FLASH = 36_000
"""With all constants inside the conventional network has 32 KB, that with tables 42 KB; 14 KB could be outside."""


class TabledNet(nn.Module):
    """A table of 4.5 KB where conv2's weights are, and 9 KB of weights that are read once."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3)
        self.fc1 = nn.Linear(32 * 9, 32)
        self.fc2 = nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, 8, 8) to (B, 3)."""
        x = torch.max_pool2d(torch.relu(self.conv2(torch.relu(self.conv1(x)))), 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


def search(folder: Path, flash_bytes: int = FLASH) -> SearchResult:
    return ost.search(
        seeded(TabledNet), small_dataset(), space=SPACE, settings=SETTINGS, budgets=Budgets(flash_bytes=flash_bytes),
        external_flash="auto", out=folder, progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search whose tables fit the flash that it may use only if something else goes out."""
    folder = tmp_path_factory.mktemp("external")
    write_search_report(folder, search(folder))
    return folder


def test_a_network_that_internal_flash_alone_does_not_hold(finished: Path) -> None:
    result = SearchResult.read(finished)
    (entry,) = (entry for entry in result.about["measured"] if entry["patterns"])
    assert entry["flash_bytes"] <= FLASH < entry["flash_bytes"] + entry["external_bytes"]
    assert result.chosen["meets_budgets"]
    assert result.chosen["patterns"]
    fc1 = result.about["conventional"]["layers"]["fc1"]
    assert entry["external_bytes"] == fc1["external_bytes"] == 288 * 32
    assert entry["external_wait_cycles"] == pytest.approx(fc1["cycles_external"] - fc1["cycles"], rel=0.02)
    assert entry["predicted"]["external_bytes"] >= entry["external_bytes"]  # room is left for all code that might be


def test_candidates_and_conventional_layers_have_both_places(finished: Path) -> None:
    (row,) = csv.DictReader((finished / "candidates.csv").read_text().splitlines())
    assert int(row["external_bytes"]) == 9 * 2**4 * 32
    assert float(row["cycles_external_simulated"]) == float(row["cycles_external"])
    assert float(row["cycles_external"]) > float(row["cycles"]) + 3.9 * 4608  # copied first, four cycles a byte
    assert int(row["staged_bytes"]) == 9 * 2**4 * 32
    layers = json.loads((finished / "search.json").read_text())["conventional"]["layers"]
    assert {name: layer["external_bytes"] for name, layer in layers.items() if layer["external_bytes"]} == {
        "conv2": 4608, "fc1": 9216,
    }  # fmt: skip
    assert layers["conv1"]["cycles_external"] == pytest.approx(layers["conv1"]["cycles"], rel=0.01)


def test_it_is_in_the_report_and_the_journal(finished: Path) -> None:
    for page in ("report.html", "report.md"):
        text = (finished / page).read_text()
        assert "ext. flash KiB" in text
        assert "waits for it M" in text
    assert uses_external(SearchResult.read(finished).front)
    header, *lines = [json.loads(line) for line in (finished / JOURNAL).read_text().splitlines()]
    assert header["external_flash"] == "auto"
    (network,) = (line["result"] for line in lines if line["task"].startswith("network:"))
    assert network["external_bytes"] == 9216


def test_it_goes_on_only_within_the_same_flash(finished: Path) -> None:
    before = (finished / JOURNAL).read_bytes()
    search(finished)
    assert (finished / JOURNAL).read_bytes() == before
    with pytest.raises(SearchError, match=r"its flash_bytes differs \(36000, not 60000\)"):
        search(finished, 60_000)


@pytest.mark.parametrize(
    ("board", "wanted", "told"),
    [
        ("stm32f767zi", "auto", "stm32f767zi has none; boards that have: stm32f469i, stm32f769i"),
        ("stm32f469i", "conv9", "no layer 'conv9'.*choose 'never', 'auto' or from conv1, conv2"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, board: str, wanted: str, told: str) -> None:
    with pytest.raises(UnsupportedError, match=told):
        ost.search(small_net(), small_dataset(), board, external_flash=wanted, out=tmp_path / "s", progress=False)
    assert not (tmp_path / "s").exists()


NUMBERS: Mapping[str, Any] = {
    "cycles": 100, "flash_bytes": 5000, "external_bytes": 4500, "cycles_external": 170, "staged_bytes": 0,
    "wait_estimate": 900.0,
}  # fmt: skip
INSIDE, OUTSIDE = Place(100, 5000), Place(170, 500, 4500)


def test_places() -> None:
    assert places(NUMBERS, "never", "a") == [INSIDE]
    assert places(NUMBERS, "auto", "a") == [INSIDE, OUTSIDE]
    assert places(NUMBERS, ("a",), "a") == [OUTSIDE]
    assert places(NUMBERS, ("b",), "a") == [INSIDE]
    small = {**NUMBERS, "external_bytes": 0}
    assert places(small, "auto", "a") == [Place(100, 5000)]
    assert places(small, ("a",), "a") == []


def test_what_is_copied_first_needs_sram_or_longer() -> None:
    copied = {**NUMBERS, "staged_bytes": 4500}
    read_there = Place(1000, 500, 4500)
    assert places(copied, "auto", "a") == [INSIDE, Place(170, 500, 4500, 4500), read_there]
    assert places({**copied, "wait_estimate": 1.0}, ("a",), "a")[1] == Place(170, 500, 4500)  # never faster


def conventional(cycles: int, flash: int, waits: int) -> dict[str, int]:
    return {"cycles": cycles, "flash_bytes": flash, "external_bytes": flash, "cycles_external": cycles + waits,
            "alive_bytes": 100, "scratch_bytes": 0, "staged_bytes": 0, "wait_estimate": waits}  # fmt: skip


BASE = {"code_bytes": 1000, "layers": {"conv": conventional(1000, 5000, 6000), "fc": conventional(100, 9000, 300)}}
LAYER = Layer("conv", ConvGeometry(8, 16, 3), 10, 10, False)


def row(hashes: int, cycles: float, external_cycles: float, flash: int, large: int) -> dict[str, Any]:
    """A profiled candidate of LAYER."""
    return {
        "layer": "conv", "key": f"H{hashes}", "pattern": fields_of(Pattern.compiled(8, hashes)), "kl": 0.001 / hashes,
        "cycles": cycles, "flash_bytes": flash, "external_bytes": large, "cycles_external": external_cycles,
        "scratch_bytes": 0, "kernel": "reuse", "staged_bytes": 0, "wait_estimate": 0.0,
    }  # fmt: skip


def networks(flash_bytes: int, *rows: dict[str, Any]) -> list[tuple[dict[str, bool], dict[str, float]]]:
    """Which layers of each network of the front are outside, and what is predicted of it."""
    board = replace(get_board("stm32f469i"), flash_bytes=flash_bytes)
    options = prune(rows, BASE, [LAYER], "auto").options
    problem = Problem.of(options, BASE, Budgets(), board, {})
    check_budgets(problem, Interactions({}))
    return [
        ({name: option.external_bytes > 0 for name, option in network.items()},
         predicted(problem, Interactions({}), network))
        for network in front(problem, Interactions({}), 3)
    ]  # fmt: skip


def test_what_waits_least_goes_out() -> None:
    table = row(4, 200, 500, 8000, 8000)
    fast, conv = networks(18_000, table)  # 1 of code, 8 or 5 of conv, 9 of fc
    assert fast[0] == {"conv": False, "fc": False}
    assert fast[1]["ms"] == pytest.approx(300 / 180e3)
    assert not any(conv[0].values())
    fast, conv = networks(17_000, table)
    assert fast[0] == {"conv": False, "fc": True}
    assert fast[1]["external_bytes"] == 9000
    assert fast[1]["ms"] == pytest.approx(600 / 180e3)
    assert conv[0] == {"conv": False, "fc": False}
    fast, conv = networks(8000, table)  # the table has to be outside; the weights do not, but those of fc
    assert fast[0] == {"conv": True, "fc": True}
    assert fast[1]["ms"] == pytest.approx(900 / 180e3)
    assert conv[0] == {"conv": False, "fc": True}


def test_sram_of_what_is_copied_counts() -> None:
    """Tables that are copied from external flash are taken where SRAM has room for them; else they are read there."""
    table = {**row(4, 200, 300, 8000, 8000), "staged_bytes": 8000, "wait_estimate": 700.0}
    options = prune([table], BASE, [LAYER], ("conv",)).options
    board = replace(get_board("stm32f469i"), flash_bytes=20_000)
    found = {}
    for sram in (9000, 8000):
        problem = Problem.of(options, BASE, Budgets(sram_bytes=sram), board, {})
        network = front(problem, Interactions({}), 3)[0]
        found[sram] = network["conv"].cycles, predicted(problem, Interactions({}), network)["sram_bytes"]
    assert found == {9000: (300, 8100), 8000: (900, 100)}


def test_slower_than_the_conventional_kernel_in_the_same_place_is_dropped() -> None:
    found = prune([row(4, 2000, 2300, 8000, 8000), row(5, 2000, 8000, 8000, 8000)], BASE, [LAYER], "auto")
    assert [(o.key, o.external_bytes) for o in found.options["conv"][2:]] == [("H4", 8000)]
    assert len(found.drops) == 1
    assert "2,000 cycles" in found.drops[0].detail
    assert [o.key for o in prune([row(4, 200, 500, 8000, 8000)], BASE, [LAYER]).options["conv"]] == [
        "conv:conventional", "H4",
    ]  # fmt: skip


def test_cycles_of_what_was_not_simulated_there() -> None:
    """By a model of the kernel's own with external flash; where there is none, by the bytes that are read."""
    rows = [row(4, 200, 500, 8000, 8000), row(6, 0, 0, 32_000, 32_000)]
    for own in rows:
        own |= {"wait_estimate": 70.0, "r_t": 1.0, "cycles": None, "cycles_external": None}
    rows[0] |= {"cycles_simulated": 200, "cycles_external_simulated": None}
    layers = {"conv": LAYER}
    fill_latencies(rows, layers, LatencyModel.fit(samples(rows, layers)), BASE)
    assert rows[0]["cycles_external"] == 270
    assert rows[0]["staged_bytes"] == 0  # read where they are
    assert rows[1]["cycles_external"] == rows[1]["cycles"] + 70
    rows[0]["cycles_external_simulated"] = 500
    known = samples(rows, layers)
    assert sorted((sample.family, sample.cycles) for sample in known) == [
        ("reuse", 200), ("reuse, external flash", 500),
    ]  # fmt: skip
    fill_latencies(rows, layers, LatencyModel.fit(known), BASE)
    assert rows[0]["cycles_external"] == 500
    assert rows[1]["cycles_external"] == rows[1]["cycles_external_model"]
    # As many rows of as many bytes, and more hashes: the same and half as much again at most.
    assert 500 <= rows[1]["cycles_external"] <= 750


def test_a_layer_that_has_to_use_it_and_cannot() -> None:
    (drop,) = prune([row(4, 200, 200, 800, 0)], BASE, [LAYER], ("conv",)).drops
    assert drop.reason == NO_PLACE
    options = prune([row(4, 200, 500, 8000, 8000)], BASE, [LAYER], ("conv",)).options["conv"]
    assert all(isinstance(option, Option) and option.external_bytes for option in options)


def test_a_flash_that_even_so_is_too_small() -> None:
    with pytest.raises(SearchError, match="flash 1,000 bytes"):
        networks(900, row(4, 200, 500, 8000, 8000))
