"""Random points of the whole pattern space with small layers that they apply to. Only for tests."""

from __future__ import annotations

from hypothesis import strategies as st
from naive_reuse import clustering_fields

from ostinato.reuse import ConvGeometry, Pattern


@st.composite
def orders(draw, sizes, tiles=True, first=None):
    """A permutation of the axes in `sizes`, some of them with tiles that need not divide them."""
    names = draw(st.permutations(list(sizes)))
    if first is not None:
        names = [first, *(name for name in names if name != first)]
    parts = []
    for name in names:
        tiled = tiles and name != first and sizes[name] > 1 and draw(st.booleans())
        parts.append(f"{name}:{draw(st.integers(2, sizes[name]))}" if tiled else name)
    return ".".join(parts)


@st.composite
def geometries(draw):
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    geometry = ConvGeometry(
        draw(st.integers(1, 5)), draw(st.integers(1, 3)), kernel,
        (draw(st.integers(1, 2)), draw(st.integers(1, 3))),
        (draw(st.integers(0, 2)), draw(st.integers(0, 1))),
        (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
    )  # fmt: skip
    size = tuple(draw(st.integers(d * (k - 1) + 1, 6)) for k, d in zip(kernel, geometry.dilation, strict=True))
    return geometry, size


@st.composite
def every_pattern(draw, directions=("vertical", "horizontal"), scopes=("image", "batch", "compiled"),
                  clusterings=("lsh", "tree", "kmeans", "hypercube")):  # fmt: skip
    """(pattern, geometry, image size, batch, seed): any order, direction, block, clustering, similarity and scope."""
    geometry, size = draw(geometries())
    direction = draw(st.sampled_from(directions)) if geometry.K > 1 else "vertical"
    clustering = draw(st.sampled_from(clusterings))
    if direction == "horizontal" or clustering in ("kmeans", "hypercube"):
        scopes = [scope for scope in scopes if scope in ("image", "batch")]
    scope, batch = draw(st.sampled_from(scopes)), draw(st.integers(1, 3))
    oh, ow = geometry.output_size(*size)
    per_image = scope in ("image", "compiled")
    rows = oh * ow * (1 if per_image else batch)
    sharing = "layer" if direction == "horizontal" else draw(st.sampled_from(["slice", "block", "layer"]))
    if sharing == "block":
        order = draw(st.sampled_from(["kh.kw.c", "kw.kh.c"]))
        length = draw(st.sampled_from([d for d in range(1, geometry.in_channels + 1) if geometry.in_channels % d == 0]))
    else:
        order = draw(orders({"c": geometry.in_channels, "kh": geometry.kernel_size[0], "kw": geometry.kernel_size[1]}))
        length = draw(st.integers(1, geometry.K // 2 if direction == "horizontal" else geometry.K))
    block_rows = draw(st.integers(1, min(5, rows) if direction == "vertical" else 5))
    hashes = draw(st.integers(1, 4))
    if clustering == "hypercube":
        hashes = min(hashes, length * block_rows)
    pattern = Pattern(
        length, hashes, order, scope, sharing, direction=direction, block_rows=block_rows,
        row_order=draw(orders({"b": batch, "oh": oh, "ow": ow}, first="b" if per_image else None)),
        similarity=draw(st.sampled_from(["euclidean", "angular"])), bins=draw(st.integers(2, 4)),
        seed=draw(st.integers(0, 99)), **clustering_fields(clustering),
    )  # fmt: skip
    return pattern, geometry, size, batch, draw(st.integers(0, 10_000))
