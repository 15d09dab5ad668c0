"""The method written straight from the papers' equations: float64, loops, no cleverness. Only for tests."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from hypothesis import strategies as st

from ostinato.reuse import ConvGeometry, Pattern
from ostinato.reuse.panel_clustering import seed_positions


def places(order, **sizes):
    """Every place of axes with `sizes`, one dictionary each, by the loops that `order` spells (GR §3.3)."""
    axes = [(part.split(":")[0], int(f"{part}:1".split(":")[1])) for part in order.split(".")]
    assert {name for name, _ in axes} == set(sizes)
    found = []
    for starts in itertools.product(*(range(0, sizes[name], tile) for name, tile in axes)):
        inside = (
            range(start, min(start + tile, sizes[name])) for start, (name, tile) in zip(starts, axes, strict=True)
        )
        found += [dict(zip([name for name, _ in axes], place, strict=True)) for place in itertools.product(*inside)]
    return found


def columns_of(x, geometry, order):
    """im2col of x (B, C, H, W), entry by entry: (B, P, K)."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = (
        geometry.kernel_size, geometry.stride, geometry.padding, geometry.dilation,
    )  # fmt: skip
    batch, channels, height, width = x.shape
    oh, ow = geometry.output_size(height, width)
    padded = np.zeros((batch, channels, height + 2 * ph, width + 2 * pw))
    padded[:, :, ph : ph + height, pw : pw + width] = x
    axes = [(p["c"], p["kh"], p["kw"]) for p in places(order, c=channels, kh=kh, kw=kw)]
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


def kmeans_of(vectors, pattern):
    """Ten of Lloyd's rounds from the vectors that the seed draws."""
    centres = [vectors[i] for i in seed_positions(len(vectors), pattern).tolist()]

    def nearest():
        distances = [[((v - c) ** 2).sum() for c in centres] for v in vectors]
        return [next(i for i, d in enumerate(row) if d < min(row) + 1e-12) for row in distances]

    for _ in range(10):
        labels = nearest()
        for c in range(len(centres)):
            members = [v for v, label in zip(vectors, labels, strict=True) if label == c]
            centres[c] = sum(members) / len(members) if members else centres[c]
    return nearest()


def hypercube_of(vectors, pattern):
    """DR §III-B1: bins of the dimensions with the widest range."""
    low, high = np.min(vectors, 0), np.max(vectors, 0)
    primary = sorted(range(len(vectors[0])), key=lambda d: low[d] - high[d])[: pattern.hashes]
    labels = []
    for vector in vectors:
        number = 0
        for d in primary:
            spread = high[d] - low[d]
            place = 0 if spread == 0 else min(int(pattern.bins * (vector[d] - low[d]) / spread), pattern.bins - 1)
            number = number * pattern.bins + place
        labels.append(number)
    return labels


def labels_of(vectors, hash_vectors, thresholds, pattern):
    """Cluster labels of vectors that are compared with each other."""
    if pattern.similarity == "angular":
        vectors = [v / np.linalg.norm(v) if v.any() else v for v in vectors]
    if pattern.clustering == "kmeans":
        return kmeans_of(vectors, pattern)
    if pattern.clustering == "hypercube":
        return hypercube_of(vectors, pattern)
    number_of = tree_id_of if pattern.clustering == "tree" else id_of
    return [number_of(v, hash_vectors, thresholds) for v in vectors]


def slice_of(rows, start, length):
    """Columns of one slice, with zeros up to a whole one."""
    part = rows[:, start : start + length]
    return np.pad(part, ((0, 0), (0, length - part.shape[1])))


def quantise(groups, hash_vectors, thresholds, pattern, length, centroids=None):
    """X̂ of row groups (each n×K): every b×L block replaced by the mean of its cluster; and the number of clusters.

    Blocks end with their group. Clusters do so in image scope.
    """
    out, clusters, b = [rows.copy() for rows in groups], 0, pattern.block_rows
    where = [(g, start) for g, rows in enumerate(groups) for start in range(0, len(rows) - b + 1, b)]
    for s, start in enumerate(range(0, groups[0].shape[1], length)):
        matrix = s % len(hash_vectors)
        for compared in range(len(groups)) if pattern.scope == "image" else [None]:
            mine = [(g, top) for g, top in where if compared in (None, g)]
            blocks = [slice_of(groups[g][top : top + b], start, length) for g, top in mine]
            labels = labels_of([v.ravel() for v in blocks], hash_vectors[matrix], thresholds[matrix], pattern)
            clusters += len(set(labels))
            for number in set(labels):
                members = [i for i, label in enumerate(labels) if label == number]
                mean = sum(blocks[i] for i in members) / len(members)
                if centroids is not None:
                    mean = centroids[s % len(centroids), number].reshape(b, length)
                for i in members:
                    g, top = mine[i]
                    target = out[g][top : top + b, start : start + length]
                    target[:] = mean[:, : target.shape[1]]
    return out, clusters


def horizontal_product(rows, matrix, hash_vectors, thresholds, pattern):
    """Y of one row group as GR §3.4 writes it: Y_i = Xc_i·Wc_i, weight rows summed by cluster; and clusters."""
    length, y, clusters = pattern.length, np.zeros((len(rows), matrix.shape[1])), 0
    whole = rows.shape[1] // length * length
    for top in range(0, len(rows), pattern.block_rows):
        panel = rows[top : top + pattern.block_rows]
        short = pattern.block_rows - len(panel)
        blocks = [panel[:, start : start + length] for start in range(0, whole, length)]
        vectors = [np.pad(block, ((0, short), (0, 0))).ravel() for block in blocks]
        labels = labels_of(vectors, hash_vectors[0], thresholds[0], pattern)
        clusters += len(set(labels))
        for number in set(labels):
            members = [j for j, label in enumerate(labels) if label == number]
            centroid = sum(blocks[j] for j in members) / len(members)
            y[top : top + len(panel)] += centroid @ sum(matrix[j * length : (j + 1) * length] for j in members)
        y[top : top + len(panel)] += panel[:, whole:] @ matrix[whole:]
    return y, clusters


def row_groups(columns, pattern, oh, ow):
    """Rows (b, p) of each group in the pattern's row order: one group per image, or one of all."""
    batch = len(columns)
    per_image = pattern.scope in ("image", "compiled")
    matters = pattern.block_rows > 1 or pattern.direction == "horizontal"
    row_order = pattern.row_order if matters else "b.oh.ow"  # sets of vectors have no order
    groups = [[b] for b in range(batch)] if per_image else [list(range(batch))]
    return [
        [(images[p["b"]], p["oh"] * ow + p["ow"]) for p in places(row_order, b=len(images), oh=oh, ow=ow)]
        for images in groups
    ]


def reuse_convolution(x, weight, bias, hash_vectors, thresholds, pattern, geometry, centroids=None):
    """Y (B, M, OH, OW) and the number of clusters; `centroids` in compiled scope's evaluation."""
    x, weight, hash_vectors, thresholds = (np.asarray(t, dtype=float) for t in (x, weight, hash_vectors, thresholds))
    columns, axes, padded = columns_of(x, geometry, pattern.order)
    matrix = np.array([weight[:, c, i, j] for c, i, j in axes])
    oh, ow = geometry.output_size(*x.shape[2:])
    if pattern.pixelwise:
        pixels = padded.transpose(0, 2, 3, 1).reshape(len(x), -1, geometry.in_channels)
        quantised, clusters = quantise(list(pixels), hash_vectors, thresholds, pattern, pattern.length, centroids)
        image = np.array(quantised).reshape(padded.transpose(0, 2, 3, 1).shape).transpose(0, 3, 1, 2)
        bare = ConvGeometry(
            geometry.in_channels, geometry.out_channels, geometry.kernel_size, geometry.stride, 0, geometry.dilation
        )
        y = columns_of(image, bare, pattern.order)[0] @ matrix
    else:
        order = row_groups(columns, pattern, oh, ow)
        groups = [np.array([columns[b, p] for b, p in rows]) for rows in order]
        if pattern.direction == "horizontal":
            results = [horizontal_product(rows, matrix, hash_vectors, thresholds, pattern) for rows in groups]
            products, clusters = [y for y, _ in results], sum(count for _, count in results)
        else:
            quantised, clusters = quantise(groups, hash_vectors, thresholds, pattern, pattern.length, centroids)
            products = [rows @ matrix for rows in quantised]
        y = np.zeros((len(x), oh * ow, len(weight)))
        for rows, product in zip(order, products, strict=True):
            for (b, p), result in zip(rows, product, strict=True):
                y[b, p] = result
    y = y + (0 if bias is None else np.asarray(bias, dtype=float))
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
    if clustering == "lsh":
        return {}
    return {"clustering": clustering, "init": "pca" if clustering == "tree" else "random", "gradient": "frozen"}


def tensors(pattern, geometry, size, batch, seed):
    """Random float64 x, weight, bias, hash vectors (zero beyond a ragged last slice) and thresholds."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    groups = pattern.hash_groups(geometry)
    hash_vectors = normal(groups, pattern.block_size, pattern.planes)
    ragged = geometry.K % pattern.length
    if pattern.sharing == "slice" and ragged:
        hash_vectors.view(groups, pattern.block_rows, pattern.length, -1)[-1, :, ragged:] = 0
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
