"""The quantised network: from a float module to integer operators, and the one executor that defines their bits."""

from __future__ import annotations
