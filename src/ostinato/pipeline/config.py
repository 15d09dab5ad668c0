"""What a run is asked to do: one frozen value, kept beside its results as `config.toml`."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ostinato.errors import OstinatoError
from ostinato.files import write_atomically

CONFIG_FILE = "config.toml"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long a data set is trained on: epochs of the conventional network and of each reuse network."""

    epochs: int
    fine_tune_epochs: int
    image_scope_images: int | None = None
    """Training images an epoch of an image-scope network sees (all if None): its epochs cost several times more."""


SCHEDULES = {
    "digits": Schedule(epochs=12, fine_tune_epochs=6),
    "cifar10": Schedule(epochs=20, fine_tune_epochs=5, image_scope_images=20_000),
}
"""Defaults by data set; a data set that is not named uses cifar10's."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All that decides the numbers of a run.

    `epochs` and `fine_tune_epochs` of None take the data set's default (`SCHEDULES`). `calibration_images` training
    images, unlabelled, initialise hashes, refit weights and set activation ranges. `train_limit` trains on that many
    images only (for quick looks; the report says so). `precision` is `float32` or `bfloat16`, which trains about twice
    as fast on processors that have it; evaluation is float32 always. `external_flash` is `ost.deploy`'s: `never`,
    `auto` or names of layers, separated by commas.
    """

    model: str = "cifarnet"
    data: str = "digits"
    board: str = "stm32f469i"
    data_dir: str | None = None
    download: bool = False
    epochs: int | None = None
    fine_tune_epochs: int | None = None
    calibration_images: int = 500
    train_limit: int | None = None
    precision: str = "float32"
    external_flash: str = "never"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("fine_tune_epochs", 0), ("calibration_images", 1), ("train_limit", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise OstinatoError(f"{name} is {value}; it must be at least {least}.")
        if self.precision not in ("float32", "bfloat16"):
            raise OstinatoError(f"precision is {self.precision!r}; known: float32, bfloat16.")
        if self.seed < 0:
            raise OstinatoError(f"seed is {self.seed}; it must be 0 or more.")

    @property
    def schedule(self) -> Schedule:
        """The epochs in force."""
        base = SCHEDULES.get(self.data, SCHEDULES["cifar10"])
        given = {"epochs": self.epochs, "fine_tune_epochs": self.fine_tune_epochs}
        return dataclasses.replace(base, **{k: v for k, v in given.items() if v is not None})

    def to_toml(self) -> str:
        """The fields that are set, one `key = value` a line."""
        fields = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return "".join(f"{key} = {_toml(value)}\n" for key, value in fields.items())

    def write(self, folder: Path) -> None:
        """Keep this configuration in `folder`, or check that it is the one already there.

        Raises:
            OstinatoError: `folder` holds the results of another configuration.
        """
        path = folder / CONFIG_FILE
        if path.exists():
            found = read_config(path)
            for field in dataclasses.fields(self):
                here, there = getattr(self, field.name), getattr(found, field.name)
                if here != there:
                    raise OstinatoError(
                        f"{folder} holds a run with {field.name} = {there!r}, but {here!r} is asked for; give another "
                        "output folder, or delete this one."
                    )
            return
        write_atomically(path, self.to_toml().encode())


def read_config(path: Path) -> RunConfig:
    """The configuration of an earlier run.

    Raises:
        OstinatoError: the file is missing, not TOML, or has fields of the wrong name or type.
    """
    try:
        fields: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OstinatoError(f"{path.parent} is not a run folder: it has no {path.name}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OstinatoError(f"{path} is not valid TOML ({error}).") from error
    types = {f.name: str(f.type) for f in dataclasses.fields(RunConfig)}
    for name, value in fields.items():
        if name not in types:
            raise OstinatoError(f"{path}: unknown field {name!r}; known: {', '.join(types)}.")
        if type(value).__name__ not in types[name]:
            raise OstinatoError(f"{path}: {name} is {value!r}, expected {types[name]}.")
    return RunConfig(**fields)


def _toml(value: str | int | bool) -> str:
    # TOML's basic strings, integers and booleans are JSON's, but for one character that TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
