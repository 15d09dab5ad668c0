"""Add a trained network to the ones that come with the package: measure it on the test set, store it small, list it.

    python benchmarks/make_checkpoint.py RUN_DIR NAME --data-dir DIR --command 'ostinato train ...' --commit HASH

Only what the stored file gives back is measured: float32 on the whole test set, and the int8 firmware's C on the host.
A file over 4 MB, or one that lost more than 0.1 points by rounding to float16, is not added.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

import ostinato as ost
from ostinato import data
from ostinato.checkpoints import load_checkpoint, save_half
from ostinato.data import INPUT_SCALE, INPUT_ZERO_POINT
from ostinato.files import write_atomically
from ostinato.models import zoo
from ostinato.models.stored import load_network
from ostinato.pipeline.networks import calibration_images
from ostinato.reuse import read_pattern

LARGEST_FILE = 4_000_000
LARGEST_LOSS = 0.001
CALIBRATION_IMAGES = 500


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished training")
    parser.add_argument("name")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set it was trained on")
    parser.add_argument("--data-note", default="", help="what is particular about these images")
    parser.add_argument("--command", required=True, help="the command that trained it")
    parser.add_argument("--commit", required=True, help="of the code that trained it")
    parser.add_argument("--board", default="stm32f469i")
    parser.add_argument("--epochs", type=int, help="if metrics.jsonl has only the last of them")
    return parser.parse_args()


def measured(path: Path, dataset: data.ImageDataset, board: str) -> dict[str, Any]:
    """Accuracies and costs of the network in `path`."""
    network, meta = load_network(path)
    firmware = ost.deploy(
        network,
        calibration_images(dataset, CALIBRATION_IMAGES, int(meta["seed"])),
        board=board,
        input_scale=INPUT_SCALE,
        input_zero_point=INPUT_ZERO_POINT,
        classes=dataset.classes,
        name=meta["model"],
    )
    return {
        "parameters": ost.models.parameters(network),
        "macs": ost.models.macs(network, torch.zeros(1, 3, dataset.image_size, dataset.image_size)),
        "valid_top1": ost.evaluate(network, dataset.valid).top1,
        "test_top1": ost.evaluate(network, dataset.test).top1,
        "int8_test_top1": firmware.evaluate(dataset.test),
    }


def main() -> None:
    """Measure, store, list."""
    given = options()
    trained = load_checkpoint(given.run / zoo.MODEL_FILE)
    meta = trained.meta
    epochs = given.epochs or len((given.run / "metrics.jsonl").read_text().splitlines())
    dataset = data.load(meta["dataset"], data_dir=given.data_dir, seed=int(meta["seed"]))
    before = ost.evaluate(load_network(given.run / zoo.MODEL_FILE)[0], dataset.test).top1
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / f"{given.name}.pt"
        save_half(stored, trained)
        if stored.stat().st_size > LARGEST_FILE:
            raise SystemExit(f"{stored.stat().st_size:,} bytes; {LARGEST_FILE:,} at most.")
        results = measured(stored, dataset, given.board)
        if before - results["test_top1"] > LARGEST_LOSS:
            raise SystemExit(f"float16 lost too much: {before:.4f} before, {results['test_top1']:.4f} after.")
        shutil.copyfile(stored, zoo.FOLDER / stored.name)
    content = (zoo.FOLDER / f"{given.name}.pt").read_bytes()
    index = json.loads(zoo.INDEX.read_text())
    index[given.name] = {
        "file": f"{given.name}.pt",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "model": meta["model"],
        "dataset": meta["dataset"],
        "reuse": {name: str(read_pattern(fields)) for name, fields in meta["patterns"].items()},
        "data_note": given.data_note,
        **results,
        "epochs": epochs,
        "seed": int(meta["seed"]),
        "command": given.command,
        "commit": given.commit,
        "recipe": meta["recipe"],
    }
    write_atomically(zoo.INDEX, (json.dumps(dict(sorted(index.items())), indent=1) + "\n").encode())
    print(json.dumps(index[given.name], indent=1))


if __name__ == "__main__":
    main()
