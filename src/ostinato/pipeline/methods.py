"""The methods that a run compares: one row of the report each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ostinato.errors import OstinatoError
from ostinato.reuse.pattern import Pattern


@dataclass(frozen=True, kw_only=True)
class Method:
    """How a trained conventional network becomes one row.

    `slug` names its folder. `patterns`: layer → pattern, empty for a conventional row. `refit`: solve weights and bias
    in closed form against the conventional layer's outputs. `fine_tune`: train with reuse in the loop, hashes included
    where the pattern's gradient is not frozen.
    """

    slug: str
    method: str
    kernel: str
    dense_kernel: Literal["cmsis", "dense"] = "dense"
    patterns: Mapping[str, Pattern] = field(default_factory=dict)
    refit: bool = False
    fine_tune: bool = False

    @property
    def scope(self) -> str | None:
        """Whose vectors share clusters; None without reuse."""
        return next((pattern.scope for pattern in self.patterns.values()), None)


CMSIS_STYLE = Method(slug="conventional-cmsis", method="conventional", kernel="cmsis-style", dense_kernel="cmsis")
BEST_DENSE = Method(slug="conventional-dense", method="conventional", kernel="best-dense")


def cifarnet_methods() -> tuple[Method, ...]:
    """The rows for CifarNet.

    The two image-scope rows share their slices, hash count and order, so that they differ in learning alone; so do the
    two compiled rows share theirs, and differ in the clustering. `docs/results/` says what was measured to choose them.
    """
    random = {
        "conv1": Pattern(length=15, hashes=6, scope="image", init="random"),
        "conv2": Pattern(length=32, hashes=3, scope="image", init="random"),
    }
    learned = {name: replace(pattern, init="itq") for name, pattern in random.items()}
    hyperplanes = Pattern(length=8, hashes=6, scope="compiled", sharing="block", init="itq")
    tree = replace(hyperplanes, clustering="tree", init="pca", gradient="frozen")
    return (
        CMSIS_STYLE,
        BEST_DENSE,
        Method(slug="deep-reuse-image", method="Deep Reuse (random hashes)", kernel="reuse-image", patterns=random),
        _trained("trec-image", "TREC (learned)", "reuse-image", learned),
        _trained("trec-compiled", "TREC (learned)", "reuse-compiled", {"conv2": hyperplanes}),
        _trained("tree-compiled", "Ostinato (tree)", "reuse-compiled", {"conv2": tree}),
    )


def _trained(slug: str, method: str, kernel: str, patterns: Mapping[str, Pattern]) -> Method:
    return Method(slug=slug, method=method, kernel=kernel, patterns=patterns, refit=True, fine_tune=True)


_METHODS = {"cifarnet": cifarnet_methods}


def methods_for(model: str) -> tuple[Method, ...]:
    """The rows of a network's report.

    Raises:
        OstinatoError: no patterns have been chosen for this network yet.
    """
    if model not in _METHODS:
        raise OstinatoError(
            f"No reuse patterns are known for the model {model!r} (known: {', '.join(_METHODS)}); use the commands "
            "train, convert, deploy and simulate with patterns of your own."
        )
    return _METHODS[model]()
