"""The scripts that reproduce figures of the papers, each on a handful of digits with a network that knows nothing."""

import dataclasses
import json
import re
import sys

import pytest
import torch

import batch_size
import cluster_reuse
import figures
import gaussian_width
import hash_parameters
import similarity
from figures import Setup
from ostinato import data, models
from ostinato.data import Split
from ostinato.training import save_model
from short_training import few


@pytest.fixture(scope="module")
def setup():
    torch.manual_seed(0)
    return Setup(models.create("cifarnet").eval(), data.load("digits"), 0)


def twice(split, images):
    """The same images in two batches."""
    few = split.take(torch.arange(images).numpy())
    return Split(torch.cat([few.images] * 2), torch.cat([few.labels] * 2))


def test_what_a_first_batch_computed_a_second_one_with_the_same_images_reuses(setup):
    found = cluster_reuse.compare(setup.network, twice(setup.dataset.test, 3), 3)
    for layer in found["layers"].values():
        assert layer["reuse_rate"] == layer["cluster_reuse_rate"] == [0.0, 1.0]
        assert layer["cached_ids"][0] == layer["cached_ids"][1] > 0
        assert 0 < layer["r_c_batch_scope"] < 1


def test_new_images_are_reused_in_part(setup):
    found = cluster_reuse.reuse_by_batch(setup.network, "conv2", setup.test(6), 3)
    assert 0 < found["cluster_reuse_rate"][1] < found["reuse_rate"][1] < 1


TINY = similarity.Grid(
    lengths={"conv1": (25, 75), "conv2": (25, 1600)},
    clusters={(layer, scope): (1, 3) for layer in figures.LAYERS for scope in ("image", "batch")},
    hashes=(2, 4),
    seeds=(0,),
)


def test_remaining_ratios_are_clusters_over_vectors(setup):
    found = similarity.study(setup.network, setup.test(2), 2, TINY)
    for point in found["kmeans"]:
        rows = {"conv1": 784, "conv2": 100}[point["layer"]] * (2 if point["scope"] == "batch" else 1)
        assert point["r_c"] <= 2 ** point["H"] / rows + 1e-12
        if point["layer"] == "conv2" and point["scope"] == "image" and point["similarity"] == "euclidean":
            assert point["r_c"] > 1 / rows  # more than one cluster
    across = similarity.select(found["lsh"], scope="across_batches", layer="conv1", L=25)
    assert len(across) == 2
    assert {(row["claim"], row["layer"]) for row in found["claims"]} == set(similarity.PAPER)
    assert "| batch above image | conv1 | always |" in similarity.page({**found, "data": "digits"})


def test_an_advantage_is_the_mean_difference_over_what_two_curves_have_in_common():
    def curve(ratios, accuracies):
        return [{"r_c": r, "top1": a} for r, a in zip(ratios, accuracies, strict=True)]

    low = curve((0.01, 0.1, 1.0), (0.2, 0.4, 0.6))  # a straight line over log r_c
    high = curve((0.1, 1.0), (0.5, 0.7))
    assert similarity.advantage(high, low) == pytest.approx(0.1)
    assert similarity.advantage(low, high) == pytest.approx(-0.1)
    assert similarity.advantage(curve((0.001, 0.01), (0.1, 0.2)), high) is None


def test_redundancy_grows_with_the_batch_from_what_one_image_has(setup):
    split = setup.test(4)
    found = batch_size.by_batch(setup.network, split, (1, 2, 4), (0,))
    for layer, (length, hashes) in batch_size.CONFIGURATIONS.items():
        ratios = [point["r_t"][0] for point in found["layers"][layer]["points"]]
        assert ratios == sorted(ratios)
        image = figures.Pattern(length, hashes, "c.kh.kw", "image", "layer", gradient="frozen")
        _, stats = figures.reused(setup.network, layer, image, split, 4)
        assert ratios[0] == pytest.approx(stats.r_t)


def test_a_static_width_that_is_the_dynamic_one_has_its_gradient(setup):
    norms = [
        gaussian_width.gradient_norms(setup.network, setup.dataset.train, 4, sigma, 1) for sigma in ("dynamic", 1 / 80)
    ]
    assert norms[0] == norms[1] != [0.0]


def test_both_widths_are_trained_from_the_same_network(setup):
    before = {name: tensor.clone() for name, tensor in setup.network.state_dict().items()}
    found = gaussian_width.study(setup, 4, setup.test(4), 1, (3,), 1)
    assert [(point["sigma"], point["H"]) for point in found["points"]] == [("dynamic", 3), ("static", 3)]
    assert found["points"][0]["norm"] != found["points"][1]["norm"]
    for name, tensor in setup.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert "at H > 12" in gaussian_width.page({**found, "data": "digits"})


def test_sweeps_share_the_setting_that_they_have_in_common(setup):
    sweeps = hash_parameters.Sweeps((2, 3), {"conv1": (25,), "conv2": (10, 50)}, 3, (0, 1))
    found = hash_parameters.study(setup, sweeps, 4, setup.test(4), 1)
    at = {(p["layer"], p["sweep"], p["L"], p["H"]): p for p in found["points"]}
    assert len(found["points"]) == 7
    for name in ("deep_reuse", "trec", "weights_only"):
        assert at["conv2", "H", 10, 3][name] == at["conv2", "L", 10, 3][name]
    assert at["conv1", "H", 5, 3]["deep_reuse_r_t"] <= at["conv1", "H", 5, 2]["deep_reuse_r_t"]
    assert "rises with H" in hash_parameters.page({**found, "data": "digits"})


def run(monkeypatch, script, *arguments):
    monkeypatch.setattr(sys, "argv", [f"benchmarks/{script.__name__}.py", *arguments])
    script.main()


@pytest.fixture
def folder(setup, tmp_path):
    """A trained network as `ostinato run` leaves it."""
    meta = {"model": "cifarnet", "kwargs": {"num_classes": 10, "image_size": 32}, "patterns": {}}
    meta |= {"classes": list(setup.dataset.classes), "dataset": "digits", "seed": 0}
    save_model(tmp_path / "network" / "model.pt", setup.network, meta=meta)
    return tmp_path / "network"


def test_a_run_writes_page_numbers_and_drawing_and_draws_them_again(monkeypatch, tmp_path, folder):
    out = tmp_path / "out"
    given = ("--network", str(folder), "--out", str(out), "--images", "4", "--data-dir", "/somewhere/private")
    run(monkeypatch, batch_size, *given)
    page, drawing = out / "batch-size-digits.md", out / "figures" / "batch-size-digits.png"
    written = page.read_bytes(), drawing.read_bytes()
    assert written[1].startswith(b"\x89PNG")
    text = written[0].decode()
    assert "](figures/batch-size-digits.png)" in text
    assert "/somewhere/private" not in text + (out / "batch-size-digits.json").read_text()
    for origin in ("command", "commit", "seeds", "machine"):
        assert re.search(rf"^\* {origin}: .", text, re.MULTILINE)
    page.write_text("lost")
    drawing.unlink()
    run(monkeypatch, batch_size, "--out", str(out), "--redraw")
    assert (page.read_bytes(), drawing.read_bytes()) == written


@pytest.mark.parametrize("script", [similarity, cluster_reuse, gaussian_width, hash_parameters])
def test_every_figure_is_drawn_from_what_its_json_holds(script, setup):
    numbers = json.loads(json.dumps({"data": "digits", **NUMBERS[script](setup)}))
    assert script.drawing(numbers).startswith(b"\x89PNG")
    assert script.page(numbers).count("| --- |") >= 1


NUMBERS = {
    similarity: lambda setup: similarity.study(setup.network, setup.test(1), 1, TINY),
    cluster_reuse: lambda setup: cluster_reuse.compare(setup.network, setup.test(2), 1),
    gaussian_width: lambda setup: gaussian_width.study(setup, 2, setup.test(2), 1, (2, 13), 1),
    hash_parameters: lambda setup: hash_parameters.study(
        setup, hash_parameters.Sweeps((2,), {"conv1": (75,), "conv2": (200,)}, 2, (0,)), 2, setup.test(2), 1
    ),
}


def test_a_network_of_other_data_is_refused_in_a_sentence(monkeypatch, folder):
    with pytest.raises(SystemExit, match=r"was trained on digits; say --data digits"):
        run(monkeypatch, batch_size, "--network", str(folder), "--data", "cifar10")


def test_without_a_network_one_is_trained_once(monkeypatch, tmp_path, setup):
    monkeypatch.setattr(figures, "RUNS", tmp_path)
    options = figures.parser("", images=4).parse_args(["--epochs", "1"])
    made = []
    for part in (setup.dataset.train, setup.dataset.test):  # other images would train another network
        loaded = few(dataclasses.replace(setup.dataset, train=part), 16)
        monkeypatch.setattr(figures.data, "load", lambda *_, loaded=loaded, **__: loaded)
        made.append(figures.prepare(options).network)
    assert not made[0].training
    for name, tensor in made[0].state_dict().items():
        assert torch.equal(tensor, made[1].state_dict()[name]), name
    with pytest.raises(SystemExit, match="epochs"):
        figures.prepare(figures.parser("", images=4).parse_args(["--epochs", "2"]))
