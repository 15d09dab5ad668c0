"""Ostinato: convolutional networks that compute every repeating tile once."""

from __future__ import annotations

__version__ = "0.1.0"
