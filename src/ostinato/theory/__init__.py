"""The papers' theory: costs, Lipschitz constants, error propagation, error bounds and the sufficient direction.

Functions of matrices and numbers, without files and without printing. `docs/theory.md` has the equations, says which
of the published bounds hold, and gives the counter-examples to those that do not.
"""

from ostinato.theory.bounds import (
    ReuseErrors,
    cluster_spreads,
    corrected_bound,
    measured_error,
    output_variation,
    published_bound,
    reuse_errors,
)
from ostinato.theory.complexity import (
    Complexity,
    break_even_redundancy,
    conventional_complexity,
    deep_reuse_ratio,
    flops_ratio,
    reuse_complexity,
    saves_computation,
)
from ostinato.theory.layer_errors import layer_errors
from ostinato.theory.lipschitz import conv_lipschitz, reuse_lipschitz
from ostinato.theory.propagation import (
    ErrorStage,
    centroid_error,
    propagated_bound,
    propagated_published,
    spectral_norm,
    window_overlap,
)
from ostinato.theory.sufficient_direction import Direction, SufficientDirection, sufficient_direction

__all__ = [
    "Complexity",
    "Direction",
    "ErrorStage",
    "ReuseErrors",
    "SufficientDirection",
    "break_even_redundancy",
    "centroid_error",
    "cluster_spreads",
    "conv_lipschitz",
    "conventional_complexity",
    "corrected_bound",
    "deep_reuse_ratio",
    "flops_ratio",
    "layer_errors",
    "measured_error",
    "output_variation",
    "propagated_bound",
    "propagated_published",
    "published_bound",
    "reuse_complexity",
    "reuse_errors",
    "reuse_lipschitz",
    "saves_computation",
    "spectral_norm",
    "sufficient_direction",
    "window_overlap",
]
