"""Recipe files: one TOML says which network is trained on which data and how, so that one command makes it again."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ostinato import models
from ostinato.errors import ModelError, OstinatoError
from ostinato.training import Recipe
from ostinato.training.recipes import resolve

FOLDER = Path(__file__).parent / "recipes"
"""The recipes that come with the package."""


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """Table `[pruning]`: what `prune_channels` is to leave of the trained network, and how that is fine-tuned.

    `lr` of None takes the training's own.
    """

    size: float
    epochs: int
    keep: Mapping[str, float] = field(default_factory=dict)
    lr: float | None = None


@dataclass(frozen=True, kw_only=True)
class RecipeFile:
    """One network's training.

    `arguments` go to the network's builder; classes and image size come from the data. `training` is the optimiser's
    recipe: the table `[training]` over the recipe that its `base` names.
    """

    name: str
    network: str
    data: str
    epochs: int
    precision: str = "float32"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    training: Recipe
    pruning: Pruning | None = None


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that come with the package, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def read_recipe(recipe: str | Path) -> RecipeFile:
    """A recipe by the name of one that comes with the package, or from a file.

    Raises:
        OstinatoError: an unknown name, a file that cannot be read, or a field that is missing, unknown or of a value
            that cannot be; the sentence names file and field.
    """
    path = Path(recipe)
    if path.suffix != ".toml":
        path = FOLDER / f"{recipe}.toml"
        if not path.is_file():
            close = difflib.get_close_matches(str(recipe), recipe_names(), n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else "a file ends in .toml."
            raise OstinatoError(f"Unknown recipe {str(recipe)!r}; known: {', '.join(recipe_names())}; {hint}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OstinatoError(f"Cannot read the recipe {path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OstinatoError(f"{path} is not valid TOML ({error}).") from error
    return _recipe(path, content)


def _recipe(path: Path, content: dict[str, Any]) -> RecipeFile:
    training = content.pop("training", {})
    pruning = content.pop("pruning", None)
    if "name" in content:
        raise OstinatoError(f"{path}: unknown field 'name'; a recipe is called as its file is.")
    fields = _checked(path, "", content, RecipeFile, without=("name", "training", "pruning"))
    if fields["network"] not in models.names():
        raise OstinatoError(f"{path}: network is {fields['network']!r}; known: {', '.join(models.names())}.")
    if fields["epochs"] < 1:
        raise OstinatoError(f"{path}: epochs is {fields['epochs']}; training needs at least 1.")
    if fields.get("precision", "float32") not in ("float32", "bfloat16"):
        raise OstinatoError(f"{path}: precision is {fields['precision']!r}; known: float32, bfloat16.")
    return RecipeFile(
        name=path.stem,
        **fields,
        training=_training(path, training),
        pruning=None if pruning is None else _pruning(path, pruning),
    )


def _training(path: Path, content: dict[str, Any]) -> Recipe:
    if not isinstance(content, dict):
        raise OstinatoError(f"{path}: training is {content!r}, expected a table.")
    base = content.pop("base", "modern")
    fields = _checked(path, "training.", content, Recipe, without=("name",), partial=True)
    try:
        return dataclasses.replace(resolve(base), **fields)
    except OstinatoError as error:
        raise OstinatoError(f"{path}: {error}") from None


def _pruning(path: Path, content: dict[str, Any]) -> Pruning:
    if not isinstance(content, dict):
        raise OstinatoError(f"{path}: pruning is {content!r}, expected a table.")
    return Pruning(**_checked(path, "pruning.", content, Pruning))


def _checked(
    path: Path,
    prefix: str,
    content: dict[str, Any],
    kind: Any,
    without: tuple[str, ...] = (),
    partial: bool = False,
) -> dict[str, Any]:
    """`content` if its fields are those of the dataclass `kind`, each of its type; `partial`: none is required."""
    types = {f.name: str(f.type) for f in dataclasses.fields(kind) if f.name not in without}
    for name, value in content.items():
        if name not in types:
            raise OstinatoError(f"{path}: unknown field {prefix + name!r}; known: {', '.join(types)}.")
        if not _is(value, types[name]):
            raise OstinatoError(f"{path}: {prefix}{name} is {value!r}, expected {types[name]}.")
    needed = {
        f.name
        for f in dataclasses.fields(kind)
        if f.name in types and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    missing = sorted(needed - set(content)) if not partial else []
    if missing:
        raise OstinatoError(f"{path}: the field {prefix + missing[0]!r} is missing.")
    return content


def _is(value: Any, wanted: str) -> bool:
    """Whether a TOML value is of the type that an annotation names; whole numbers are floats, too."""
    if wanted.startswith("Mapping"):
        return isinstance(value, dict)
    kinds: dict[str, Any] = {"bool": bool, "int": int, "float": (int, float), "str": str, "Schedule": str}
    names = [name.strip() for name in wanted.split("|")]
    return any(
        isinstance(value, kinds[name]) and (isinstance(value, bool) == (name == "bool"))
        for name in names
        if name in kinds
    )


def network_of(recipe: RecipeFile, num_classes: int, image_size: int) -> Any:
    """The recipe's network, freshly initialised.

    Raises:
        ModelError: arguments that its builder does not take, or a size that cannot be built; it names the recipe.
    """
    try:
        return models.create(recipe.network, num_classes=num_classes, image_size=image_size, **recipe.arguments)
    except (ModelError, TypeError) as error:
        raise ModelError(f"Recipe {recipe.name!r}: {error}") from error
