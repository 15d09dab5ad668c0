"""`ostinato search` and `ostinato report` on it: one search, and every mistake one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ostinato.cli.main import main
from ostinato.cli.patterns import read_patterns
from ostinato.cli.sizes import parse_bytes
from ostinato.errors import OstinatoError
from ostinato.search import SearchSpace

SCOPE = '[[patterns]]\nlayers = "conv2"\nlength = 16\nhashes = 3\nscope = "compiled"\nsharing = "block"\ninit = "pca"\n'

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command line's exit code, and what it printed on stdout and stderr."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ostinato", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call


@pytest.mark.slow
def test_a_search_from_the_command_line(run: Run, tmp_path: Path) -> None:
    """Train, search, report, and convert with what was found."""
    scope, out = tmp_path / "scope.toml", tmp_path / "s1"
    scope.write_text(SCOPE)
    arguments = [
        "search", "--scope", scope, "--out", out, "--epochs", "1", "--train-limit", "200", "--front", "2", "--simulate",
        "1", "--calibration-images", "24", "--profile-images", "16", "--validation-images", "60", "--max-loss", "60",
    ]  # fmt: skip
    code, printed, err = run(*arguments, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(printed)
    assert found["candidates"] == 1
    assert found["front"]
    assert list(found["chosen"]["patterns"]) == ["conv2"]
    assert "Profiling" in err
    assert list(read_patterns(out / "patterns.toml", [])) == ["conv2"]
    page = (out / "report.html").read_text()
    assert "L=16 H=3" in page
    assert "http" not in page.replace("http://www.w3.org", "")  # nothing is fetched

    (out / "report.html").unlink()
    code, printed, _ = run("report", out)
    assert code == 0
    assert f"{found['chosen']['ms']:.2f}" in printed
    assert (out / "report.html").read_text() == page

    code, _, err = run(*arguments, "--budget-ms", "0.01", "--quiet")
    assert code == 2
    assert "no network meets the budgets" in err
    code, _, err = run(*arguments, "--seed", "1")
    assert code == 2
    assert "holds a run with seed = 0" in err


def test_the_default_scope_can_be_printed_and_read_back(run: Run, tmp_path: Path) -> None:
    code, printed, _ = run("search", "--print-scope")
    assert code == 0
    (tmp_path / "mine.toml").write_text(printed)
    assert SearchSpace.read(tmp_path / "mine.toml") == SearchSpace.default()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scope", "nowhere.toml"], "cannot read the scope file nowhere.toml"),
        (["--budget-flash", "much"], "--budget-flash is 'much'; write a size"),
        (["--budget-ms", "-3"], "the budget ms must be a positive number"),
        (["--board", "z80"], "z80"),
        (["--front", "1"], "front of a search must be"),
        (["--network", "nowhere"], "nowhere"),
        (["--board", "stm32f767zi", "--external-flash", "auto"], "stm32f767zi has none; boards that have"),
        (["--external-flash", "fc1,fc9"], "no layer 'fc9' whose constants could go to external flash"),
    ],
)
def test_mistakes_are_one_sentence(run: Run, tmp_path: Path, arguments: list[str], told: str) -> None:
    code, out, err = run("search", "--out", tmp_path / "s", *arguments)
    complaint = [line for line in err.splitlines() if line.startswith("ostinato: ")]
    assert (code, out, len(complaint)) == (2, "", 1), err
    assert told in complaint[0]
    assert not (tmp_path / "s").exists()


def test_a_search_that_is_not_finished_has_no_report(run: Run, tmp_path: Path) -> None:
    code, _, err = run("report", tmp_path)
    assert code == 2
    assert "report.json" in err


@pytest.mark.parametrize(
    ("text", "size"), [("1.5MB", 1_500_000), ("900KiB", 921_600), ("65536", 65_536), ("2 mib", 2 << 20), (None, None)]
)
def test_sizes(text: str | None, size: int | None) -> None:
    assert parse_bytes(text, "--budget-flash") == size


@pytest.mark.parametrize("text", ["", "MB", "1.5.2MB", "3 parsecs", "-1KB"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(OstinatoError, match="--budget-flash"):
        parse_bytes(text, "--budget-flash")
