"""What an estimator of the hash's gradient is told: vectors, their clusters, and their part in the loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ostinato.reuse.by_slice import BySlice
from ostinato.reuse.clustering import Slots
from ostinato.reuse.hash_sample import HashSample


@dataclass(frozen=True)
class Clustered:
    """Vectors of a forward pass, their clusters, and their part in the loss.

    Attributes:
        sample: A vectors that can have a gradient.
        places: of them, by slice.
        clusters: of all vectors.
        centroids: (C, D).
        centroid_gradients: (C, D), dLoss/dcentroid.
        row_gradients: (A, D), dLoss/d(a vector's value after recovery); empty for `trec`, which needs none.
    """

    sample: HashSample
    places: BySlice
    clusters: Slots
    centroids: Tensor
    centroid_gradients: Tensor
    row_gradients: Tensor

    def home(self) -> Tensor:
        """(A,) the slot of each vector."""
        index = self.clusters.index
        return index.reshape(-1).index_select(0, self.sample.slices * index.shape[1] + self.sample.units).long()

    def keys(self, home: Tensor) -> Tensor:
        """(A,) the key of each vector, whose low bits are its id."""
        return home if self.clusters.keys is None else self.clusters.keys.index_select(0, home).long()
