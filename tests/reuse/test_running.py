import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_reuse import conv_arguments, layers, tensors

from ostinato.reuse import ConvGeometry, Pattern, RunningCentroids, cluster_ids, hashed_vectors, reuse_conv2d
from ostinato.reuse.clustering import Clusters


def fresh(groups, ids, length):
    return RunningCentroids(
        torch.zeros(groups, ids, length, dtype=torch.float64), torch.zeros(groups, ids, dtype=torch.float64)
    )


def batch_of(keys, sizes):
    return Clusters(torch.empty(0, dtype=torch.long), torch.tensor(keys), torch.tensor(sizes))


@settings(max_examples=40, deadline=None)
@given(layers(scopes=("compiled",)))
def test_accumulated_centroids_are_the_means_of_all_vectors(layer):
    pattern, geometry, size, _, seed = layer
    x, weight, bias, hash_vectors, thresholds = tensors(pattern, geometry, size, 4, seed)
    running = fresh(pattern.centroid_groups(geometry), pattern.ids, pattern.length)
    for part in x.split(2):
        reuse_conv2d(
            part, weight, bias, hash_vectors, thresholds, pattern, **conv_arguments(geometry),
            centroids=running.centroids, counts=running.counts, training=True, momentum=None,
        )  # fmt: skip
    vectors = hashed_vectors(x, geometry, pattern).reshape(-1, *running.centroids.shape[::2])
    ids = cluster_ids(x, hash_vectors, thresholds, geometry, pattern).view(-1, vectors.shape[1])
    for g in range(vectors.shape[1]):
        for number in range(pattern.ids):
            member = ids[:, g] == number
            assert running.counts[g, number] == member.sum()
            if member.any():
                torch.testing.assert_close(running.centroids[g, number], vectors[member, g].mean(0))


def test_momentum_weighs_a_batch_by_how_often_its_ids_occur():
    running = fresh(1, 4, 1)
    running.update(batch_of([1], [10]), torch.tensor([[2.0]]), 0.1)
    assert running.counts.tolist() == [[0, 10, 0, 0]]  # an id's first centroid is taken as it is
    assert running.centroids[0, 1].item() == 2
    running.update(batch_of([1, 3], [30, 5]), torch.tensor([[4.0], [7.0]]), 0.1)
    assert running.counts[0].tolist() == pytest.approx([0, 0.9 * 10 + 0.1 * 30, 0, 5])
    assert running.centroids[0, 1].item() == pytest.approx((9 * 2 + 3 * 4) / 12)
    assert running.centroids[0, 3].item() == 7


def test_an_id_once_seen_stays_seen_and_keeps_its_centroid():
    running = RunningCentroids(torch.zeros(1, 2, 1), torch.zeros(1, 2))
    running.update(batch_of([0, 1], [3, 3]), torch.tensor([[5.0], [1.0]]), 0.9)
    for _ in range(200):
        running.update(batch_of([1], [3]), torch.tensor([[1.0]]), 0.9)
    assert running.counts[0, 0] > 0
    assert running.centroids[0, 0].item() == 5


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 1000), st.floats(0.05, 0.9))
def test_unseen_ids_get_the_weighted_mean_of_their_nearest_seen_neighbours(hashes, groups, seed, density):
    generator = torch.Generator().manual_seed(seed)
    ids = 1 << hashes
    running = RunningCentroids(
        torch.randn(groups, ids, 2, generator=generator, dtype=torch.float64),
        torch.rand(groups, ids, generator=generator, dtype=torch.float64)
        * (torch.rand(groups, ids, generator=generator) < density),
    )
    filled = running.filled()
    for g, number in itertools.product(range(groups), range(ids)):
        counts = running.counts[g]
        if counts[number] > 0:
            expected = running.centroids[g, number]
        elif not counts.any():
            expected = torch.zeros(2, dtype=torch.float64)
        else:
            distances = torch.tensor([(number ^ other).bit_count() for other in range(ids)])
            nearest = (counts > 0) & (distances == distances[counts > 0].min())
            weights = counts[nearest]
            expected = (weights[:, None] * running.centroids[g][nearest]).sum(0) / weights.sum()
        torch.testing.assert_close(filled[g, number], expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 1000), st.floats(0.05, 0.9))
def test_in_a_tree_unseen_ids_get_the_mean_of_those_below_the_lowest_common_ancestor(hashes, groups, seed, density):
    generator = torch.Generator().manual_seed(seed)
    ids = 1 << hashes
    running = RunningCentroids(
        torch.randn(groups, ids, 2, generator=generator, dtype=torch.float64),
        torch.rand(groups, ids, generator=generator, dtype=torch.float64)
        * (torch.rand(groups, ids, generator=generator) < density),
    )
    filled = running.filled("tree")
    for g, number in itertools.product(range(groups), range(ids)):
        counts, expected = running.counts[g], torch.zeros(2, dtype=torch.float64)
        if counts[number] > 0:
            expected = running.centroids[g, number]
        elif counts.any():
            heights = torch.tensor([(number ^ other).bit_length() for other in range(ids)])
            nearest = (counts > 0) & (heights == heights[counts > 0].min())
            expected = (counts[nearest][:, None] * running.centroids[g][nearest]).sum(0) / counts[nearest].sum()
        torch.testing.assert_close(filled[g, number], expected)


def test_filling_sixteen_hashes_is_feasible():
    running = RunningCentroids(torch.zeros(1, 1 << 16, 2), torch.zeros(1, 1 << 16))
    running.centroids[0, 0], running.counts[0, 0] = torch.tensor([1.0, 2.0]), 1.0
    assert (running.filled()[0] == torch.tensor([1.0, 2.0])).all()


def test_evaluation_after_one_batch_is_that_batch():
    """With batch clusters accumulated from the same images, looking centroids up changes nothing."""
    for sharing in ("slice", "block", "layer"):
        pattern = Pattern(2, 3, scope="compiled", sharing=sharing)
        geometry = ConvGeometry(4, 3, 3, padding=(1, 1))
        operands = tensors(pattern, geometry, (6, 6), 3, 0)
        running = fresh(pattern.centroid_groups(geometry), 8, 2)
        more = {"centroids": running.centroids, "counts": running.counts, "padding": 1}
        trained = reuse_conv2d(*operands, pattern, training=True, momentum=0.1, **more)
        torch.testing.assert_close(reuse_conv2d(*operands, pattern, **more), trained)
