from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from random_networks import NetworkBuilder
from torch import nn

import ostinato as ost
from ostinato.errors import CheckpointError, UnsupportedError
from ostinato.firmware import BitMismatchError, Firmware, VerificationReport, deploy_graph
from ostinato.firmware.host import HostNetwork
from ostinato.firmware.select import bind_all
from ostinato.firmware.verify import verify
from ostinato.quant import dequantize
from ostinato.quant.reference import execute

EXECUTIONS = ("integer executor", "C on the host", "simulated plain C", "simulated DSP code")


def network() -> NetworkBuilder:
    net = NetworkBuilder((8, 8, 3), seed=5).conv("first", 8)
    return net.reuse_compiled("second", 16, length=8, hashes=3).pool("pool").linear("head", 4)


def negate(project: Path, array: str) -> None:
    """Turn the sign of a whole constant in the generated C."""
    source = project / "weights.c"
    text = source.read_text()
    body = text.index("{", text.index(f" {array}[")) + 1
    end = text.index("};", body)
    values = np.array(text[body:end].split(","), dtype=np.int64)
    source.write_text(text[:body] + ", ".join(map(str, -values)) + text[end:])


def test_a_wrong_table_is_found_in_its_layer_and_place(tmp_path: Path) -> None:
    net = network()
    deploy_graph(net.graph(), net.images(4), out_dir=tmp_path / "out", verify_images=0)
    negate(tmp_path / "out", "second_table")
    damaged = Firmware.load(tmp_path / "out")
    report = damaged.verify(check=False)
    assert not report.agrees
    first = report.first_difference
    assert first is not None
    assert (first.layer, first.operator, first.image) == ("second", "QPooled", 0)
    by_name = {layer.name: layer for layer in report.layers}
    assert by_name["first"].differing == 0
    assert by_name["second"].differing > 0
    tensors = execute(damaged.graph, damaged.samples[0])
    assert tensors["pool"][first.position] == first.expected != first.found
    assert abs(first.expected - first.found) <= by_name["second"].largest_difference
    with pytest.raises(BitMismatchError, match=r"Layer second .*all layers before it agree") as caught:
        damaged.verify()
    assert caught.value.report == report
    text = str(report)
    assert "(first)" in text
    assert "Layer second" in text


def test_a_wrong_weight_is_found_by_all_three_executions(tmp_path: Path) -> None:
    net = network()
    deploy_graph(net.graph(), net.images(1), out_dir=tmp_path / "out", verify_images=0)
    source = tmp_path / "out" / "weights.c"
    text = source.read_text()
    start = text.index("head_bias[4] = {") + len("head_bias[4] = {")
    source.write_text(text[:start] + "900000 + " + text[start:].lstrip())
    report = Firmware.load(tmp_path / "out").verify(check=False)
    assert [layer.name for layer in report.layers if layer.differing] == ["head"]
    assert report.layers[-1].differing == 3  # the first logit, once in each of three executions of one image


def test_an_output_that_differs_from_its_trace_is_found() -> None:
    net = network()
    graph, images = net.graph(), net.images(1)

    def liar(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        tensors = execute(graph, image)
        outputs = np.concatenate([tensors[op.output.name].reshape(-1) for op in graph.ops])
        return tensors[graph.output.name] ^ np.int8(1), outputs

    report = verify(graph, bind_all(graph), images, {"liar": liar})
    assert report.first_difference is not None
    assert (report.first_difference.layer, report.first_difference.execution) == ("head", "liar")


def test_a_network_that_refuses_its_parameters_is_an_error(tmp_path: Path) -> None:
    net = network()
    firmware = deploy_graph(net.graph(), net.images(1), out_dir=tmp_path / "out", verify_images=0)
    source = tmp_path / "out" / "model.c"
    source.write_text(source.read_text().replace(".weights = first_weights", ".weights = NULL"))
    library = firmware._builder.host_library()
    host = HostNetwork(library, firmware.graph, firmware.project.plan.arena_bytes)
    with pytest.raises(RuntimeError, match="status -1"):
        host.predict_int8(net.images(1))


def model(width: int = 8) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, 1, 1),  # a layer of its own: the convolution does the one before
        nn.Conv2d(width, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 5),
    ).eval()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    images = torch.rand(12, 3, 12, 12, generator=torch.Generator().manual_seed(2)) * 2 - 1
    out = tmp_path_factory.mktemp("verified") / "out"
    return ost.deploy(model(), images, out_dir=out, input_scale=1 / 128, verify=True, verify_images=2)


def test_deploy_compares_every_layer_with_the_float_model(deployed: Firmware) -> None:
    report = deployed.verification
    assert report is not None
    assert report.agrees
    assert report.executions == EXECUTIONS
    assert [layer.name for layer in report.layers] == [op.name for op in deployed.graph.ops]
    # The first layer's error is its own; a layer's total cannot be told from its own, but int8 is near 40 dB.
    assert report.layers[0].snr_db == report.layers[0].own_snr_db
    for layer in report.layers:
        assert layer.snr_db is not None
        assert 20 < layer.snr_db < 70
    maximum = next(layer for layer in report.layers if layer.operator == "QMaxPool2d")
    assert maximum.own_snr_db == math.inf  # it moves bytes
    assert "exact" in str(report)


def test_the_ratio_is_that_of_the_logits(deployed: Firmware) -> None:
    assert deployed.verification is not None
    ints = deployed.samples[:2]
    images = torch.from_numpy(dequantize(ints, deployed.graph.input)).permute(0, 3, 1, 2)
    with torch.no_grad():
        exact = model().double()(images).numpy()
    found = dequantize(deployed.predict_int8(ints), deployed.graph.output)
    expected = 10 * math.log10(np.square(exact).sum() / np.square(exact - found).sum())
    assert deployed.verification.layers[-1].snr_db == pytest.approx(expected, abs=1e-4)


def test_the_report_is_stored_with_the_firmware(deployed: Firmware, tmp_path: Path) -> None:
    assert Firmware.load(deployed.project_dir).verification == deployed.verification
    copy = deployed.save(tmp_path / "copy")
    assert Firmware.load(copy).verification == deployed.verification
    (copy / "verification.json").write_text("{}")
    with pytest.raises(CheckpointError, match="verification"):
        Firmware.load(copy)


def test_no_verification_no_report(tmp_path: Path) -> None:
    images = torch.zeros(2, 3, 12, 12)
    firmware = ost.deploy(model(), images, out_dir=tmp_path / "out", verify=False)
    assert firmware.verification is None
    assert not (tmp_path / "out" / "verification.json").exists()
    assert Firmware.load(tmp_path / "out").verification is None


def test_a_document_survives_json(deployed: Firmware) -> None:
    assert deployed.verification is not None
    text = json.dumps(deployed.verification.to_dict(), allow_nan=False)
    assert VerificationReport.from_dict(json.loads(text)) == deployed.verification


def test_another_model_is_refused(deployed: Firmware) -> None:
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    with pytest.raises(UnsupportedError, match="compare with the model that was deployed"):
        deployed.verify(model=other)
