"""The method written straight from the papers' equations: float64, loops, no cleverness. Only for tests."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

from ostinato.reuse import ConvGeometry, Pattern


def columns_of(x, geometry, order):
    """im2col of x (B, C, H, W), entry by entry: (B, P, K)."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = (
        geometry.kernel_size, geometry.stride, geometry.padding, geometry.dilation,
    )  # fmt: skip
    batch, channels, height, width = x.shape
    oh, ow = geometry.output_size(height, width)
    padded = np.zeros((batch, channels, height + 2 * ph, width + 2 * pw))
    padded[:, :, ph : ph + height, pw : pw + width] = x
    if order == "c.kh.kw":
        axes = [(c, i, j) for c in range(channels) for i in range(kh) for j in range(kw)]
    else:
        axes = [(c, i, j) for i in range(kh) for j in range(kw) for c in range(channels)]
    out = np.zeros((batch, oh * ow, geometry.K))
    for b in range(batch):
        for r in range(oh):
            for q in range(ow):
                out[b, r * ow + q] = [padded[b, c, r * sh + i * dh, q * sw + j * dw] for c, i, j in axes]
    return out, axes, padded


def id_of(vector, hash_vectors, thresholds):
    """Eq. 3.1 and bindec, most significant bit first."""
    number = 0
    for h in range(hash_vectors.shape[1]):
        projection = sum(vector[i] * hash_vectors[i, h] for i in range(len(vector))) - thresholds[h]
        number = 2 * number + (1 if projection > 0 else 0)
    return number


def tree_id_of(vector, hash_vectors, thresholds):
    """One vector's way down a tree in heap order: the root's bit is the most significant."""
    node, number = 0, 0
    while node < hash_vectors.shape[1]:
        projection = sum(vector[i] * hash_vectors[i, node] for i in range(len(vector))) - thresholds[node]
        bit = 1 if projection > 0 else 0
        node, number = 2 * node + 1 + bit, 2 * number + bit
    return number


def quantise(columns, hash_vectors, thresholds, length, per_image, centroids=None, clustering="lsh"):
    """X̂ of columns (B, P, K): every vector replaced by the mean of its cluster; and the number of clusters."""
    batch, positions, width = columns.shape
    number_of = tree_id_of if clustering == "tree" else id_of
    out, clusters = np.zeros_like(columns), 0
    for s, start in enumerate(range(0, width, length)):
        group = s % len(hash_vectors)
        members: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for b in range(batch):
            for p in range(positions):
                number = number_of(columns[b, p, start : start + length], hash_vectors[group], thresholds[group])
                members.setdefault((b if per_image else 0, number), []).append((b, p))
        clusters += len(members)
        for (_, number), rows in members.items():
            vectors = [columns[b, p, start : start + length] for b, p in rows]
            mean = sum(vectors) / len(vectors)
            if centroids is not None:
                mean = centroids[s % len(centroids), number, : len(mean)]
            for b, p in rows:
                out[b, p, start : start + length] = mean
    return out, clusters


def reuse_convolution(x, weight, bias, hash_vectors, thresholds, pattern, geometry, centroids=None):
    """Y (B, M, OH, OW) and the number of clusters; `centroids` in compiled scope's evaluation."""
    x, weight, hash_vectors, thresholds = (np.asarray(t, dtype=float) for t in (x, weight, hash_vectors, thresholds))
    columns, axes, padded = columns_of(x, geometry, pattern.order)
    if pattern.scope == "compiled" and pattern.sharing == "block":
        pixels = padded.transpose(0, 2, 3, 1).reshape(len(x), -1, geometry.in_channels)
        quantised, clusters = quantise(
            pixels, hash_vectors, thresholds, pattern.length, False, centroids, pattern.clustering
        )
        image = quantised.reshape(padded.transpose(0, 2, 3, 1).shape).transpose(0, 3, 1, 2)
        bare = ConvGeometry(
            geometry.in_channels, geometry.out_channels, geometry.kernel_size, geometry.stride, 0, geometry.dilation
        )
        columns = columns_of(image, bare, pattern.order)[0]
    else:
        per_image = pattern.scope == "image"
        columns, clusters = quantise(
            columns, hash_vectors, thresholds, pattern.length, per_image, centroids, pattern.clustering
        )
    matrix = np.array([weight[:, c, i, j] for c, i, j in axes])
    y = columns @ matrix + (0 if bias is None else np.asarray(bias, dtype=float))
    oh, ow = geometry.output_size(*x.shape[2:])
    return y.transpose(0, 2, 1).reshape(len(x), -1, oh, ow), clusters


@st.composite
def layers(draw, scopes=("image", "batch", "compiled"), max_hashes=5, clusterings=("lsh", "tree")):
    """A small random layer: (pattern, geometry, image size, batch, seed)."""
    channels = draw(st.integers(1, 6))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    geometry = ConvGeometry(
        channels, draw(st.integers(1, 4)), kernel,
        (draw(st.integers(1, 2)), draw(st.integers(1, 3))),
        (draw(st.integers(0, 2)), draw(st.integers(0, 1))),
        (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
    )  # fmt: skip
    size = tuple(draw(st.integers(d * (k - 1) + 1, 6)) for k, d in zip(kernel, geometry.dilation, strict=True))
    sharing = draw(st.sampled_from(["slice", "block", "layer"]))
    order = "kh.kw.c" if sharing == "block" else draw(st.sampled_from(["kh.kw.c", "c.kh.kw"]))
    if sharing == "block":
        length = draw(st.sampled_from([d for d in range(1, channels + 1) if channels % d == 0]))
    else:
        length = draw(st.integers(1, geometry.K))
    pattern = Pattern(
        length, draw(st.integers(1, max_hashes)), order, draw(st.sampled_from(scopes)), sharing,
        seed=draw(st.integers(0, 99)), **clustering_fields(draw(st.sampled_from(clusterings))),
    )  # fmt: skip
    return pattern, geometry, size, draw(st.integers(1, 3)), draw(st.integers(0, 10_000))


def clustering_fields(clustering):
    """What a pattern needs to say to have this clustering."""
    return {"clustering": "tree", "init": "pca", "gradient": "frozen"} if clustering == "tree" else {}


def tensors(pattern, geometry, size, batch, seed):
    """Random float64 x, weight, bias, hash vectors (zero beyond a ragged last slice) and thresholds."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    groups = pattern.hash_groups(geometry)
    hash_vectors = normal(groups, pattern.length, pattern.planes)
    ragged = geometry.K % pattern.length
    if pattern.sharing == "slice" and ragged:
        hash_vectors[-1, ragged:] = 0
    thresholds = 0.3 * normal(groups, pattern.planes)
    if pattern.clustering == "tree":  # some dead nodes
        alive = torch.rand(groups, pattern.planes, generator=generator) < 0.8
        hash_vectors, thresholds = hash_vectors * alive[:, None], thresholds * alive
    return (
        normal(batch, geometry.in_channels, *size),
        normal(geometry.out_channels, geometry.in_channels, *geometry.kernel_size),
        normal(geometry.out_channels),
        hash_vectors,
        thresholds,
    )


def conv_arguments(geometry):
    return {"stride": geometry.stride, "padding": geometry.padding, "dilation": geometry.dilation}
