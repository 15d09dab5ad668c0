"""Random matrices with random clusters, and X̂ from them by loops. Only for tests."""

from __future__ import annotations

import torch
from hypothesis import strategies as st


@st.composite
def clustered_products(draw, single_slice=False):
    """(X, X̂, labels, W, L) in float64, with clusters drawn at random, without any hash."""
    rows, columns, outputs = draw(st.integers(1, 12)), draw(st.integers(1, 7)), draw(st.integers(1, 4))
    length = columns if single_slice else draw(st.integers(1, columns))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    x = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    if draw(st.booleans()):  # slices that resemble each other, so that errors add up
        x = x[:, :1] + 0.1 * x
    w = torch.randn(columns, outputs, generator=generator, dtype=torch.float64)
    if draw(st.booleans()):
        w = w.abs()
    slices = -(-columns // length)
    labels = torch.randint(draw(st.integers(1, 5)), (rows, slices), generator=generator)
    return x, quantise(x, labels, length), labels, w, length


def quantise(x, labels, length):
    """X̂: every vector replaced by the mean of the vectors with its label."""
    out = torch.empty_like(x)
    for s, start in enumerate(range(0, x.shape[1], length)):
        for row in range(len(x)):
            members = labels[:, s] == labels[row, s]
            out[row, start : start + length] = x[members, start : start + length].mean(0)
    return out


def averaging(labels):
    """Avg with recovery, N×N: row i averages the rows that share row i's label (one slice)."""
    same = (labels[:, None] == labels[None, :]).double()
    return same / same.sum(1, keepdim=True)
