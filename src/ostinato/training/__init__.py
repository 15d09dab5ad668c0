"""Training: `fit`, `evaluate`, recipes, and checkpoints that survive Ctrl-C, kills and damaged files."""

from ostinato.training.apply_patterns import apply_patterns
from ostinato.training.checkpoints import Checkpoint, load_checkpoint, load_model_state, save_model
from ostinato.training.compile_tables import compile_tables
from ostinato.training.evaluation import Evaluation, evaluate
from ostinato.training.fitting import FitResult, fit
from ostinato.training.recipes import MODERN, TREC, Recipe

__all__ = [
    "MODERN",
    "TREC",
    "Checkpoint",
    "Evaluation",
    "FitResult",
    "Recipe",
    "apply_patterns",
    "compile_tables",
    "evaluate",
    "fit",
    "load_checkpoint",
    "load_model_state",
    "save_model",
]
