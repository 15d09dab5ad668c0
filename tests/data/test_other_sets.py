"""CIFAR-100, SVHN, Tiny-ImageNet and enlarged images: each layout in miniature, and how it can be broken."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from ostinato import data
from ostinato.data import cifar100, svhn
from ostinato.errors import DataError

RNG = np.random.default_rng(0)


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def pixels(count: int, side: int = 32) -> np.ndarray:
    return RNG.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def write_parquet(path: Path, images, labels, column="img", label="label", names=None) -> None:
    rows = [{"bytes": encoded(image), "path": None} for image in images]
    table = pa.table({column: rows, label: pa.array(labels, pa.int64())})
    if names is not None:
        features = {"info": {"features": {label: {"names": list(names), "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, path)


def contents(*splits: data.Split) -> list[tuple[bytes, int]]:
    return sorted((i.numpy().tobytes(), int(n)) for s in splits for i, n in zip(s.images, s.labels, strict=True))


def expected(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
    return sorted((i.transpose(2, 0, 1).tobytes(), int(n)) for i, n in zip(images, labels, strict=True))


# ---------------------------------------------------------------- CIFAR-100


@pytest.fixture
def hundred(monkeypatch):
    """CIFAR-100 with two training images and one test image of each class: {name: (pixels, labels)}."""
    monkeypatch.setattr(cifar100, "COUNTS", {"train": 200, "test": 100})
    return {
        "train": (pixels(200), RNG.permutation(np.repeat(np.arange(100), 2))),
        "test": (pixels(100), RNG.permutation(np.arange(100))),
    }


def write_cifar100(folder: Path, hundred, changes=None) -> None:
    folder.mkdir(exist_ok=True)
    for name, (images, labels) in hundred.items():
        content = {
            b"data": images.transpose(0, 3, 1, 2).reshape(len(images), -1).copy(),
            b"fine_labels": labels.tolist(),
            b"coarse_labels": [0] * len(images),
            b"filenames": [b"a"],
            b"batch_label": b"x",
        }
        (folder / name).write_bytes(pickle.dumps({**content, **(changes or {})}, 2))


@pytest.mark.parametrize("sub", ["", "cifar-100-python"])
def test_cifar100_as_pickles(hundred, tmp_path, sub):
    write_cifar100(tmp_path / sub, hundred)
    dataset = data.load("cifar100", tmp_path, valid_fraction=0.5)
    assert contents(dataset.train, dataset.valid) == expected(*hundred["train"])
    assert contents(dataset.test) == expected(*hundred["test"])
    assert (dataset.num_classes, dataset.classes[0], dataset.classes[99]) == (100, "apple", "worm")


def test_cifar100_as_parquet_with_the_hubs_misspelling(hundred, tmp_path):
    names = ["cra" if name == "crab" else name for name in cifar100.CLASSES]
    for name, (images, labels) in hundred.items():
        write_parquet(tmp_path / f"{name}.parquet", images, labels, label="fine_label", names=names)
    dataset = data.load("cifar100", tmp_path, valid_fraction=0.5)
    assert contents(dataset.test) == expected(*hundred["test"])


class Exploit:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({b"fine_labels": [0] * 3}, "'fine_labels' is not a list of 200 integers"),
        ({b"data": np.zeros((200, 3072), np.float32)}, "'data' is float32"),
        ({b"fine_labels": [100] * 200}, "labels run from 100"),
    ],
)
def test_broken_cifar100(hundred, tmp_path, changes, words):
    write_cifar100(tmp_path, hundred, changes)
    with pytest.raises(DataError, match=words):
        data.load("cifar100", tmp_path, valid_fraction=0.5)


def test_a_pickle_of_cifar100_cannot_run_code(hundred, tmp_path):
    write_cifar100(tmp_path, hundred, {b"filenames": Exploit(tmp_path / "hacked")})
    with pytest.raises(DataError, match="refers to"):
        data.load("cifar100", tmp_path, valid_fraction=0.5)
    assert not (tmp_path / "hacked").exists()


def test_incomplete_cifar100(hundred, tmp_path, monkeypatch):
    for name, (images, labels) in hundred.items():
        write_parquet(tmp_path / f"{name}.parquet", images, labels, label="fine_label")
    monkeypatch.setattr(cifar100, "COUNTS", {"train": 201, "test": 100})
    with pytest.raises(DataError, match="200 images, CIFAR-100 has 201"):
        data.load("cifar100", tmp_path, valid_fraction=0.5)


# ---------------------------------------------------------------- SVHN


@pytest.fixture
def house_numbers(monkeypatch):
    """SVHN with 40 and 20 digits; labels 1 ... 10 as its authors wrote them, 10 for the digit 0."""
    monkeypatch.setattr(svhn, "COUNTS", {"train": 40, "test": 20})
    return {
        "train": (pixels(40), RNG.permutation(np.repeat(np.arange(1, 11), 4))),
        "test": (pixels(20), RNG.permutation(np.repeat(np.arange(1, 11), 2))),
    }


def write_mat(folder: Path, house_numbers, **changes) -> None:
    for name, (images, numbers) in house_numbers.items():
        content = {"X": images.transpose(1, 2, 3, 0), "y": numbers[:, None].astype(np.uint8), **changes}
        savemat(folder / f"{name}_32x32.mat", {key: value for key, value in content.items() if value is not None})


def test_svhn_as_matlab_files(house_numbers, tmp_path):
    write_mat(tmp_path, house_numbers)
    dataset = data.load("svhn", tmp_path)
    images, numbers = house_numbers["train"]
    assert contents(dataset.train, dataset.valid) == expected(images, numbers % 10)
    assert dataset.classes == tuple("0123456789")
    assert not dataset.augmentation.flip  # a mirrored 2 is no 2


def test_svhn_as_parquet(house_numbers, tmp_path):
    (tmp_path / "cropped_digits").mkdir()
    for name, (images, numbers) in house_numbers.items():
        write_parquet(tmp_path / "cropped_digits" / f"{name}-0.parquet", images, numbers % 10, column="image")
    images, numbers = house_numbers["test"]
    assert contents(data.load("svhn", tmp_path).test) == expected(images, numbers % 10)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"X": np.zeros((32, 32, 3, 4), np.float64)}, "X is float64"),
        ({"X": np.zeros((3, 32, 32, 4), np.uint8)}, r"X is uint8 \(3, 32, 32, 4\)"),
        ({"y": np.zeros((40, 1), np.uint8)}, "expected 40 labels 1 ... 10"),
        ({"y": np.ones((3, 1), np.uint8)}, "expected 40 labels"),
        ({"y": None}, "has no X and y"),
    ],
)
def test_broken_svhn(house_numbers, tmp_path, changes, words):
    write_mat(tmp_path, house_numbers, **changes)
    with pytest.raises(DataError, match=words):
        data.load("svhn", tmp_path)


def test_damaged_and_missing_svhn(house_numbers, tmp_path):
    write_mat(tmp_path, house_numbers)
    (tmp_path / "test_32x32.mat").unlink()
    with pytest.raises(DataError, match=r"test_32x32\.mat is missing"):
        data.load("svhn", tmp_path)
    file = tmp_path / "train_32x32.mat"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DataError, match="not a readable MATLAB file"):
        data.load("svhn", tmp_path)


# ---------------------------------------------------------------- Tiny-ImageNet

WNIDS = ("n02", "n01", "n03")


def write_tiny(folder: Path) -> dict[str, list[tuple[bytes, int]]]:
    """The archive's layout with three classes; PNG inside .JPEG keeps pixels exact. One image is grey."""
    (folder / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    (folder / "words.txt").write_text("n01\tcrane, a bird\nn02\tgoldfish, Carassius auratus\nn03\tcrane\nn99\tother\n")
    truth: dict[str, list[tuple[bytes, int]]] = {"train": [], "val": []}
    for label, wnid in enumerate(WNIDS):
        images = folder / "train" / wnid / "images"
        images.mkdir(parents=True)
        for i, image in enumerate(pixels(4, 64)):
            (images / f"{wnid}_{i}.JPEG").write_bytes(encoded(image))
            truth["train"].append((image.transpose(2, 0, 1).tobytes(), label))
    (folder / "val" / "images").mkdir(parents=True)
    lines = []
    for i, wnid in enumerate(("n03", "n02", "n01", "n01")):
        image = pixels(1, 64)[0]
        image = image if i else np.repeat(image[:, :, :1], 3, axis=2)
        (folder / "val" / "images" / f"val_{i}.JPEG").write_bytes(encoded(image if i else image[:, :, 0]))
        truth["val"].append((image.transpose(2, 0, 1).tobytes(), WNIDS.index(wnid)))
        lines.append(f"val_{i}.JPEG\t{wnid}\t0\t0\t62\t62")
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines))
    return {name: sorted(images) for name, images in truth.items()}


def test_tinyimagenet_as_the_archive_unpacks(tmp_path):
    truth = write_tiny(tmp_path)
    dataset = data.load("tinyimagenet", tmp_path, valid_fraction=0.25)
    assert contents(dataset.train, dataset.valid) == truth["train"]
    assert contents(dataset.test) == truth["val"]
    assert dataset.classes == ("goldfish", "crane (n01)", "crane (n03)")
    assert dataset.image_size == 64


def test_tinyimagenet_as_parquet_has_the_classes_it_names(tmp_path):
    images = pixels(12, 64)
    write_parquet(tmp_path / "train.parquet", images, np.arange(12) % 3, column="image", names=("a", "b", "c"))
    write_parquet(tmp_path / "valid.parquet", images[:3], np.arange(3), column="image", names=("a", "b", "c"))
    dataset = data.load("tinyimagenet", tmp_path, valid_fraction=0.25)
    assert contents(dataset.train, dataset.valid) == expected(images, np.arange(12) % 3)
    assert dataset.classes == ("a", "b", "c")
    write_parquet(tmp_path / "valid.parquet", images[:3], np.arange(3), column="image", names=("a", "b", "d"))
    with pytest.raises(DataError, match="its classes are a, b, d; expected a, b, c"):
        data.load("tinyimagenet", tmp_path, valid_fraction=0.25)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("wnids.txt", "n01\nn01\n", "each once"),
        ("wnids.txt", "n01\nn07\n", r"n07.*no \.JPEG image"),
        ("val/val_annotations.txt", "val_0.JPEG\tn07\n", "line 1.*one of 3 classes"),
        ("val/val_annotations.txt", "../val_0.JPEG\tn01\n", "line 1"),
        ("val/val_annotations.txt", "gone.JPEG\tn01\n", "gone.JPEG: cannot be read"),
        ("val/val_annotations.txt", "\n", "names no image"),
    ],
)
def test_broken_tinyimagenet(tmp_path, file, text, words):
    write_tiny(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError, match=words):
        data.load("tinyimagenet", tmp_path, valid_fraction=0.25)


def test_parquet_without_class_names_is_refused(tmp_path):
    write_parquet(tmp_path / "train.parquet", pixels(2, 64), [0, 1], column="image")
    with pytest.raises(DataError, match="does not name its classes"):
        data.load("tinyimagenet", tmp_path)


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("name", ["cifar100", "svhn", "tinyimagenet"])
def test_folders_without_the_set_say_what_is_read(tmp_path, name):
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(DataError, match=rf"does not hold {name} \(found: readme.txt\); expected train"):
        data.load(name, tmp_path)
    with pytest.raises(DataError, match=f"{name} needs data_dir"):
        data.load(name)


def test_tinyimagenet_is_not_downloaded():
    with pytest.raises(DataError, match=r"tiny-imagenet-200\.zip"):
        data.load("tinyimagenet", download=True)


def test_enlarged_images_keep_labels_and_means():
    small, large = data.load("digits"), data.load("digits@48")
    assert large.name == "digits@48"
    assert large.image_size == 48
    assert large.train.labels.equal(small.train.labels)
    assert large.augmentation.shift == 6
    means = [split.test.images.float().mean((1, 2, 3)) for split in (small, large)]
    torch.testing.assert_close(means[1], means[0], rtol=0.02, atol=0.5)


def test_enlarging_by_two_is_bilinear():
    row = torch.tensor([0, 4, 8, 255], dtype=torch.uint8)
    images = row.expand(1, 3, 4, 4).contiguous()
    split = data.Split(images, torch.zeros(1, dtype=torch.int64))
    dataset = data.ImageDataset("toy", ("a",), split, split, split)
    large = data.enlarge(dataset, 8).test.images[0, 0, 0]
    assert large.tolist() == [0, 1, 3, 5, 7, 70, 193, 255]  # quarters of the way, rounded to even


@pytest.mark.parametrize("name", ["digits@", "digits@x", "digits@16"])
def test_sizes_that_make_no_sense(name):
    with pytest.raises(DataError, match=r"no size in pixels|not reduced to 16"):
        data.load(name)


def test_images_outside_the_classes_need_no_label(tmp_path):
    images = pixels(5)
    write_parquet(tmp_path / "ood.parquet", images, [-1] * 5)
    found = data.read_parquet_images(tmp_path / "ood.parquet", 32)
    assert found.equal(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    with pytest.raises(DataError, match="expected 64x64 RGB"):
        data.read_parquet_images(tmp_path / "ood.parquet", 64)
    with pytest.raises(DataError, match="not a readable parquet"):
        data.read_parquet_images(tmp_path / "gone.parquet", 32)


ROOT = os.environ.get("OSTINATO_DATA", "")


@pytest.mark.skipif(not ROOT, reason="OSTINATO_DATA is not set (a folder with tinyimagenet30/ inside)")
def test_the_thirty_classes_at_hand():
    dataset = data.load("tinyimagenet", Path(ROOT) / "tinyimagenet30")
    assert (len(dataset.train), len(dataset.valid), len(dataset.test)) == (13_500, 1_500, 1_500)
    assert dataset.num_classes == 30
    assert dataset.classes[0] == "tarantula"
    assert torch.bincount(dataset.test.labels).tolist() == [50] * 30
    assert not {i.numpy().tobytes() for i in dataset.test.images} & {i.numpy().tobytes() for i in dataset.train.images}


@pytest.mark.skipif(not ROOT, reason="OSTINATO_DATA is not set (a folder with ood/ inside)")
def test_the_images_outside_at_hand():
    images = data.read_parquet_images(Path(ROOT) / "ood" / "cifar100_test_part.parquet", 32)
    assert images.shape == (916, 3, 32, 32)
