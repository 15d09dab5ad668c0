"""The form for accelerators: what it gives, and that no step of it waits for another's result."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ostinato.errors import ModelError
from ostinato.nn import ReuseConv2d
from ostinato.reuse import ConvGeometry, ReuseStats, reuse_conv2d
from ostinato.reuse.accelerator import as_on_accelerator
from ostinato.reuse.paths import paths
from ostinato.reuse.pattern import Pattern

LSH = Pattern(3, 3, scope="compiled", sharing="block", gradient_share=0.5)
TREE = Pattern(4, 2, scope="compiled", sharing="block", clustering="tree", init="pca", gradient="frozen")
BY_PIXEL = {
    **{
        gradient: replace(LSH, gradient=gradient) for gradient in ("frozen", "flip", "straight-through", "soft", "trec")
    },
    "angular": replace(LSH, similarity="angular"),
    "trec, wide": replace(LSH, gradient="trec", slope=4.0, centre=0.1, sigma=0.3),
    "angular, trec": replace(LSH, gradient="trec", slope=20.0, similarity="angular"),
    "angular, soft": replace(LSH, similarity="angular", gradient="soft"),
    "tree": TREE,
    "tree, soft": replace(TREE, gradient="soft"),
    "free table": replace(TREE, table="free"),
    "free table, soft": replace(TREE, table="free", gradient="soft"),
    "straight through": replace(TREE, input_gradient="straight-through", commitment=0.5),
}
BY_CLUSTER = {
    "image": Pattern(3, 2, gradient_share=0.5),
    "image, straight-through": Pattern(3, 2, gradient="straight-through", sharing="block"),
    "batch": Pattern(5, 2, scope="batch", order="c.kh.kw"),
    "compiled": Pattern(3, 2, scope="compiled", gradient_share=0.5),
    "more ids than vectors": Pattern(3, 6, gradient="frozen"),
    "blocks of rows": Pattern(3, 1, block_rows=2, gradient_share=0.5),
    "image, tree": Pattern(3, 2, clustering="tree", init="pca", gradient="frozen"),
    "horizontal": Pattern(3, 2, direction="horizontal", block_rows=4, sharing="layer", gradient="frozen"),
}
PATTERNS = BY_PIXEL | BY_CLUSTER


def inputs(pattern: Pattern, seed: int, device: str = "cpu") -> tuple[list[Tensor], dict[str, Tensor]]:
    """Input, weight, bias, hash vectors and thresholds of a layer, all to be learned, and its other tensors."""
    torch.manual_seed(seed)
    geometry = ConvGeometry(6 if pattern.length in (3, 5) else 8, 5, (3, 3), (2, 1), (1, 0))
    groups, draw = pattern.hash_groups(geometry), partial(torch.randn, dtype=torch.float64)
    x = draw(3, geometry.in_channels, 5, 4)
    x[:, :, 1] = 0  # as behind a ReLU
    hash_vectors, thresholds = draw(groups, pattern.block_size, pattern.planes), 0.3 * draw(groups, pattern.planes)
    if pattern.clustering == "tree":
        hash_vectors[0, :, -1], thresholds[0, -1] = 0, 0  # a node that is not cut
    learned = [x, draw(5, x.shape[1], 3, 3), draw(5), hash_vectors, thresholds]
    others = {}
    if pattern.scope == "compiled":
        sets = pattern.centroid_groups(geometry), pattern.ids
        others = {"centroids": draw(*sets, pattern.block_size), "counts": torch.rand(sets, dtype=torch.float64)}
        others["counts"][:, 0] = 0  # never seen
    if pattern.table == "free":
        others["table_offsets"] = draw(5, groups * pattern.ids, 3, 3)
    others = {name: t.to(device).requires_grad_(name == "table_offsets") for name, t in others.items()}
    return [t.to(device).requires_grad_() for t in learned], others


def everything(pattern: Pattern, seed: int, training: bool, device: str = "cpu") -> list[Tensor]:
    """Outputs, gradients, and what a step leaves in the buffers."""
    learned, others = inputs(pattern, seed, device)
    stats = ReuseStats()
    y = reuse_conv2d(
        *learned, pattern, padding=(1, 0), stride=(2, 1), training=training, momentum=pattern.momentum, stats=stats,
        **others,
    )  # fmt: skip
    wanted = [*learned, *(t for t in others.values() if t.requires_grad)]
    left = torch.autograd.grad(
        y, wanted, torch.randn(y.shape, dtype=y.dtype).to(device), allow_unused=True, materialize_grads=True
    )
    if pattern.scope == "compiled":
        seen = (others["counts"] > 0).unsqueeze(2)  # what is at ids never seen means nothing
        left = (*left, others["counts"], torch.where(seen, others["centroids"], 0.0))
    return [t.detach().cpu() for t in (y, *left, torch.tensor([stats.vectors, stats.clusters, stats.unseen]))]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1 << 16))
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", PATTERNS)
def test_it_gives_what_the_usual_form_does(name: str, training: bool, seed: int) -> None:
    usual = everything(PATTERNS[name], seed, training)
    with as_on_accelerator():
        found = everything(PATTERNS[name], seed, training)
    for a, b in zip(usual, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: what one gives, beside a CPU")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", PATTERNS)
def test_a_gpu_gives_what_a_cpu_does(name: str, training: bool) -> None:
    usual, found = everything(PATTERNS[name], 0, training), everything(PATTERNS[name], 0, training, "cuda")
    for a, b in zip(usual, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


class Waits(TorchDispatchMode):
    """Counts operations whose result the processor needs, or whose size depends on the data."""

    ASKING = ("_local_scalar_dense", "nonzero", "bincount", "_unique2", "unique_dim", "equal", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.ASKING:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def waits(pattern: Pattern) -> list[str]:
    """In a step of training."""
    (learned, others), mode = inputs(pattern, 0), Waits()
    with as_on_accelerator(), mode:
        y = reuse_conv2d(*learned, pattern, padding=(1, 0), stride=(2, 1), training=True, momentum=0.1, **others)
        y.sum().backward()
    return mode.found


@pytest.mark.parametrize("name", PATTERNS.keys() - {"more ids than vectors"})
def test_no_step_of_training_is_waited_for(name: str) -> None:
    assert waits(PATTERNS[name]) == []


def test_what_is_waited_for_is_found() -> None:
    assert waits(PATTERNS["more ids than vectors"])


@pytest.mark.parametrize("pattern", [LSH, TREE])
def test_paths_probabilities_are_products_of_bits(pattern: Pattern) -> None:
    torch.manual_seed(0)
    planes = 1 << pattern.hashes if pattern.clustering == "tree" else pattern.hashes
    logits, worth = torch.randn(5, planes, dtype=torch.float64), torch.randn(5, pattern.ids, dtype=torch.float64)
    found = paths(pattern.hashes, pattern.clustering == "tree", worth)
    wanted = torch.ones_like(worth)
    for leaf in range(pattern.ids):
        node = 0
        for h in range(pattern.hashes):
            bit = leaf >> (pattern.hashes - 1 - h) & 1
            logit = logits[:, (1 << h) - 1 + node if pattern.clustering == "tree" else h]
            wanted[:, leaf] *= torch.sigmoid(logit if bit else -logit)
            node = 2 * node + bit
    torch.testing.assert_close(found.probabilities(logits), wanted, rtol=1e-12, atol=0)
    logits.requires_grad_()
    (by_autograd,) = torch.autograd.grad((found.probabilities(logits) * worth).sum(), logits)
    torch.testing.assert_close(found.logit_gradient(logits.detach(), worth), by_autograd, rtol=1e-10, atol=1e-12)


def test_a_vector_of_zeros_has_no_direction_and_no_gradient() -> None:
    learned, others = inputs(BY_PIXEL["angular, soft"], 0)
    reuse_conv2d(*learned, BY_PIXEL["angular, soft"], padding=1, training=True, momentum=0.1, **others).sum().backward()
    assert learned[0].grad is not None
    assert not learned[0].grad[:, :, 1].any()
    assert learned[0].grad[:, :, 0].abs().min() > 0


def test_a_compiled_layer_asks_for_its_counts_once_in_evaluation_and_again_when_they_change() -> None:
    layer = ReuseConv2d(ConvGeometry(6, 5, (3, 3)), replace(LSH, gradient="frozen"), bias=True)
    x = torch.randn(2, 6, 5, 5)
    layer.train()(x)
    layer.eval()
    with torch.no_grad():
        layer(x)
        with Waits() as again:
            wanted = layer(x)
        assert again.found == []
        layer.centroid_counts.zero_()
        with pytest.raises(ModelError, match="no centroids yet"):
            layer(x)
        layer.centroid_counts.fill_(1)
        torch.testing.assert_close(layer(x), wanted)
