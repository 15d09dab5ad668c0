"""compile_tables: from a conventional network to one whose layers look results up, ready to be fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from ostinato.data import ImageDataset, to_input
from ostinato.errors import PatternError
from ostinato.nn import calibrate, convert, group_channels
from ostinato.nn.sensitivity import Metric
from ostinato.reuse import Pattern, StemPattern


def compile_tables(
    model: nn.Module,
    data: ImageDataset | Tensor,
    patterns: Mapping[str, Pattern | StemPattern],
    *,
    images: int = 1000,
    group: bool = True,
    refit: bool = True,
    refit_dense: bool = True,
    metric: Metric = "loss",
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> nn.Module:
    """A copy of `model` with reuse in compiled scope, calibrated without labels; `fit` with `teacher=model` is next.

    In this order (DESIGN §5.5, §5.12; what each step is worth: docs/results/compile-tables-*.md):

    1. channels are permuted, so that correlated ones share a slice (`group_channels`): free at inference;
    2. the layers are converted;
    3. one after the other, in the order in which they run, on what the layers before them, already reused, produce: the
       hash is fitted, centroids are accumulated, and weights and bias refitted by least squares towards the
       conventional layer's outputs; so are the conventional convolutions behind a reused one.

    Args:
        model: conventional, trained; it is not changed.
        data: a data set, of whose training split some images are drawn, or images (N, C, H, W) as the model takes them.
        patterns: by qualified layer name, all in compiled scope, also of linear layers; the first layer may be a
            transform-coded stem.
        images: how many are drawn of a data set.
        group: whether to permute channels (step 1).
        refit: whether to refit the weights of reuse layers.
        refit_dense: whether to refit the conventional convolutions behind them.
        metric: what steps 1 and 3a measure outputs' errors by: `loss`, half by what they cost it, or `outputs`, by
            their square alone; see `calibrate`.
        seed: of the drawing.
        progress: called with (layer name, layers done, layers in all).

    Raises:
        PatternError: a pattern of another scope, or one that cannot apply to its layer.
        ConversionError: an unknown layer, or one that cannot be reused.
        ModelError: no images, or not finite ones, or a layer that never runs.
    """
    for name, pattern in patterns.items():
        if isinstance(pattern, Pattern) and pattern.scope != "compiled":
            raise PatternError(
                f"layer '{name}': compile_tables makes tables once for all inputs and needs scope 'compiled', not "
                f"{pattern.scope!r}; use convert and calibrate for other scopes"
            )
    shown = data if isinstance(data, Tensor) else to_input(data.train.subset(min(images, len(data.train)), seed).images)
    convert(model, patterns, example_input=shown[:1])  # refuses what it must before anything long begins
    if group:
        blocks = {name: pattern for name, pattern in patterns.items() if isinstance(pattern, Pattern)}
        model, _ = group_channels(model, blocks, shown, metric=metric)
    network = convert(model, patterns, example_input=shown[:1])
    return calibrate(network, shown, refit=refit, refit_dense=refit_dense, metric=metric, progress=progress)
