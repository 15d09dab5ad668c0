"""Soft ids against vectors and leaves taken one by one, in float64."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from ostinato.errors import PatternError
from ostinato.reuse import ConvGeometry, Pattern, RunningCentroids, cluster_ids, layout, reuse_conv2d, soft_ids
from ostinato.reuse.hashing import unit_length

BLOCKS, SIZE = 2, 5
TREE = Pattern(3, 3, scope="compiled", sharing="block", clustering="tree", init="pca", gradient="soft")
LSH = Pattern(3, 3, scope="compiled", sharing="block", gradient="soft")


def case(pattern, seed, free):
    torch.manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64)  # noqa: E731
    channels = BLOCKS * pattern.length
    tensors = {
        "x": draw(2, channels, SIZE, SIZE), "weight": draw(4, channels, 3, 3), "bias": draw(4),
        "hash_vectors": draw(BLOCKS, pattern.length, pattern.planes), "thresholds": 0.3 * draw(BLOCKS, pattern.planes),
    }  # fmt: skip
    if free:
        tensors["table_offsets"] = draw(4, BLOCKS * pattern.ids, 3, 3)
    return {name: t.requires_grad_() for name, t in tensors.items()}


def ours(pattern, tensors, training=True):
    centroids = torch.zeros(BLOCKS, pattern.ids, pattern.length, dtype=torch.float64)
    counts = torch.zeros(BLOCKS, pattern.ids, dtype=torch.float64)
    y = reuse_conv2d(
        **tensors, pattern=pattern, padding=1, centroids=centroids, counts=counts, training=training, momentum=None
    )
    return y, RunningCentroids(centroids, counts)


def probability(pattern, row, planes, thresholds, slopes, leaf):
    """Of one vector to come to one leaf: a factor for each bit of the leaf's number, the most significant first."""
    found, node = torch.ones((), dtype=torch.float64), 0
    for h in range(pattern.hashes):
        bit = leaf >> (pattern.hashes - 1 - h) & 1
        plane = (1 << h) - 1 + node if pattern.clustering == "tree" else h
        above = torch.sigmoid(slopes[plane] * (row @ planes[:, plane] - thresholds[plane]))
        above = above if planes[:, plane].any() else 0 * above
        found = found * (above if bit else 1 - above)
        node = 2 * node + bit
    return found


def by_hand(pattern, tensors):
    """The layer with e = hard + (soft − soft held fixed), vector by vector."""
    x, weight, planes, thresholds = (tensors[n] for n in ("x", "weight", "hash_vectors", "thresholds"))
    geometry = ConvGeometry(x.shape[1], 4, (3, 3), (1, 1), (1, 1))
    ids = cluster_ids(x.detach(), planes.detach(), thresholds.detach(), geometry, pattern)
    rows = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1).reshape(-1, BLOCKS, pattern.length)
    ids = ids.reshape(-1, BLOCKS)
    compared = rows
    if pattern.similarity == "angular":
        compared = torch.stack([unit_length(r) for r in rows])
    quantised, units = [], []
    for s in range(BLOCKS):
        slopes = torch.full((pattern.planes,), pattern.soft_slope, dtype=torch.float64)
        if pattern.clustering == "lsh":
            slopes = slopes / (compared[:, s] @ planes[s]).std(0).detach()
        members = [rows[ids[:, s] == k, s].detach() for k in range(pattern.ids)]
        means = torch.stack([m.mean(0) if len(m) else m.new_zeros(pattern.length) for m in members])
        soft = torch.stack([
            torch.stack([probability(pattern, r, planes[s], thresholds[s], slopes, k) for k in range(pattern.ids)])
            for r in compared[:, s]
        ])  # fmt: skip
        unit = F.one_hot(ids[:, s], pattern.ids).double() + (soft - soft.detach())
        units.append(unit)
        quantised.append(unit @ means)
    side = SIZE + 2
    image = lambda parts: torch.cat(parts, 1).view(2, side, side, -1).permute(0, 3, 1, 2)  # noqa: E731
    y = F.conv2d(image(quantised), weight, tensors["bias"])
    return y + F.conv2d(image(units), tensors["table_offsets"]) if "table_offsets" in tensors else y


@given(
    st.sampled_from([TREE, LSH]), st.integers(1, 3), st.sampled_from(["euclidean", "angular"]), st.booleans(),
    st.floats(0.5, 8.0), st.integers(0, 999),
)  # fmt: skip
@settings(max_examples=12, deadline=None)
def test_values_and_all_gradients_are_those_of_leaves_taken_one_by_one(kind, hashes, similarity, free, slope, seed):
    pattern = dataclasses.replace(kind, hashes=hashes, similarity=similarity, soft_slope=slope)
    tensors = case(pattern, seed, free)
    if pattern.clustering == "tree" and hashes > 1:
        with torch.no_grad():
            tensors["hash_vectors"][0, :, 2] = 0  # a node that does not split
            tensors["thresholds"][0, 2] = 0
    made, _ = ours(pattern, tensors)
    expected = by_hand(pattern, tensors)
    torch.testing.assert_close(made, expected, rtol=1e-10, atol=1e-10)
    outer = torch.randn_like(made)
    found, wanted = (torch.autograd.grad(y, list(tensors.values()), outer) for y in (made, expected))
    for name, ours_, theirs in zip(tensors, found, wanted, strict=True):
        torch.testing.assert_close(ours_, theirs, rtol=1e-9, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("pattern", [TREE, LSH])
def test_what_is_computed_and_remembered_does_not_depend_on_the_gradient(pattern):
    tensors = case(pattern, 3, free=True)
    (soft, kept), (frozen, same) = (ours(dataclasses.replace(pattern, gradient=g), tensors) for g in ("soft", "frozen"))
    torch.testing.assert_close(soft, frozen, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(kept.centroids, same.centroids, rtol=1e-12, atol=1e-12)
    assert torch.equal(kept.counts, same.counts)


def test_a_plane_moves_towards_the_better_side():
    """One pixel, one bit: its id's row costs more than the other's, and a step against the gradient flips the bit."""
    pattern = Pattern(
        1, 1, scope="compiled", sharing="block", clustering="tree", init="pca", gradient="soft", table="free"
    )
    x = torch.tensor([0.2]).view(1, 1, 1, 1).requires_grad_()
    plane, threshold = torch.ones(1, 1, 1).requires_grad_(), torch.zeros(1, 1).requires_grad_()
    y = reuse_conv2d(
        x, torch.zeros(1, 1, 1, 1), None, plane, threshold, pattern, centroids=torch.zeros(1, 2, 1),
        counts=torch.zeros(1, 2), table_offsets=torch.tensor([0.0, 1.0]).view(1, 2, 1, 1), training=True,
    )  # fmt: skip
    y.sum().backward()
    assert y.item() == 1.0
    assert threshold.grad.item() < 0  # descent raises it, so that 0.2 comes to lie below
    assert x.grad.item() > 0


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"scope": "image"}, "gradient='soft' needs compiled scope"),
        ({"scope": "compiled"}, "gradient='soft' needs compiled scope with sharing='block'"),
        ({"scope": "compiled", "sharing": "block", "input_gradient": "straight-through"}, "leave input_gradient out"),
        ({"scope": "compiled", "sharing": "block", "soft_slope": 0.0}, "soft_slope must be a finite number above 0"),
    ],
)
def test_refusals(fields, text):
    with pytest.raises(PatternError, match=text):
        Pattern(4, 3, gradient="soft", **fields)


def test_a_few_images_at_a_time_give_the_same(monkeypatch):
    tensors = case(TREE, 0, free=True)
    wanted = torch.autograd.grad(ours(TREE, tensors)[0].square().sum(), list(tensors.values()))
    parts = []
    monkeypatch.setattr(soft_ids, "_HELD", 1)
    monkeypatch.setattr(layout, "_HELD", 1)
    original = soft_ids.logit_gradient
    monkeypatch.setattr(soft_ids, "logit_gradient", lambda *args: parts.append(len(args[0])) or original(*args))
    found = torch.autograd.grad(ours(TREE, tensors)[0].square().sum(), list(tensors.values()))
    assert parts == [1, 1, 1]  # the padding of both, and each of them
    for a, b in zip(wanted, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
