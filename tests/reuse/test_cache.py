"""Scope across_batches against DR Algorithm 1 written out row by row."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_reuse import columns_of, conv_arguments, labels_of, row_groups, slice_of, tensors
from pattern_space import every_pattern

from ostinato.errors import PatternError
from ostinato.reuse import ConvGeometry, Pattern, ResultCache, ReuseStats, reuse_conv2d


class Algorithm1:
    """S_id and O_id for each slice, and the listing's loop over row vectors; at most `entries` ids in all."""

    def __init__(self, entries):
        self.entries, self.outputs, self.vectors, self.reused, self.computed = entries, {}, 0, 0, 0

    def run(self, x, weight, bias, hash_vectors, thresholds, pattern, geometry):
        columns, axes, _ = columns_of(x, geometry, pattern.order)
        matrix = np.array([weight[:, c, i, j] for c, i, j in axes])
        oh, ow = geometry.output_size(*x.shape[2:])
        (order,) = row_groups(columns, pattern, oh, ow)
        rows, b, length = np.array([columns[i, p] for i, p in order]), pattern.block_rows, pattern.length
        y = np.zeros((len(rows), matrix.shape[1]))
        known, forgotten = dict(self.outputs), {}
        for top in range(0, len(rows) - b + 1, b):
            for s, start in enumerate(range(0, geometry.K, length)):
                block, w = slice_of(rows[top : top + b], start, length), matrix[start : start + length]
                g = s % len(hash_vectors)
                (number,) = labels_of([block.ravel()], hash_vectors[g], thresholds[g], pattern)
                key = s, number
                self.vectors, self.reused = self.vectors + 1, self.reused + (key in known)
                if key not in self.outputs and key not in forgotten:
                    self.computed += 1
                    kept = self.outputs if len(self.outputs) < self.entries else forgotten
                    kept[key] = block[:, : len(w)] @ w
                y[top : top + b] += self.outputs[key] if key in self.outputs else forgotten[key]
        left = len(rows) // b * b
        y[left:] = rows[left:] @ matrix
        image = np.zeros((len(x), oh * ow, matrix.shape[1]))
        for (i, p), result in zip(order, y, strict=True):
            image[i, p] = result + bias
        return image.transpose(0, 2, 1).reshape(len(x), -1, oh, ow)


ACROSS = {"scopes": ("across_batches",), "directions": ("vertical",), "clusterings": ("lsh", "tree")}


@settings(max_examples=120, deadline=None)
@given(every_pattern(**ACROSS), st.sampled_from([1, 3, 10, 1 << 20]))
def test_batches_are_algorithm_1(layer, entries):
    pattern, geometry, size, batch, seed = layer
    operands = tensors(*layer)
    batches = [operands[0], tensors(pattern, geometry, size, batch, seed + 1)[0], operands[0] * 0.5]
    cache, stats, by_hand = ResultCache(entries), ReuseStats(), Algorithm1(entries)
    for x in batches:
        y = reuse_conv2d(x, *operands[1:], pattern, **conv_arguments(geometry), cache=cache, stats=stats)
        expected = by_hand.run(*(t.numpy() for t in (x, *operands[1:])), pattern, geometry)
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-10, atol=1e-10)
    assert len(cache) == len(by_hand.outputs) <= entries
    assert (stats.vectors, stats.reused, stats.clusters) == (by_hand.vectors, by_hand.reused, by_hand.computed)
    assert stats.reuse_rate == by_hand.reused / by_hand.vectors


def layer():
    pattern = Pattern(5, 3, scope="across_batches", representative="mean")
    geometry = ConvGeometry(3, 4, 3)
    return pattern, geometry, tensors(pattern, geometry, (6, 6), 2, 0)


def test_with_means_the_first_batch_is_batch_scope_and_seen_again_it_is_all_reused():
    pattern, _, operands = layer()
    cache, first, again = ResultCache(1 << 20), ReuseStats(), ReuseStats()
    y = reuse_conv2d(*operands, pattern, cache=cache, stats=first)
    torch.testing.assert_close(y, reuse_conv2d(*operands, Pattern(5, 3, scope="batch")))
    assert torch.equal(reuse_conv2d(*operands, pattern, cache=cache, stats=again), y)
    assert (first.reuse_rate, again.reuse_rate, again.clusters) == (0.0, 1.0, 0)
    cache.reset()
    assert len(cache) == 0
    assert torch.equal(reuse_conv2d(*operands, pattern, cache=cache), y)


def test_in_training_it_is_batch_scope_with_its_gradients():
    pattern, _, operands = layer()
    leaves = [t.clone().requires_grad_() for t in operands]
    y = reuse_conv2d(*leaves, pattern, training=True)
    y.square().sum().backward()
    batch = [t.clone().requires_grad_() for t in operands]
    reuse_conv2d(*batch, Pattern(5, 3, scope="batch"), training=True).square().sum().backward()
    for mine, theirs in zip(leaves, batch, strict=True):
        assert torch.equal(mine.grad, theirs.grad)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"clustering": "kmeans", "gradient": "frozen"}, "kmeans builds its clusters anew.*'across_batches'"),
        ({"direction": "horizontal", "sharing": "layer"}, "scope 'image' or 'batch', not 'across_batches'"),
        ({"cache_entries": 0}, "cache_entries must be an integer at least 1"),
        ({"representative": "median"}, "first, mean"),
    ],
)
def test_what_cannot_be_kept_across_batches_is_refused(fields, words):
    with pytest.raises(PatternError, match=words):
        Pattern(4, 3, scope="across_batches", **fields)
