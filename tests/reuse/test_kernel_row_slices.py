"""Contiguous slices of a whole kernel row (L = KW·C, order kh.kw.c) with one hash for all kernel rows."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.reuse import ConvGeometry, Pattern, cluster_ids


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(2, 4), st.integers(1, 3), st.integers(0, 2), st.integers(0, 100))
def test_a_rows_id_depends_on_its_place_in_the_input_only(channels, kernel, stride_w, padding, seed):
    """So a device needs one id for each input row and output column: KH times fewer."""
    generator = torch.Generator().manual_seed(seed)
    geometry = ConvGeometry(channels, 5, (kernel, kernel), stride=(1, stride_w), padding=padding)
    pattern = Pattern(kernel * channels, 3, sharing="layer")
    x = torch.randn(2, channels, 8, 9, generator=generator)
    hashes, thresholds = (
        torch.randn(1, kernel * channels, 3, generator=generator),
        torch.randn(1, 3, generator=generator),
    )
    rows, columns = geometry.output_size(8, 9)
    ids = cluster_ids(x, hashes, thresholds, geometry, pattern).view(2, rows, columns, kernel)
    assert torch.equal(ids[:, 1:, :, :-1], ids[:, :-1, :, 1:])
