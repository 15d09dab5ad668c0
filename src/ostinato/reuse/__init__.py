"""The method as pure tensor mathematics: patterns, views, hashing, clustering, reuse_conv2d and its gradient.

No files, no printing. `docs/method.md` has the equations.
"""

from ostinato.reuse.assignment import ReuseStats
from ostinato.reuse.cache import ResultCache
from ostinato.reuse.channel_grouping import channel_grouping
from ostinato.reuse.cost import LayerCost, layer_cost
from ostinato.reuse.functional import cluster_ids, hashed_vectors, quantised_columns, reuse_conv2d
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.hashing import bindec, project, tree_ids
from ostinato.reuse.initialise import initial_hash, random_hash
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.read_pattern import read_pattern
from ostinato.reuse.refit import LeastSquares
from ostinato.reuse.running import RunningCentroids
from ostinato.reuse.stem_pattern import StemPattern
from ostinato.reuse.views import col2im, column_indices, im2col, weight_from_matrix, weight_matrix

__all__ = [
    "ConvGeometry",
    "LayerCost",
    "LeastSquares",
    "Pattern",
    "ResultCache",
    "ReuseStats",
    "RunningCentroids",
    "StemPattern",
    "bindec",
    "channel_grouping",
    "cluster_ids",
    "col2im",
    "column_indices",
    "hashed_vectors",
    "im2col",
    "initial_hash",
    "layer_cost",
    "project",
    "quantised_columns",
    "random_hash",
    "read_pattern",
    "reuse_conv2d",
    "tree_ids",
    "weight_from_matrix",
    "weight_matrix",
]
