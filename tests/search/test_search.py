"""A whole search: its files, its budgets, and that no kill changes its result."""

from __future__ import annotations

import csv
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from search_samples import SETTINGS, small_dataset, small_net, small_space

import ostinato as ost
from ostinato.cli.patterns import read_patterns
from ostinato.errors import ModelError
from ostinato.search import Budgets, SearchError, SearchResult, Settings
from ostinato.search import run as run_module
from ostinato.search.journal import JOURNAL, without_times
from ostinato.search.workflow import Workflow


def search(folder: Path | None, **changes: Any) -> SearchResult:
    arguments = {"space": small_space(), "settings": SETTINGS, "out": folder, "progress": False, **changes}
    return ost.search(small_net(), small_dataset(), **arguments)


def document(folder: Path) -> Mapping[str, Any]:
    """search.json without times."""
    found = json.loads((folder / "search.json").read_text())
    return {key: value for key, value in found.items() if "seconds" not in key}


def test_its_files(finished: Path) -> None:
    result = SearchResult.read(finished)
    found = json.loads((finished / "search.json").read_text())
    assert found["candidates"] == 4 == result.candidates
    assert found["seconds"].keys() == {"profile", "prune", "train", "simulate"}
    assert found["front"]
    assert found["chosen"]["meets_budgets"]
    rows = list(csv.DictReader((finished / "candidates.csv").read_text().splitlines()))
    assert len(rows) == 4
    assert all(float(row["kl"]) >= 0 for row in rows)
    table = pq.read_table(finished / "candidates.parquet")
    assert table.column_names == list(rows[0])
    assert table.num_rows == 4
    assert table["kl"].to_pylist() == pytest.approx([float(row["kl"]) for row in rows])


def test_the_front_is_one(finished: Path) -> None:
    front = SearchResult.read(finished).front
    latencies, accuracies = [e["ms"] for e in front], [e["valid_top1"] for e in front]
    assert latencies == sorted(latencies)
    assert accuracies == sorted(accuracies)
    assert len(set(accuracies)) == len(front)
    measured = SearchResult.read(finished).about["measured"]
    for entry in measured:  # the conventional network among them
        assert any(e["ms"] <= entry["ms"] and e["valid_top1"] >= entry["valid_top1"] for e in front)
    assert not measured[0]["patterns"]
    assert measured[0]["loss_points"] == 0


def test_latencies_predicted_are_those_measured(finished: Path) -> None:
    """What layers take alone is what they take in the network, but for the code between them."""
    result = SearchResult.read(finished)
    for entry in result.about["measured"]:
        if "predicted" in entry:
            assert entry["predicted"]["ms"] == pytest.approx(entry["ms"], rel=0.1)
            assert entry["predicted"]["flash_bytes"] == pytest.approx(entry["flash_bytes"], rel=0.25)  # half of it code
            assert entry["predicted"]["sram_bytes"] == pytest.approx(entry["sram_bytes"], rel=0.25)


def test_patterns_are_what_convert_takes(finished: Path) -> None:
    result = SearchResult.read(finished)
    assert result.patterns
    assert read_patterns(finished / "patterns.toml", []) == result.patterns
    ost.convert(small_net(), result.patterns)


def test_the_same_call_does_nothing_again(finished: Path) -> None:
    journal, before = (finished / JOURNAL).read_bytes(), document(finished)
    search(finished)
    assert (finished / JOURNAL).read_bytes() == journal
    assert document(finished) == before


def test_killed_at_a_random_moment_and_resumed(finished: Path, tmp_path: Path) -> None:
    """SIGKILL after a random line of the journal and a random time more; the rest is done by another process."""
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_search import search\nsearch(Path(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parent)])
    lines, wait = random.randrange(2, 6), random.random()
    journal = tmp_path / JOURNAL
    while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < lines):
        time.sleep(0.02)
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    assert process.wait() in (-signal.SIGKILL, 0), f"lines={lines} wait={wait}"
    assert not (tmp_path / "search.json").exists() or process.returncode == 0
    kept = journal.read_bytes()
    search(tmp_path)
    assert journal.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1]), "finished work was done again"
    assert without_times(journal) == without_times(finished / JOURNAL), f"lines={lines} wait={wait}"
    assert document(tmp_path) == document(finished), f"lines={lines} wait={wait}"


def test_two_workers_write_the_same_journal(finished: Path, tmp_path: Path) -> None:
    search(tmp_path, executor="processes", workers=2)
    assert without_times(tmp_path / JOURNAL) == without_times(finished / JOURNAL)
    assert document(tmp_path) == document(finished)


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: Path) -> None:
    monkeypatch.setattr(Workflow, "_latencies", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path)
    monkeypatch.undo()
    found = (tmp_path / JOURNAL).read_bytes()
    assert found.count(b"\n") == 4  # header, baseline, two layers
    assert not (tmp_path / "search.json").exists()


@pytest.mark.parametrize(
    ("budgets", "told"),
    [
        ({"ms": 0.001}, r"no network meets the budgets \(0.001 ms\); the nearest .* latency [0-9.]+ ms"),
        ({"flash_bytes": 100}, r"flash [0-9,]+ bytes"),
        ({"sram_bytes": 10}, r"SRAM [0-9,]+ bytes"),
        ({"ms": 0.001, "flash_bytes": 100}, r"nor with any one of them lifted; each alone .*flash .*latency"),
    ],
)
def test_budgets_that_nothing_meets(finished: Path, budgets: dict[str, float], told: str) -> None:
    with pytest.raises(SearchError, match=told):
        search(finished, budgets=budgets)


def test_the_nearest_that_is_said_can_be_met(finished: Path) -> None:
    with pytest.raises(SearchError) as error:
        search(finished, budgets={"ms": 0.001})
    nearest = float(str(error.value).split("latency ")[1].split(" ms")[0])
    assert search(finished, budgets=Budgets(ms=nearest + 0.01)).chosen["predicted"]["ms"] <= nearest + 0.01


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"budgets": {"ms": -1.0}}, "budget ms must be a positive number"),
        ({"budgets": {"speed": 1.0}}, "no budget 'speed'"),
        ({"layers": ["conv9"]}, "no layer 'conv9'"),
        ({"executor": "slurm"}, "no executor 'slurm'"),
    ],
)
def test_arguments_that_cannot_be(tmp_path: Path, arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(SearchError, match=told):
        search(tmp_path, **arguments)


def test_settings_that_cannot_be() -> None:
    for field in ("calibration_images", "front", "halving", "seed"):
        with pytest.raises(SearchError, match=field):
            Settings(**{field: -1})


def test_another_seed_is_another_search(finished: Path) -> None:
    with pytest.raises(SearchError, match="its settings differs"):
        search(finished, settings=Settings(**{**SETTINGS.to_dict(), "seed": 1}))


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    model = small_net()
    model.conv1.weight.data[0] = float("nan")  # type: ignore[union-attr, operator, index]
    with pytest.raises(ModelError, match=r"conv1\.weight"):
        ost.search(model, small_dataset(), progress=False)


def test_the_full_check_trains_and_never_reads_the_test_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = small_dataset()
    monkeypatch.setattr(type(data), "test", property(lambda _: pytest.fail("the test set was read")), raising=False)
    settings = Settings(**{**SETTINGS.to_dict(), "train_epochs": 2, "finalists": 2})
    result = ost.search(
        small_net(), data, space=small_space(), layers=["conv2"], settings=settings, out=tmp_path, progress=False
    )
    lines = [json.loads(line) for line in (tmp_path / JOURNAL).read_text().splitlines()]
    trained = [line["task"].rsplit(":", 1)[1] for line in lines if line.get("task", "").startswith("train:")]
    assert trained.count("2") == 2
    assert trained.count("1") <= 2
    assert result.seconds["train"] > 0
    assert any(entry["epochs"] == 2 and "valid_top1_int8" in entry for entry in result.about["measured"])


def test_without_a_folder_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_module, "Workflow", _Finished)
    search(None)
    assert list(tmp_path.iterdir()) == []


class _Finished:
    """A workflow that has nothing to do."""

    def __init__(self, *_: Any) -> None:
        pass

    def run(self) -> tuple[SearchResult, list[Any]]:
        """An empty result."""
        return SearchResult((), {"patterns": {}, "meets_budgets": True}, 0, {}, {}), []
