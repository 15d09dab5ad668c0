"""The Python of every tutorial runs as it stands on the page, but for the sizes that its comments name."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ostinato.targets import BOARDS

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
SMALLER = re.compile(r'<!-- in tests: "(.+)" is "(.+)" -->')
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_of(page: Path) -> str:
    """All Python blocks of a page, one after the other, at the lines where the page has them."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for i, line in enumerate(block.group(1).splitlines()):
            lines[first + i] = line
    code = "\n".join(lines)
    for before, after in SMALLER.findall(text):
        before, after = (part.replace('\\"', '"') for part in (before, after))
        assert before in code, f"{page.name} replaces {before!r}, which it does not have"
        code = code.replace(before, after)
    return code


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "tests" / "report")])
    known = dict(BOARDS)
    from report_samples import sample_report

    names: dict[str, Any] = {"__name__": "tutorial", "sample_report": sample_report}
    torch.manual_seed(0)
    try:
        exec(compile(python_of(page), str(page), "exec"), names)
    finally:
        BOARDS.clear()
        BOARDS.update(known)


def test_every_tutorial_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert TUTORIALS
    assert all(f"tutorials/{page.name}" in navigation for page in TUTORIALS)
