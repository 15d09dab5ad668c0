"""The programs behind the papers' page, each on a handful of digits with a network that knows nothing."""

import argparse
import copy
import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

import dr_table2
import earlier
import everything
import fragments
import gr_fig16
import gr_table3
import gr_table4
import gr_table5
import page
import pytest
import theirs
import torch
import trec_table2
import trec_table3
from fragments import Bench

from ostinato import data, models
from ostinato.errors import DataError, OstinatoError
from short_training import few

SETTINGS = {
    "trec_table2": {"images": 4, "draws": 2, "calibration": 8, "epochs": 0, "boards": "stm32f469i"},
    "trec_table3": {"images": 4, "calibration": 8},
    "gr_table3": {"calibration": 8},
    "gr_table4": {"images": 6, "outside": 6, "calibration": 8},
    "gr_table5": {"images": 4, "size": 60, "train": 16, "epochs": 1, "calibration": 8},
    "gr_fig16": {"images": 4, "calibration": 8, "boards": "stm32f469i"},
    "dr_table2": {"images": 1},
}
DEVICE = {
    "int8_top1": 0.5,
    "boards": {"stm32f469i": {
        "cycles": 180_000, "ms": 1.0, "sram_bytes": 1024, "flash_bytes": 2048,
        "layers": {name: {"kernel": "k", "cycles": 90_000, "phases": {"gemm": 60_000, "other": 30_000}}
                   for name in ("conv1", "conv2", "fc1")},
    }},
}  # fmt: skip
"""Stands for deployments, which other tests make: compilers take longer than all the rest here."""


@pytest.fixture(scope="module")
def given():
    torch.manual_seed(0)
    digits = few(data.load("digits"), 32)
    return Bench("cifarnet-digits", "cifarnet", models.create("cifarnet").eval(), digits)


@pytest.fixture(scope="module")
def undeployed():
    """What deployments were asked for, none of which is made."""
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        for program in (trec_table2, trec_table3, gr_table3, gr_table5, gr_fig16):
            patch.setattr(program, "on_device", lambda *given, **options: asked.append(options) or DEVICE)
        yield asked


def small(name):
    return argparse.Namespace(**SETTINGS[name])


def fragment(made, numbers):
    """As `reproduce` writes it and `page` reads it."""
    origin = {"name": made.name, "network": "cifarnet-digits", "quick": True, "command": "c", "commit": "abc",
              "machine": "m", "seconds": 1.0, "cpu_seconds": 1.0, "settings": SETTINGS[made.name]}  # fmt: skip
    return json.loads(json.dumps({**origin, **numbers}))


@pytest.fixture(scope="module")
def measured_once(given, undeployed):
    numbers = {
        "trec_table2": trec_table2.measure(given, small("trec_table2")),
        "trec_table3": trec_table3.measure(given, small("trec_table3")),
        "gr_table3": gr_table3.measure(given, small("gr_table3")),
        "gr_table4": gr_table4.compare(given, small("gr_table4"), given.dataset.train.images[:6]),
        "gr_table5": gr_table5.measure(given, small("gr_table5")),
        "gr_fig16": gr_fig16.measure(given, small("gr_fig16")),
        "dr_table2": alexnet(),
    }
    return {made.name: fragment(made, numbers[made.name]) for made in everything.REPRODUCTIONS}


@pytest.fixture
def measured(measured_once):
    return copy.deepcopy(measured_once)


def alexnet():
    torch.manual_seed(0)
    network = models.create("alexnet", num_classes=10, image_size=67, hidden=16).eval()
    return dr_table2.shapes(Bench("alexnet", "alexnet", network, few(data.load("digits"), 32)), 1, 67)


def test_what_is_measured_is_what_the_sections_say(measured, undeployed):
    table2 = measured["trec_table2"]
    for scope in ("batch", "image"):
        assert len(table2["rows"][f"Deep Reuse, {scope} scope"]["runs"]) == 2
        assert len(table2["rows"][f"TREC, {scope} scope"]["runs"]) == 1
    assert "device" not in table2["rows"]["TREC, batch scope"]  # which no device can have
    batch, image = (table2["rows"][f"Deep Reuse, {scope} scope"]["runs"][0]["r_t"] for scope in ("batch", "image"))
    assert 0 < image < batch < 1
    layers = measured["trec_table3"]["layers"]
    assert list(layers) == ["conv1", "conv2"]
    assert layers["conv1"]["batch"]["trec"]["r_t"] > layers["conv1"]["image"]["trec"]["r_t"]
    for row in measured["gr_table4"]["rows"].values():
        assert (row["inside"], row["outside"], row["threshold"]) == (6, 6, 0.7)
    pruned = measured["gr_table5"]
    assert 0 < pruned["size"] <= 0.6
    macs = [row["macs"] for row in pruned["rows"].values()]
    assert macs[0] > macs[1] > 0
    assert macs[2] is None
    assert {"real", "power_of_two"} <= {options.get("scales") for options in undeployed}
    assert "cmsis" in {options.get("kernel") for options in undeployed}


def test_the_page_has_every_reproduction_and_says_what_is_missing(measured):
    text = page.text({name: [f] for name, f in measured.items()}, "../", "papers/")
    for made in everything.REPRODUCTIONS:
        f = measured[made.name]
        assert made.ours(f) in text
        assert made.difference(f) in text.replace("\n", " ")
        assert f"](#{page.anchor(made, f)})" in text
        assert "Reduced (`--quick`)" in page.details(made, f, "papers/")
    for one in earlier.MISSING:
        assert f"not yet reproduced: {one.why}" in text
    headings = re.findall(r"^### (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    assert {page.anchor(made, measured[made.name]) for made in everything.REPRODUCTIONS} == slugs
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            assert line.count(" | ") >= 2


def test_without_fragments_nothing_is_claimed():
    text = page.text({}, "", "papers/")
    assert text.count("not yet reproduced: not run yet") == sum(len(m.networks) for m in everything.REPRODUCTIONS)
    assert "## In detail\n" in text


def test_a_layer_that_does_not_fit_is_said_not_to(measured):
    f = measured["gr_table3"]
    f["devices"]["image scope"] = {"boards": {"stm32f469i": {"problem": "too large"}}}
    assert "does not fit" in gr_table3.section(f)
    assert "does not fit" in gr_table3.ours(f)
    f = measured["trec_table2"]
    f["rows"]["TREC, image scope"]["device"] = {"boards": {"stm32f469i": {"problem": "too large"}}}
    assert "does not fit" in trec_table2.section(f)


def test_phases_are_milliseconds_that_add_up(measured):
    found = gr_table3.phases(measured["gr_table3"], "image scope", "conv1")
    assert found == pytest.approx([0, 0, 1 / 3, 0, 1 / 6])  # 60,000 and 30,000 of 180,000 cycles in 1 ms


def test_the_formula_of_the_paper():
    assert dr_table2.printed_saving(15, 11, 0.13, 64) == pytest.approx(64 / (15 + 0.13 * 64 + 64 / 11))


def test_settings_come_from_the_command_line_over_quick_over_full(given, tmp_path, monkeypatch):
    made = dataclasses.replace(
        gr_table4.TABLE4, bench=lambda *_: given,
        measure=lambda bench, s: {"seen": vars(s), "seeds": "0"},
    )  # fmt: skip
    monkeypatch.setenv("OSTINATO_DATA", str(tmp_path))
    fragments.main(made, ["--quick", "--images", "7", "--networks", "a", "--out", str(tmp_path)])
    f = json.loads((tmp_path / "gr_table4-a.json").read_text())
    assert f["seen"] == f["settings"] == {**made.quick, "images": 7}
    assert f["command"].endswith("--networks a --images 7 --outside 200 --calibration 200")
    assert str(tmp_path) not in json.dumps(f)
    fragments.main(made, ["--networks", "a", "--out", str(tmp_path)])
    assert json.loads((tmp_path / "gr_table4-a.json").read_text())["seen"] == dict(made.full)


def test_quick_results_never_go_to_the_committed_page(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = dataclasses.replace(gr_table4.TABLE4, bench=lambda *_: given, measure=lambda *_: {"seeds": "0"})
    path = fragments.reproduce(made, "a", SimpleNamespace(quick=True, data_root="x", out=None))
    assert path.parent == Path("runs/results-quick/papers")
    assert path.exists()


def test_what_a_user_can_put_right_is_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match="no trained network of this name"):
        fragments.main(gr_table4.TABLE4, ["--data-root", str(tmp_path), "--networks", "cifarnot"])
    with pytest.raises(DataError, match="no parquet file"):
        gr_table4.strangers(tmp_path, 32, 1)
    with pytest.raises(OstinatoError):
        fragments.bench("cifarnet-cifar10", tmp_path)


def test_the_papers_layers_are_the_networks():
    for name, layers in theirs.TREC_TABLE3.items():
        network = models.create(name)
        convolutions = [n for n, m in network.named_modules() if isinstance(m, torch.nn.Conv2d)]
        assert set(layers) == set(convolutions)
        assert set(theirs.GR_TABLE3[name]) <= set(layers)
    for name, rows in theirs.DR_TABLE2.items():
        network = models.create(name, image_size=67, hidden=16)
        assert len(rows) == sum(isinstance(m, torch.nn.Conv2d) for m in network.modules())
