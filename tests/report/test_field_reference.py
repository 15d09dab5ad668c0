from __future__ import annotations

import json
import re
from pathlib import Path

from report_samples import sample_report

from ostinato.report import Report
from ostinato.report.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "report.md"


def test_the_documentation_is_what_the_code_says():
    assert reference() in PAGE.read_text(encoding="utf-8"), "run python -m ostinato.report.reference for its new text"


def test_every_field_of_a_report_is_in_the_documentation():
    names = set(re.findall(r'"([a-z0-9_]+)":', json.dumps(json.loads(sample_report().to_json()))))
    documented = set(re.findall(r"^\| `([a-z0-9_]+)`", reference(), flags=re.MULTILINE))
    assert names == documented


def test_the_example_in_the_documentation_is_a_report():
    (example,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    report = Report.from_json(example)
    assert report.rows
    assert report.rows[0].layers
