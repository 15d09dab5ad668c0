"""Training: `fit`, `evaluate`, pruning, recipes, and checkpoints that survive Ctrl-C, kills and damaged files."""

from ostinato.checkpoints import Checkpoint, load_checkpoint, load_model_state, save_model
from ostinato.training.apply_patterns import apply_patterns
from ostinato.training.compile_tables import compile_tables
from ostinato.training.evaluation import Evaluation, evaluate
from ostinato.training.fitting import FitResult, fit
from ostinato.training.out_of_distribution import Detection, detect, detection
from ostinato.training.pruning import PrunedLayer, PruningReport, prune_channels
from ostinato.training.recipes import MODERN, TREC, Recipe

__all__ = [
    "MODERN",
    "TREC",
    "Checkpoint",
    "Detection",
    "Evaluation",
    "FitResult",
    "PrunedLayer",
    "PruningReport",
    "Recipe",
    "apply_patterns",
    "compile_tables",
    "detect",
    "detection",
    "evaluate",
    "fit",
    "load_checkpoint",
    "load_model_state",
    "prune_channels",
    "save_model",
]
