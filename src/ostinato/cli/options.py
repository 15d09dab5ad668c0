"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Option("--model", help="Network, by name.")]
Data = Annotated[
    str, typer.Option("--data", help="digits (embedded), cifar10, cifar100, svhn, tinyimagenet; @64 enlarges images.")
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the data set, in any of its layouts (docs/data.md)."),
]
Download = Annotated[bool, typer.Option("--download", help="Fetch the data set from the hub if it is not there.")]
Board = Annotated[str, typer.Option("--board", help="Board to build for; `ostinato boards` lists them.")]
ExternalFlash = Annotated[
    str,
    typer.Option(
        "--external-flash",
        help="Constants in the board's external flash: never, auto (what internal flash does not hold), or layers: "
        "fc1,fc2.",
    ),
]
Epochs = Annotated[
    int | None, typer.Option("--epochs", help="Epochs of the conventional network. Default: by data set.", min=1)
]
FineTuneEpochs = Annotated[
    int | None,
    typer.Option("--fine-tune-epochs", help="Epochs of each reuse network. Default: by data set.", min=0),
]
CalibrationImages = Annotated[
    int,
    typer.Option("--calibration-images", help="Unlabelled training images for hashes, refit and ranges.", min=1),
]
TrainLimit = Annotated[
    int | None, typer.Option("--train-limit", help="Train on that many images only, for a quick look.", min=1)
]
Precision = Annotated[
    str, typer.Option("--precision", help="Training in float32, or in bfloat16: twice as fast where the CPU has it.")
]
Device = Annotated[str, typer.Option("--device", help="Where to train: cpu, cuda, cuda:1.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the split, the weights, the hashes and the order of images.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
