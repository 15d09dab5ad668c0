"""The C library that firmware links, and how integer operators are bound to its kernels."""

from __future__ import annotations
