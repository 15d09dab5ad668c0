from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from report_samples import reports, sample_report, with_external

from ostinato.errors import OstinatoError
from ostinato.report import Layer, Phases, Report, ReportError, Spread

ISSUE_FIELDS = {"network", "data", "board", "commit", "seed", "rows"}
ISSUE_ROW_FIELDS = {
    "method", "scope", "kernel", "top1_float", "top1_int8", "redundancy_ratio", "flops_remaining", "instructions",
    "cycles", "ms", "sram_bytes", "flash_bytes", "layers",
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(reports)
def test_json_round_trip(report: Report):
    text = report.to_json()
    assert Report.from_json(text) == report
    assert Report.from_json(text).to_json() == text


def test_file_round_trip_leaves_nothing_else(tmp_path):
    report = sample_report()
    path = tmp_path / "new" / "report.json"
    assert report.write(path) == path
    report.write(path)
    assert Report.read(path) == report
    assert list(path.parent.iterdir()) == [path]


def test_stable_interface_alone_suffices():
    """A file with no field beyond the interface's own is a report, baselines included."""
    document = json.loads(sample_report().to_json())
    document = {name: value for name, value in document.items() if name in ISSUE_FIELDS | {"schema_version"}}
    for row in document["rows"]:
        for name in set(row) - ISSUE_ROW_FIELDS:
            del row[name]
        for layer in row["layers"]:
            del layer["pattern"], layer["redundancy_ratio"]
    report = Report.from_json(json.dumps(document))
    assert report.cmsis_style is report.rows[0]
    assert report.best_dense is report.rows[1]


def change(document, path: list, value):
    for step in path[:-1]:
        document = document[step]
    if value is ...:
        del document[path[-1]]
    else:
        document[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["rows", 2, "cycles"], "9", "rows[2].cycles: expected int, found str"),
        (["rows", 2, "cycles"], 9.0, "rows[2].cycles: expected int, found float"),
        (["rows", 2, "cycles"], True, "rows[2].cycles: expected int, found bool"),
        (["rows", 1, "layers", 0, "phases", "gemm"], None, "rows[1].layers[0].phases.gemm: expected int, found null"),
        (["rows", 1, "layers", 0, "phases"], 7, "rows[1].layers[0].phases: expected an object, found int"),
        (["rows", 1, "layers", 0, "kernel"], ..., "rows[1].layers[0].kernel: missing field"),
        (["rows", 0, "layers"], {}, "rows[0].layers: expected a list, found an object"),
        (["rows"], ..., "rows: missing field"),
        (["rows", 0, "top1_flaot"], 0.5, "rows[0].top1_flaot: unknown field; known: method"),
        (["rows", 0, "top1_float"], 77.0, "rows[0].top1_float: expected a number from 0 to 1, found 77"),
        (["rows", 0, "sram_bytes"], -1, "rows[0].sram_bytes: expected a number of at least 0, found -1"),
        (["rows", 0, "ms"], None, "rows[0].ms: must be null exactly where cycles is"),
        (["rows", 0, "ms"], 3.0, "rows[0].ms: 3 is not cycles over clock_hz"),
        (["rows", 0, "cycles"], 10, "rows[0].layers: cost"),
        (["rows", 0, "layers", 1, "cycles"], 10, "rows[0].layers[1].phases: add up to"),
        (["rows", 0, "layers", 1, "name"], "conv1", "rows[0].layers[1].name: layer 'conv1' occurs twice"),
        (["rows", 1, "kernel"], "cmsis-style", "rows[1]: a second conventional row with kernel 'cmsis-style'"),
        (["rows", 3, "top1_int8_spread", "seeds"], 0, "rows[3].top1_int8_spread.seeds: expected a number of at least"),
        (["schema_version"], 99, "schema_version: this ostinato reads version 1, not 99"),
        (["schema_version"], ..., "schema_version: missing field"),
        (["schema_version"], "1", "schema_version: expected int, found str"),
        (["network"], None, "network: expected str, found null"),
        (["network"], "\ud800", "network: is not valid Unicode"),
        (["notes"], ["fine", 3], "notes[1]: expected str, found int"),
        (["wall_seconds"], 10**400, "wall_seconds: the number is too large"),
    ],
)
def test_wrong_fields_are_named(path, value, message):
    document = json.loads(sample_report().to_json())
    change(document, path, value)
    with pytest.raises(ReportError) as caught:
        Report.from_json(json.dumps(document))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "expected a report (a JSON object), found a list"),
        ("null", "found null"),
        ('{"schema_version": NaN}', "not JSON: it has the number NaN"),
        ('{"seed": 1, "seed": 2}', "'seed' occurs twice"),
        ("[" * 100_000, "not a report"),
        ("9" * 10_000, "not a report"),
    ],
)
def test_corrupt_text_is_refused(text, message):
    with pytest.raises(ReportError) as caught:
        Report.from_json(text)
    assert message in str(caught.value)


def test_every_truncation_is_refused():
    text = sample_report().to_json().rstrip()
    for end in range(0, len(text), 97):
        with pytest.raises(ReportError):
            Report.from_json(text[:end])


def test_unreadable_files_are_refused(tmp_path):
    path = tmp_path / "report.json"
    with pytest.raises(OstinatoError, match=r"cannot read .*report\.json: No such file"):
        Report.read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ReportError, match="not UTF-8"):
        Report.read(path)
    path.write_text("{}")
    with pytest.raises(ReportError, match=r"report\.json: schema_version: missing field"):
        Report.read(path)


def test_bytes_and_waits_of_external_flash_agree(tmp_path):
    report = with_external(sample_report())
    assert Report.read(report.write(tmp_path / "report.json")) == report
    row, layer = report.rows[-1], report.rows[-1].layers[-1]
    with pytest.raises(ReportError, match="external_bytes: is 5, but the layers have 1,228,800 together"):
        dataclasses.replace(row, external_bytes=5)
    with pytest.raises(ReportError, match="external_wait_cycles: is 5, but the layers have"):
        dataclasses.replace(row, external_wait_cycles=5)
    with pytest.raises(ReportError, match=r"external_wait_cycles: is [0-9,]+, but nothing is in external flash"):
        dataclasses.replace(layer, external_bytes=0)
    with pytest.raises(ReportError, match=r"external_wait_cycles: is [0-9,]+, more than all"):
        dataclasses.replace(layer, external_wait_cycles=layer.cycles + 1)


def test_construction_checks_too():
    with pytest.raises(ReportError, match="cycles: expected int, found float"):
        Layer(name="a", kernel="b", cycles=1.5, instructions=1, phases=Phases())
    with pytest.raises(ReportError, match="minimum: is above the maximum"):
        Spread(minimum=0.6, maximum=0.5, seeds=2)
    for bad in (math.nan, math.inf):
        with pytest.raises(ReportError, match="wall_seconds: expected a finite number"):
            sample_report(wall_seconds=bad)


def test_numpy_scalars_are_numbers():
    phases = Phases(gemm=np.int64(5))
    assert type(phases.gemm) is int
    layer = Layer(name="a", kernel="b", cycles=np.int32(5), instructions=1, phases=phases,
                  redundancy_ratio=np.float32(0.5))  # fmt: skip
    assert type(layer.redundancy_ratio) is float
    with pytest.raises(ReportError, match="gemm: expected int, found bool"):
        Phases(gemm=np.bool_(True))


def test_an_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    sample_report().write(path)
    before = path.read_bytes()

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space"):
        sample_report(seed=1).write(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
