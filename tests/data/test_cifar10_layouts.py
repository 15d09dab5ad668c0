"""Every layout of CIFAR-10, in miniature, and every way it can be broken."""

import io
import json
import os
import pickle
import sys
import types

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ostinato import data
from ostinato.data import cifar10
from ostinato.data.class_folders import read_class_folders
from ostinato.data.parquet import read_parquet_split
from ostinato.data.python_batches import read_python_batches
from ostinato.errors import DataError

CLASSES = cifar10.CLASSES
PER_CLASS = {"train": 10, "test": 2}


@pytest.fixture
def miniature(monkeypatch):
    """CIFAR-10 with 100 training and 20 test images, and no other difference: {name: (pixels NHWC, labels)}."""
    counts = {name: 10 * n for name, n in PER_CLASS.items()}
    monkeypatch.setattr(cifar10, "COUNTS", counts)
    rng = np.random.default_rng(0)
    return {
        name: (
            rng.integers(0, 256, (10 * n, 32, 32, 3), dtype=np.uint8),
            rng.permutation(np.repeat(np.arange(10), n)),
        )
        for name, n in PER_CLASS.items()
    }


def png(pixels, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write_parquet(path, pixels, labels, names=CLASSES, column="img"):
    images = [{"bytes": image if isinstance(image, bytes) else png(image), "path": None} for image in pixels]
    table = pa.table({column: images, "label": pa.array(labels, pa.int64())})
    if names is not None:
        features = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, path)


def write_batches(folder, miniature, protocol=2):
    folder.mkdir(exist_ok=True)
    pixels, labels = miniature["train"]
    parts = {f"data_batch_{i + 1}": (pixels[20 * i : 20 * i + 20], labels[20 * i : 20 * i + 20]) for i in range(5)}
    parts["test_batch"] = miniature["test"]
    for name, (images, numbers) in parts.items():
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1).copy()
        content = {b"data": planes, b"labels": numbers.tolist(), b"batch_label": b"x", b"filenames": [b"a"]}
        (folder / name).write_bytes(pickle.dumps(content, protocol))


def write_folders(folder, miniature):
    for name, (pixels, labels) in miniature.items():
        for i, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            path = folder / name / CLASSES[label]
            path.mkdir(parents=True, exist_ok=True)
            (path / f"{i:03}.png").write_bytes(png(image))


def assert_holds(dataset, miniature):
    """Train and valid together, and test, are exactly the miniature's images with their labels."""
    train = data.Split(
        torch.cat([dataset.train.images, dataset.valid.images]),
        torch.cat([dataset.train.labels, dataset.valid.labels]),
    )
    for name, split in (("train", train), ("test", dataset.test)):
        found = sorted(
            (image.numpy().tobytes(), int(label)) for image, label in zip(split.images, split.labels, strict=True)
        )
        pixels, labels = miniature[name]
        expected = sorted(
            (image.transpose(2, 0, 1).tobytes(), int(label)) for image, label in zip(pixels, labels, strict=True)
        )
        assert found == expected


def test_parquet_in_several_files(miniature, tmp_path):
    pixels, labels = miniature["train"]
    write_parquet(tmp_path / "train-00000-of-00002.parquet", pixels[:60], labels[:60])
    write_parquet(tmp_path / "train-00001-of-00002.parquet", pixels[60:], labels[60:])
    write_parquet(tmp_path / "test.parquet", *miniature["test"], column="image", names=None)
    dataset = data.load("cifar10", tmp_path)
    assert_holds(dataset, miniature)
    assert dataset.classes == CLASSES
    assert len(dataset.valid) == 10


@pytest.fixture
def batches(miniature, monkeypatch, tmp_path):
    """A folder of small python batches; rows per file are those of the miniature (20)."""
    monkeypatch.setattr(cifar10, "read_python_batches", lambda folder: read_python_batches(folder, 20))
    write_batches(tmp_path, miniature)
    return tmp_path


@pytest.mark.parametrize("protocol", [2, 4])
def test_python_batches(miniature, monkeypatch, tmp_path, protocol):
    monkeypatch.setattr(cifar10, "read_python_batches", lambda folder: read_python_batches(folder, 20))
    write_batches(tmp_path / "cifar-10-batches-py", miniature, protocol)
    assert_holds(data.load("cifar10", str(tmp_path)), miniature)


def test_class_sub_folders(miniature, tmp_path):
    write_folders(tmp_path, miniature)
    assert_holds(data.load("cifar10", tmp_path), miniature)


def test_class_sub_folders_may_have_other_counts_and_jpeg(miniature, tmp_path):
    write_folders(tmp_path, miniature)
    extra = tmp_path / "train" / "cat" / "one more.JPG"
    extra.write_bytes(png(miniature["test"][0][0], "JPEG"))
    dataset = data.load("cifar10", tmp_path)
    assert len(dataset.train) + len(dataset.valid) == 101


def refused(tmp_path, *words):
    with pytest.raises(DataError) as error:
        data.load("cifar10", tmp_path)
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_no_folder_given():
    with pytest.raises(DataError, match=r"data_dir.*train\*\.parquet.*data_batch_1.*download"):
        data.load("cifar10")


def test_missing_and_empty_folders(tmp_path):
    refused(tmp_path / "nowhere", "nowhere", "not a folder")
    refused(tmp_path, "found: nothing", "data_batch_1")
    (tmp_path / "notes.txt").write_text("x")
    refused(tmp_path, "notes.txt")


@pytest.fixture
def parquet(miniature, tmp_path):
    for name in ("train", "test"):
        write_parquet(tmp_path / f"{name}.parquet", *miniature[name])
    return tmp_path


def test_missing_parquet(parquet):
    (parquet / "test.parquet").unlink()
    refused(parquet, "test*.parquet")


@pytest.mark.parametrize("keep", [0, 3, 0.5, 0.99])
def test_truncated_parquet(parquet, keep):
    file = parquet / "train.parquet"
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    refused(parquet, "train.parquet", "not a readable parquet file", f"{file.stat().st_size:,} bytes")


def test_missing_rows(parquet, miniature):
    pixels, labels = miniature["train"]
    write_parquet(parquet / "train.parquet", pixels[:-1], labels[:-1])
    refused(parquet, "99 images", "100")


def test_unbalanced_classes(parquet, miniature):
    pixels, labels = miniature["test"]
    changed = labels.copy()
    changed[labels == 9] = 8
    write_parquet(parquet / "test.parquet", pixels, changed)
    refused(parquet, "test", "'ship'", "4 images")


@pytest.mark.parametrize("label", [-1, 10])
def test_label_out_of_range(parquet, miniature, label):
    pixels, labels = miniature["test"]
    changed = labels.copy()
    changed[0] = label
    write_parquet(parquet / "test.parquet", pixels, changed)
    refused(parquet, "test.parquet", str(label), "0-9")


def test_other_class_names(parquet, miniature):
    write_parquet(parquet / "test.parquet", *miniature["test"], names=CLASSES[::-1])
    refused(parquet, "test.parquet", "truck, ship")


def test_missing_column(parquet, miniature):
    write_parquet(parquet / "test.parquet", *miniature["test"], column="picture")
    refused(parquet, "test.parquet", "picture, label", "'img'")


def test_missing_label(parquet, miniature):
    pixels, labels = miniature["test"]
    write_parquet(parquet / "test.parquet", pixels, [None, *labels[1:].tolist()])
    refused(parquet, "test.parquet", "1 rows have no label")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (b"", ["empty"]),
        (b"not an image", ["not a readable PNG or JPEG"]),
        (png(np.zeros((32, 32, 3), np.uint8))[:60], ["not a readable PNG or JPEG"]),
        (png(np.zeros((31, 32, 3), np.uint8)), ["32x31 RGB", "32x32 RGB"]),
        (png(np.zeros((32, 32), np.uint8)), ["32x32 L"]),
        (png(np.zeros((32, 32, 3), np.uint8), "BMP"), ["not a readable PNG or JPEG"]),
    ],
)
def test_broken_image_is_named_by_its_row(parquet, miniature, broken, words):
    pixels, labels = miniature["test"]
    images = [png(image) for image in pixels]
    images[7] = broken
    write_parquet(parquet / "test.parquet", images, labels)
    refused(parquet, "test.parquet, row 7", *words)


def test_parquet_reader_alone_needs_no_official_count(parquet):
    assert len(read_parquet_split(parquet, "test", 32, CLASSES, progress=False)) == 20


def test_missing_batch(batches):
    (batches / "data_batch_3").unlink()
    refused(batches, "data_batch_3")


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.999])
def test_truncated_batch(batches, keep):
    file = batches / "data_batch_2"
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    refused(batches, "data_batch_2", "unpack the archive again")


@pytest.mark.parametrize(
    "change",
    [
        {b"data": np.zeros((20, 3072), np.float32)},
        {b"data": np.zeros((20, 1024), np.uint8)},
        {b"data": b"bytes"},
        {b"labels": [0] * 19},
        {b"labels": ["cat"] * 20},
        {b"labels": [10] * 20},
    ],
)
def test_batch_with_other_content(batches, change):
    content = {b"data": np.zeros((20, 3072), np.uint8), b"labels": [0] * 20}
    (batches / "test_batch").write_bytes(pickle.dumps({**content, **change}, 2))
    refused(batches, "test_batch")


def test_batch_that_is_not_a_dict(batches):
    (batches / "test_batch").write_bytes(pickle.dumps([1, 2], 2))
    refused(batches, "test_batch", "not a CIFAR batch")


class Exploit:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "make",
    [
        lambda path: Exploit(os.mkdir, str(path)),
        lambda path: Exploit(eval, f"__import__('os').mkdir({str(path)!r})"),
        lambda path: Exploit(np.save, str(path), 1),
        lambda path: Exploit(getattr, {}, "clear"),
    ],
)
def test_a_pickle_that_runs_code_is_refused_and_not_run(batches, tmp_path, make):
    target = tmp_path / "hacked"
    content = {b"data": np.zeros((20, 3072), np.uint8), b"labels": make(target)}
    (batches / "test_batch").write_bytes(pickle.dumps(content, 2))
    before = sorted(tmp_path.iterdir())
    refused(batches, "test_batch", "refers to")
    assert sorted(tmp_path.iterdir()) == before


def test_empty_class_folder(miniature, tmp_path):
    write_folders(tmp_path, miniature)
    for file in (tmp_path / "test" / "frog").iterdir():
        file.unlink()
    refused(tmp_path, "frog", "no .png or .jpg")


def test_missing_and_unknown_class_folders(miniature, tmp_path):
    write_folders(tmp_path, miniature)
    (tmp_path / "test" / "frog").rename(tmp_path / "test" / "toad")
    refused(tmp_path, "'toad'", "frog")
    with pytest.raises(DataError, match="valid is missing"):
        read_class_folders(tmp_path / "valid", CLASSES, 32)


def test_corrupt_file_in_class_folder_is_named(miniature, tmp_path):
    write_folders(tmp_path, miniature)
    file = next((tmp_path / "train" / "deer").iterdir())
    file.write_bytes(file.read_bytes()[:50])
    refused(tmp_path, str(file), "not a readable")


def test_download_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'ostinato\[download\]'"):
        data.load("cifar10", download=True)


class FakePart(dict):
    def cast_column(self, name, feature):
        assert (name, feature) == ("img", "undecoded")
        return self


def fake_hub(load_dataset):
    hub = types.ModuleType("datasets")
    hub.load_dataset = load_dataset
    hub.Image = lambda decode: {False: "undecoded"}[decode]
    return hub


def test_download(miniature, monkeypatch, tmp_path):
    parts = {
        name: FakePart(img=[{"bytes": png(image)} for image in pixels], label=labels.tolist())
        for name, (pixels, labels) in miniature.items()
    }
    asked = []
    monkeypatch.setitem(
        sys.modules, "datasets", fake_hub(lambda name, cache_dir: asked.append((name, cache_dir)) or parts)
    )
    assert_holds(data.load("cifar10", tmp_path, download=True), miniature)
    assert asked == [("uoft-cs/cifar10", str(tmp_path))]


def test_download_prefers_what_is_there(parquet, miniature, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert_holds(data.load("cifar10", parquet, download=True), miniature)


def test_download_without_network(monkeypatch):
    def fail(name, cache_dir):
        raise ConnectionError("no route to host")

    monkeypatch.setitem(sys.modules, "datasets", fake_hub(fail))
    with pytest.raises(DataError, match=r"no route to host.*data_dir"):
        data.load("cifar10", download=True)
