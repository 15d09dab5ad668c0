"""apply_patterns: the recipe by which chosen patterns become a calibrated network, whatever their scopes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from ostinato.nn import calibrate, convert
from ostinato.reuse import Pattern, StemPattern
from ostinato.training.compile_tables import compile_tables


def apply_patterns(
    model: nn.Module,
    images: Tensor,
    patterns: Mapping[str, Pattern | StemPattern],
    *,
    refit: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> nn.Module:
    """A calibrated copy of `model` with these patterns: by `compile_tables` if all have tables, else by `calibrate`.

    Args:
        model: conventional, trained; it is not changed.
        images: (N, C, H, W) as the model takes them.
        patterns: by qualified layer name.
        refit: whether weights are refitted in closed form.
        progress: called with (layer name, layers done, layers in all).

    Raises:
        PatternError, ConversionError, ModelError: as `convert` and `calibrate`.
    """
    if all(isinstance(pattern, StemPattern) or pattern.scope == "compiled" for pattern in patterns.values()):
        return compile_tables(model, images, patterns, refit=refit, refit_dense=refit, progress=progress)
    return calibrate(convert(model, patterns), images, refit=refit, progress=progress)
