"""The programs behind the papers' page, each on a handful of digits with a network that knows nothing."""

import argparse
import copy
import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

import dr_table1
import dr_table2
import dr_table3
import dr_table4
import dr_table5
import earlier
import everything
import fragments
import gr_fig15
import gr_fig16
import gr_table3
import gr_table4
import gr_table5
import hosts
import page
import perforation
import pytest
import theirs
import torch
import trec_fig7
import trec_table1
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
    "trec_table1": {"images": 4},
    "trec_fig7": {"epochs": 1, "train": 16, "images": 8, "probe": 8},
    "gr_fig15": {"images": 4, "calibration": 8, "seen": 2, "epochs": 1, "train": 8},
    "dr_table1": {},
    "dr_table3": {"images": 4, "held": 4, "draws": 2, "tolerance": 0.005, "epochs": 1, "train": 8},
    "dr_table4": {"images": 4, "held": 4, "saving": 2.0, "tolerance": 0.005, "tune": 1, "epochs": 1, "train": 8},
    "dr_table5": {"images": 4, "held": 4, "tune": 1, "epochs": 1, "train": 8},
}
BLOCKS = tuple(f"layer{i}.{j}.conv{k}" for i in (1, 2, 3, 4) for j in (0, 1) for k in (1, 2))
"""ResNet-18's."""
DEVICE = {
    "int8_top1": 0.5,
    "boards": {"stm32f469i": {
        "cycles": 180_000, "ms": 1.0, "sram_bytes": 1024, "flash_bytes": 2048,
        "layers": {name: {"kernel": "k", "cycles": 90_000, "phases": {"gemm": 60_000, "other": 30_000}}
                   for name in ("conv1", "conv2", "fc1", *BLOCKS)},
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
        for program in (trec_table2, trec_table3, gr_table3, gr_table5, gr_fig15, gr_fig16):
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
        "trec_table1": trec_table1.measure(given, small("trec_table1")),
        "trec_fig7": trec_fig7.measure(given, small("trec_fig7")),
        "gr_fig15": resnet(),
        "dr_table1": dr_table1.measure(dr_table1.bench("shapes", Path()), small("dr_table1")),
    }
    known = dataclasses.replace(given, name="cifarnet-cifar10")  # so that it counts as trained
    for program in (dr_table3, dr_table4, dr_table5):
        numbers[program.__name__] = program.measure(known, small(program.__name__))
    return {made.name: fragment(made, numbers[made.name]) for made in everything.REPRODUCTIONS}


@pytest.fixture
def measured(measured_once):
    return copy.deepcopy(measured_once)


def alexnet():
    torch.manual_seed(0)
    network = models.create("alexnet", num_classes=10, image_size=67, hidden=16).eval()
    return dr_table2.shapes(Bench("alexnet", "alexnet", network, few(data.load("digits"), 32)), 1, 67)


def resnet():
    torch.manual_seed(0)
    network = models.create("resnet18", num_classes=10, image_size=32, width=1 / 16).eval()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gr_fig15, "trained", lambda given, _: given)
        return gr_fig15.measure(
            Bench("resnet18-cifar10", "resnet18", network, few(data.load("digits"), 32)), small("gr_fig15")
        )


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
        assert "Reduced (`--quick`)" in page.details(made, f, "papers/").replace("\n", " ")
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


def test_everything_keeps_what_is_there_and_writes_the_page_beside_it(given, tmp_path, monkeypatch, capsys):
    done, strange = [], given.dataset.train.images[:6]
    made = dataclasses.replace(
        gr_table4.TABLE4, networks=("a", "b"), bench=lambda *_: given,
        measure=lambda *_: done.append(1) or gr_table4.compare(given, small("gr_table4"), strange),
    )  # fmt: skip
    for module in (everything, page):
        monkeypatch.setattr(module, "REPRODUCTIONS", (made,))
    options = SimpleNamespace(quick=True, data_root="x", out=tmp_path / "papers")
    assert everything.run_all(options) == tmp_path / "README.md"
    text = (tmp_path / "README.md").read_text()
    assert "### GR Table 4, b" in text
    assert "(papers/gr_table4-b.json)" in text
    (tmp_path / "papers" / "gr_table4-b.json").unlink()
    everything.run_all(options)
    assert len(done) == 3
    assert "[2/2] GR Table 4, b" in capsys.readouterr().err


def test_what_a_user_can_put_right_is_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match="no trained network of this name"):
        fragments.main(gr_table4.TABLE4, ["--data-root", str(tmp_path), "--networks", "cifarnot"])
    with pytest.raises(DataError, match="no parquet file"):
        gr_table4.strangers(tmp_path, 32, 1)
    with pytest.raises(OstinatoError):
        fragments.bench("cifarnet-cifar10", tmp_path)


def test_the_papers_layers_are_the_networks():
    for name, layers in theirs.TREC_TABLE3.items():
        base, _, bypass = name.partition("-")
        network = models.create(base, **({"bypass": bypass} if bypass else {}))
        assert fragments.papers_name(network) == name
        convolutions = [n for n in hosts.convolutions(network) if "downsample" not in n]  # which is not in the table
        assert set(layers) == set(convolutions)
        assert set(theirs.GR_TABLE3.get(name, ())) <= set(layers)
    assert set(theirs.TREC_TABLE2) == set(theirs.TREC_TABLE3)
    for name, rows in theirs.DR_TABLE2.items():
        network = models.create(name, **({} if name == "cifarnet" else {"image_size": 67, "hidden": 16}))
        assert len(rows) == sum(isinstance(m, torch.nn.Conv2d) for m in network.modules())


def test_table_1_is_the_formula(measured):
    row = measured["trec_table1"]["layers"]["conv1"]
    n, k, m, length, hashes = (row[key] for key in ("N", "K", "M", "L", "H"))
    assert (n, k, m, length, hashes) == (28 * 28, 75, 64, 5, 15)
    printed = row["reuse"]["printed"]
    assert printed["parameters"] == k * m + length * hashes
    assert printed["flops"] == pytest.approx((hashes / m + 1 - 0.9429) * n * k * m)
    assert printed["all_flops"] > printed["flops"]
    assert row["hash_parameters"] == (length + 1) * hashes  # one matrix, and its thresholds


def test_fig_7_says_which_of_the_papers_claims_hold(measured):
    f = measured["trec_fig7"]
    for gradient in ("flip", "trec"):
        history = f["trainings"][gradient]
        assert len(history) == 1
        assert set(history[0]["mu"]) == {"conv1", "conv2"}
    rising = [{"mu": {"conv1": 0.1 * i, "conv2": 0.2 * i}} for i in (1, 2, 3)]
    falling = [{"mu": {"conv1": 0.5 - i, "conv2": 0.1 - i}} for i in (0, 1)]
    told = {**f, "trainings": {"flip": rising, "trec": falling}}
    assert trec_fig7.claims(told, "flip") == [True, True, True]
    assert trec_fig7.claims(told, "trec") == [False, False, False]
    assert list(trec_fig7.shown(20)) == [1, 4, 7, 9, 11, 14, 17, 19]
    assert list(trec_fig7.shown(3)) == [0, 1, 2]


def test_a_perforated_convolution_copies_the_nearest_kept_position():
    torch.manual_seed(0)
    conv, mask = torch.nn.Conv2d(2, 3, 3), torch.zeros(5, 7, dtype=torch.bool)
    for place in ((0, 1), (4, 4), (2, 6)):
        mask[place] = True
    x = torch.randn(2, 2, 7, 9)
    y, got = conv(x), perforation.Perforated(conv, mask)(x)
    for i in range(5):
        for j in range(7):
            distances = {(a, b): (a - i) ** 2 + (b - j) ** 2 for a, b in mask.nonzero().tolist()}
            least = min(distances.values())
            sources = [y[:, :, a, b] for (a, b), d in distances.items() if d == least]
            assert any(torch.equal(got[:, :, i, j], source) for source in sources)
    assert torch.equal(perforation.Perforated(conv, torch.ones(5, 7, dtype=torch.bool))(x), y)
    with pytest.raises(ValueError, match="must keep a position"):
        perforation.nearest(torch.zeros(2, 2, dtype=torch.bool))


def test_masks_keep_their_share():
    generator = torch.Generator().manual_seed(0)
    for kind in (perforation.uniform, perforation.grid):
        mask = kind(20, 20, 0.25, generator)
        assert int(mask.sum()) == 100
    lines = perforation.grid(20, 20, 0.25, generator)
    assert {int(n) for n in lines.sum(1)} == {0, 10}  # whole rows and columns
    impact = torch.arange(12.0).view(3, 4)
    assert perforation.strongest(impact, 0.25).flatten().tolist() == [False] * 9 + [True] * 3
    assert int(perforation.strongest(impact, 0.001).sum()) == 1


def test_impacts_are_gradient_times_output(given):
    images, labels = torch.randn(3, 3, 32, 32), torch.tensor([0, 1, 2])
    layers = hosts.convolutions(given.network)
    found = perforation.impacts(given.network, images, labels, layers)
    network = copy.deepcopy(given.network).eval()
    y = network.conv1(images).detach().requires_grad_(True)
    network.conv1.register_forward_hook(lambda *_: y)
    torch.nn.functional.cross_entropy(network(images), labels).backward()
    torch.testing.assert_close(found["conv1"], (y * y.grad).abs().sum(1).mean(0))
    assert not any(p.grad is not None for p in given.network.parameters())


def test_perforation_saves_what_its_masks_leave_out(measured):
    rows = measured["dr_table4"]["rows"]
    for name in ("uniform", "impact", "impact, greedy shares"):
        assert rows[f"perforated, {name}"]["saving"] == pytest.approx(2.0, rel=0.15)
    assert sum("tuned" in row for row in rows.values()) == 1


def test_compression_prunes_and_shares(measured):
    weight = torch.tensor([[3.0, -0.1], [0.2, -2.0]])
    assert dr_table5.pruned(weight, 0.5).tolist() == [[1, 0], [0, 1]]
    made = dr_table5.shared(torch.tensor([0.0, 1.0, 1.1, -2.0, 0.0, 5.0]), 3)
    assert made.tolist() == pytest.approx([0.0, 1.05, 1.05, -2.0, 0.0, 5.0])
    f = measured["dr_table5"]
    for name, density in f["density"].items():
        assert density == pytest.approx(dr_table5.DENSITY[name], abs=0.01)


def test_the_choice_is_the_greatest_saving_that_keeps_accuracy(given, monkeypatch):
    def one(network, split):
        (pattern,) = (layer.pattern for layer in hosts.reuse_layers(network).values())
        good = pattern.hashes == 10 or pattern.length == 3
        return SimpleNamespace(top1=1.0 if good else 0.0, saving=float(pattern.length))

    monkeypatch.setattr(hosts, "counted", one)
    monkeypatch.setattr(hosts, "evaluate", lambda *_: SimpleNamespace(top1=1.0))
    found = hosts.chosen(given, given.test(2), 0.005)
    assert (found["conv1"].pattern.length, found["conv1"].pattern.hashes) == (5, 10)
    assert (found["conv2"].pattern.length, found["conv2"].pattern.hashes) == (10, 10)
