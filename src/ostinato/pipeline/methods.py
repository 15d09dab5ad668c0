"""The methods that a run compares: one row of the report each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ostinato.errors import OstinatoError
from ostinato.reuse import Pattern, StemPattern


@dataclass(frozen=True, kw_only=True)
class Method:
    """How a trained conventional network becomes one row.

    `slug` names its folder. `patterns`: layer → pattern, empty for a conventional row. `refit`: solve weights and bias
    in closed form against the conventional layer's outputs. `fine_tune`: train with reuse in the loop, hashes included
    where the pattern's gradient is not frozen. `recipe`: by `compile_tables` rather than `convert` and `calibrate`.
    """

    slug: str
    method: str
    kernel: str
    dense_kernel: Literal["cmsis", "dense"] = "dense"
    patterns: Mapping[str, Pattern | StemPattern] = field(default_factory=dict)
    refit: bool = False
    fine_tune: bool = False
    recipe: bool = False

    @property
    def scope(self) -> str | None:
        """Whose vectors share clusters; None without reuse."""
        scopes = (pattern.scope for pattern in self.patterns.values() if isinstance(pattern, Pattern))
        return next(scopes, "compiled" if self.patterns else None)  # a stem has tables, too


CMSIS_STYLE = Method(slug="conventional-cmsis", method="conventional", kernel="cmsis-style", dense_kernel="cmsis")
BEST_DENSE = Method(slug="conventional-dense", method="conventional", kernel="best-dense")


def cifarnet_methods() -> tuple[Method, ...]:
    """The rows for CifarNet.

    Rows of one scope share slices, order and hash count. What else differs between them: Deep Reuse has random hashes
    and keeps the trained weights (DR is a method of inference time); TREC starts from ITQ hashes and a closed-form
    refit and fine-tunes weights and hashes together (flip estimator); the tree is refitted and fine-tuned alike, its
    hash frozen; the last row is the whole recipe, for both convolutions. So no difference between two rows is the worth
    of learning the hash alone, which `benchmarks/fine_tuning.py` measures.
    """
    random: dict[str, Pattern] = {
        "conv1": Pattern(length=15, hashes=6, scope="image", init="random"),
        "conv2": Pattern(length=32, hashes=3, scope="image", init="random"),
    }
    learned = {name: replace(pattern, init="itq") for name, pattern in random.items()}
    hyperplanes = Pattern(length=8, hashes=6, scope="compiled", sharing="block", init="itq")
    tree = replace(hyperplanes, clustering="tree", init="pca", gradient="frozen")
    both: dict[str, Pattern | StemPattern] = {
        "conv1": StemPattern(groups=10, hashes=6),
        "conv2": Pattern.compiled(8, 6, table="free"),
    }
    return (
        CMSIS_STYLE,
        BEST_DENSE,
        Method(slug="deep-reuse-image", method="Deep Reuse (random hashes)", kernel="reuse-image", patterns=random),
        _trained("trec-image", "TREC (learned)", "reuse-image", learned),
        _trained("trec-compiled", "TREC (learned)", "reuse-compiled", {"conv2": hyperplanes}),
        _trained("tree-compiled", "Ostinato (tree)", "reuse-compiled", {"conv2": tree}),
        replace(_trained("ostinato", "Ostinato", "reuse-compiled", both), recipe=True),
    )


def _trained(slug: str, method: str, kernel: str, patterns: Mapping[str, Pattern | StemPattern]) -> Method:
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
