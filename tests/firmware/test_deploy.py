from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from random_networks import NetworkBuilder
from torch import nn

from ostinato.data import ImageDataset, Split
from ostinato.errors import BoardError, DataError, ToolchainError, UnsupportedError
from ostinato.firmware import Firmware, builds, deploy, deploy_graph
from ostinato.firmware import deploy as deploy_function
from ostinato.firmware.select import bind
from ostinato.quant.accuracy import top1
from ostinato.quant.ops import QConv2d, QUnaryOp


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(72, 4),
    ).eval()


def dataset() -> ImageDataset:
    generator = torch.Generator().manual_seed(1)

    def split(n: int) -> Split:
        images = torch.randint(0, 256, (n, 3, 10, 10), dtype=torch.uint8, generator=generator)
        return Split(images, torch.randint(0, 4, (n,), generator=generator))

    return ImageDataset("noise", ("a", "b", "c", "d"), split(40), split(10), split(30))


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    return deploy(model(), dataset(), out_dir=tmp_path_factory.mktemp("fw") / "out", name="tiny")


def test_a_dataset_gives_input_scale_and_classes(firmware: Firmware) -> None:
    assert (firmware.graph.input.scale, firmware.graph.input.zero_point) == (1 / 128, 0)
    assert firmware.graph.classes == ("a", "b", "c", "d")
    assert (firmware.project_dir / "model.c").exists()


def test_evaluate_is_the_executors_accuracy(firmware: Firmware) -> None:
    test = dataset().test
    from ostinato.data import to_input

    expected = top1(firmware.graph, to_input(test.images), test.labels)
    assert firmware.evaluate(test) == expected
    assert firmware.evaluate(test.images, test.labels) == expected
    assert 0 < expected < 1


def test_images_in_every_form_are_the_same_input(firmware: Firmware) -> None:
    from ostinato.data import to_input

    images = dataset().test.images[:2]
    int8 = (images.permute(0, 2, 3, 1).to(torch.int16) - 128).to(torch.int8).numpy()
    logits = firmware.simulate(int8).logits
    for form in (images, to_input(images), Split(images, torch.zeros(2, dtype=torch.int64))):
        assert np.array_equal(firmware.simulate(form).logits, logits)
    assert np.array_equal(firmware.simulate(int8[0]).logits, logits[:1])
    assert np.array_equal(firmware.simulate(images[0]).logits, logits[:1])


def test_a_report_of_many_images_is_their_mean(firmware: Firmware) -> None:
    images = dataset().test.images[:3]
    each = [firmware.simulate(image).cycles for image in images]
    together = firmware.simulate(images)
    assert together.images == 3
    assert abs(together.cycles - sum(each) / 3) <= 5 * len(together.layers)
    assert together.cycles == sum(layer.cycles for layer in together.layers)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 3, 9, 9),
        torch.zeros(1, 3, 10, 10, dtype=torch.int32),
        torch.full((1, 3, 10, 10), float("nan")),
        torch.zeros(0, 3, 10, 10),
        np.zeros((1, 10, 10, 3), np.float32),
        np.zeros((1, 3, 10, 10), np.int8),
        np.zeros((0, 10, 10, 3), np.int8),
    ],
)
def test_images_of_another_kind_are_refused(firmware: Firmware, images: object) -> None:
    with pytest.raises(DataError):
        firmware.simulate(images)  # type: ignore[arg-type]


def test_accuracy_needs_labels(firmware: Firmware) -> None:
    images = dataset().test.images
    with pytest.raises(DataError, match="labels"):
        firmware.evaluate(images)
    with pytest.raises(DataError, match="30 images but 2 labels"):
        firmware.evaluate(images, [0, 1])


def test_a_temporary_project_goes_with_its_firmware() -> None:
    net = NetworkBuilder((4, 4, 3), seed=0).linear("head", 2)
    temporary = deploy_graph(net.graph(), net.images(1), verify_images=0)
    folder = temporary.project_dir
    assert (folder / "README.md").exists()
    del temporary
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"board": "arduino"}, BoardError),
        ({"kernel": "fast"}, UnsupportedError),
        ({"toolchain": "tcc"}, ToolchainError),
        ({"calibration": torch.zeros(3, 10, 10)}, DataError),
        ({"calibration": torch.zeros(1, 3, 10, 10, dtype=torch.uint8)}, DataError),
    ],
)
def test_bad_arguments_are_refused_and_leave_nothing(
    tmp_path: Path, arguments: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        deploy_function(model(), **{"calibration": dataset(), "out_dir": tmp_path / "out", **arguments})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_failure_in_the_middle_leaves_the_old_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = NetworkBuilder((4, 4, 3), seed=0).linear("head", 2)
    out = tmp_path / "out"
    deploy_graph(net.graph("old"), net.images(1), out_dir=out, verify_images=0)

    def fail(*_: object, **__: object) -> Path:
        raise ToolchainError("the disk is full")

    monkeypatch.setattr(builds, "compile_firmware", fail)
    with pytest.raises(ToolchainError):
        deploy_graph(net.graph("new"), net.images(1), out_dir=out, verify_images=0)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert Firmware.load(out).graph.name == "old"


def test_operators_without_a_kernel_are_named() -> None:
    tensor = NetworkBuilder((4,), seed=0).input
    with pytest.raises(UnsupportedError, match="Layer odd"):
        bind(QUnaryOp(name="odd", input=tensor, output=tensor))


def test_kernels_are_chosen_by_operator_and_request() -> None:
    op = NetworkBuilder((6, 6, 3), seed=0).conv("c", 4).ops[0]
    assert isinstance(op, QConv2d)
    assert bind(op, "dense").kernel != bind(op, "cmsis").kernel


SANITIZED = """
import sys
from pathlib import Path
from ostinato.firmware import Firmware
from ostinato.firmware.host import HostNetwork
firmware = Firmware.load(sys.argv[1])
host = HostNetwork(firmware._builder.host_library(sanitize=True), firmware.graph, firmware.project.plan.arena_bytes)
print(host.predict_int8(firmware.samples).tobytes().hex())
"""


def test_generated_c_has_no_undefined_behaviour_on_the_host(tmp_path: Path) -> None:
    net = NetworkBuilder((9, 9, 3), seed=6).conv("conv", 6, padding=(1, 1)).pool("pool")
    net.reuse_image("image", 16, length=9, hashes=3, padding=(1, 1)).reuse_compiled("compiled", 16, length=8, hashes=4)
    images = net.images(3)
    firmware = deploy_graph(net.linear("head", 4).graph(), images, out_dir=tmp_path / "out", verify_images=0)
    child = subprocess.run(
        [sys.executable, "-c", SANITIZED, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr  # a trap would be SIGILL
    assert child.stdout.strip() == firmware.predict_int8(images).tobytes().hex()
