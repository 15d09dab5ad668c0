"""The reference executor against loops over Python integers, written from the formulas in `ops.py`."""

from __future__ import annotations

import numpy as np
from fixed_point_c import c_divide, multiply_by_quantized_multiplier
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_loops import bits, clamp, columns_of, outputs, row, tap, taps, tensors, windows

from ostinato.quant import reference
from ostinato.quant.arithmetic import quantize_multiplier
from ostinato.quant.ops import (
    ConvDims,
    QAvgPool2d,
    QConv2d,
    QGraph,
    QHash,
    QLinear,
    QMaxPool2d,
    QReuseCompiled,
    QReuseImage,
    QTensor,
)
from ostinato.quant.reuse_reference import image_overflows


@settings(max_examples=40, deadline=None)
@given(windows(), st.integers(0, 10**6))
def test_conv2d(dims: ConvDims, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target, x = tensors(dims, rng)
    out = dims.output[2]
    groups = int(rng.choice([g for g in (1, 2, 3, 4) if out % g == 0 == dims.input[2] % g]))
    each = dims.input[2] // groups
    weight = rng.integers(-127, 128, (out, *dims.kernel, each)).astype(np.int8)
    bias = rng.integers(-5000, 5000, out).astype(np.int32)
    factors = [quantize_multiplier(float(real)) for real in rng.uniform(1e-4, 1e-2, out)]
    multiplier, shift = (np.array(column, np.int32) for column in zip(*factors, strict=True))
    op = QConv2d(
        name="c", input=source, output=target, dims=dims, weight=weight, bias=bias, multiplier=multiplier, shift=shift,
        activation_min=-100, activation_max=90, groups=groups,
    )  # fmt: skip
    made = reference.execute_op(op, x)
    for i, j in outputs(dims):
        for m in range(out):
            acc = int(bias[m])
            for kh, kw in taps(dims):
                at = tap(x, dims, i, j, kh, kw)
                for c in range(each):
                    channel = m // (out // groups) * each + c
                    q = int(x[at[0], at[1], channel]) if at else source.zero_point
                    acc += (q - source.zero_point) * int(weight[m, kh, kw, c])
            scaled = multiply_by_quantized_multiplier(acc, int(multiplier[m]), int(shift[m])) + target.zero_point
            assert made[i, j, m] == clamp(scaled, -100, 90)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 12), st.integers(0, 10**6))
def test_linear(out: int, features: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = QTensor("x", (features,), 0.1, int(rng.integers(-128, 128))), QTensor("y", (out,), 0.1, 3)
    x = rng.integers(-128, 128, features).astype(np.int8)
    weight = rng.integers(-127, 128, (out, features)).astype(np.int8)
    bias = rng.integers(-5000, 5000, out).astype(np.int32)
    multiplier, shift = np.full(out, quantize_multiplier(0.003)[0]), np.full(out, quantize_multiplier(0.003)[1])
    op = QLinear(name="l", input=source, output=target, weight=weight, bias=bias, multiplier=multiplier, shift=shift)
    for m, y in enumerate(reference.execute_op(op, x)):
        acc = int(bias[m]) + sum((int(q) - source.zero_point) * int(w) for q, w in zip(x, weight[m], strict=True))
        assert y == clamp(multiply_by_quantized_multiplier(acc, int(multiplier[m]), int(shift[m])) + 3, -128, 127)


@settings(max_examples=40, deadline=None)
@given(windows(pool=True), st.integers(0, 10**6))
def test_pooling(dims: ConvDims, seed: int) -> None:
    x = np.random.default_rng(seed).integers(-128, 128, dims.input).astype(np.int8)
    source, target = QTensor("x", dims.input, 0.1, 5), QTensor("y", dims.output, 0.1, 5)
    largest = reference.execute_op(QMaxPool2d(name="p", input=source, output=target, dims=dims), x)
    mean = reference.execute_op(QAvgPool2d(name="p", input=source, output=target, dims=dims), x)
    for i, j in outputs(dims):
        for c in range(dims.input[2]):
            seen = [int(x[at[0], at[1], c]) for kh, kw in taps(dims) if (at := tap(x, dims, i, j, kh, kw))]
            assert largest[i, j, c] == max(seen)
            total, count = sum(seen), len(seen)
            assert mean[i, j, c] == c_divide(total + c_divide(count, 2) * (1 if total >= 0 else -1), count)


@given(st.integers(1, 4), st.integers(0, 10**6))
def test_a_tree_asks_one_plane_a_level(hashes: int, seed: int) -> None:
    """Walking children 2p + 1 (bit 0) and 2p + 2 (bit 1) from the root; leaves are numbered from left to right."""
    rng = np.random.default_rng(seed)
    planes = 2**hashes - 1
    hashing = QHash(
        vectors=rng.integers(-127, 128, (2, planes, 5)).astype(np.int8),
        offset=rng.integers(-9000, 9000, (2, planes)).astype(np.int32),
        tree=True,
    )
    assert hashing.hashes == hashes
    rows = rng.integers(-128, 128, (6, 5))
    for row_values, made in zip(rows.tolist(), reference.hash_ids(rows, hashing, 1), strict=True):
        plane = 0
        for _ in range(hashes):
            total = int(hashing.offset[1, plane])
            total += sum(int(v) * q for v, q in zip(hashing.vectors[1, plane], row_values, strict=True))
            plane = 2 * plane + 1 + (total > 0)
        assert made == plane - planes


def sat16(value: int) -> int:
    return clamp(value, -(2**15), 2**15 - 1)


@settings(max_examples=60, deadline=None)
@given(
    windows(), st.sampled_from(["kh.kw.c", "c.kh.kw"]), st.integers(1, 4), st.sampled_from([1, 2, 5, 99]),
    st.booleans(), st.integers(0, 10**6),
)  # fmt: skip
def test_reuse_image(dims: ConvDims, order: str, b: int, slots: int, shuffled: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target, x = tensors(dims, rng)
    b = min(b, dims.positions)
    length = int(rng.integers(1, dims.columns + 1))
    slices, out, fraction = -(-dims.columns // length), dims.output[2], int(rng.integers(1, 8))
    hashing = QHash(
        vectors=rng.integers(-127, 128, (slices, 3, b * length)).astype(np.int8),
        offset=rng.integers(-9000, 9000, (slices, 3)).astype(np.int32),
    )
    op = QReuseImage(
        name="r", input=source, output=target, dims=dims, length=length, columns=columns_of(dims, order), hash=hashing,
        weight=rng.integers(-127, 128, (out, dims.columns)).astype(np.int8),
        multiplier=rng.integers(2**16, 2**24, out).astype(np.int32),
        offset=rng.integers(-9000, 9000, out).astype(np.int32), fraction_bits=fraction, slots=slots, block_rows=b,
        rows=rng.permutation(dims.positions).astype(np.int32) if shuffled else None,
    )  # fmt: skip
    places = list(outputs(dims))
    if op.rows is not None:
        places = [places[n] for n in op.rows]
    rows = [row(x, dims, op.columns, source.zero_point, i, j) for i, j in places]
    totals = [[0] * out for _ in rows]
    overflows = 0
    for s in range(slices):
        first, last = s * length, min((s + 1) * length, dims.columns)
        members: dict[int, list[int]] = {}  # id: the first rows of its blocks
        alone = list(range(len(rows) // b * b, len(rows)))  # rows that are in no block
        for n in range(0, len(rows) - b + 1, b):
            block = [value for r in range(b) for value in [*rows[n + r][first:last], *[0] * (length - last + first)]]
            own = bits(block, hashing, s)
            if own in members or len(members) < slots:
                members.setdefault(own, []).append(n)
            else:
                alone += range(n, n + b)
                overflows += 1
        groups = [[n + r for n in blocks] for blocks in members.values() for r in range(b)] + [[n] for n in alone]
        for group in groups:
            columns = zip(*(rows[n][first:last] for n in group), strict=True)
            centroid = [c_divide(128 * sum(q - source.zero_point for q in column), len(group)) for column in columns]
            for m in range(out):
                acc = sum(c * int(w) for c, w in zip(centroid, op.weight[m, first:last], strict=True))
                entry = sat16((acc * int(op.multiplier[m]) + 2**31) >> 32)
                entry = sat16(entry + int(op.offset[m])) if s == 0 else entry
                for n in group:
                    totals[n][m] = sat16(totals[n][m] + entry)
    made = reference.execute_op(op, x)
    for (i, j), total in zip(places, totals, strict=True):
        assert made[i, j].tolist() == [clamp(value >> fraction, -128, 127) for value in total]
    assert image_overflows(op, x) == overflows


@settings(max_examples=40, deadline=None)
@given(st.booleans(), st.data())
def test_reuse_compiled(pixel_aligned: bool, data: st.DataObject) -> None:
    dims = data.draw(windows(channels=4 if pixel_aligned else None))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    source, target, x = tensors(dims, rng)
    length = int(rng.choice([1, 2, 4])) if pixel_aligned else int(rng.integers(1, dims.columns + 1))
    slices, out = -(-dims.columns // length), dims.output[2]
    groups = dims.input[2] // length if pixel_aligned else slices
    op = QReuseCompiled(
        name="r", input=source, output=target, dims=dims, length=length, pixel_aligned=pixel_aligned,
        columns=columns_of(dims, "kh.kw.c"), fraction_bits=3,
        hash=QHash(
            vectors=rng.integers(-127, 128, (groups, 3, length)).astype(np.int8),
            offset=rng.integers(-9000, 9000, (groups, 3)).astype(np.int32),
        ),
        table=rng.integers(-127, 128, (slices, 8, out)).astype(np.int8),
        offset=rng.integers(-5000, 5000, out).astype(np.int32),
    )  # fmt: skip
    made = reference.execute_op(op, x)
    for i, j in outputs(dims):
        vector = row(x, dims, op.columns, source.zero_point, i, j)
        ids = [bits(vector[s * length : (s + 1) * length], op.hash, s % groups) for s in range(slices)]
        for m in range(out):
            total = int(op.offset[m]) + sum(int(op.table[s, ids[s], m]) for s in range(slices))
            assert made[i, j, m] == clamp(total >> 3, -128, 127)


def test_execute_returns_every_tensor() -> None:
    dims = ConvDims((4, 4, 2), (2, 2, 2), (2, 2), (2, 2))
    a, b, c = QTensor("in", (4, 4, 2), 1.0, 0), QTensor("p", (2, 2, 2), 1.0, 0), QTensor("fc", (1,), 1.0, 0)
    pool = QMaxPool2d(name="p", input=a, output=b, dims=dims)
    one = np.ones(1, np.int32)
    linear = QLinear(
        name="fc", input=b, output=c, weight=np.ones((1, 8), np.int8), bias=one * 0, multiplier=one * 2**30, shift=one
    )
    x = np.arange(32).reshape(4, 4, 2).astype(np.int8)
    values = reference.execute(QGraph("g", a, c, (pool, linear)), x)
    assert set(values) == {"in", "p", "fc"}
    expected = x.reshape(2, 2, 2, 2, 2).max(axis=(1, 3))
    assert np.array_equal(values["p"], expected)
    assert values["fc"].tolist() == [min(127, int(expected.sum()))]
