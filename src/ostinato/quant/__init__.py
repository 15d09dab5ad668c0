"""The quantised network: from a float module to integer operators, and the one executor that defines their bits."""

from __future__ import annotations

from ostinato.quant.accuracy import dequantize, outputs, predictions, quantize_input, top1
from ostinato.quant.ops import QGraph, QTensor
from ostinato.quant.quantize import quantize
from ostinato.quant.reference import execute

__all__ = ["QGraph", "QTensor", "dequantize", "execute", "outputs", "predictions", "quantize", "quantize_input", "top1"]
