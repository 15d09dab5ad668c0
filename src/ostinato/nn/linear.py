"""ReuseLinear: a fully connected layer under a reuse pattern, as the convolution that it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ostinato.errors import ConversionError, ModelError
from ostinato.nn.conv import ReuseConv2d
from ostinato.nn.op import reuse_linear_op
from ostinato.reuse import ConvGeometry, Pattern

MapShape = tuple[int, int, int]
"""(C, H, W)."""


class ReuseLinear(ReuseConv2d):
    """A fully connected layer of K inputs in compiled scope.

    Behind the flattening of a (C, H, W) map it is a convolution with an H×W kernel, so that slices are the patterns of
    convolutions: blocks of a pixel's channels in order `kh.kw.c`, hashes shared by pixels with `sharing="block"`. Of
    any other vector it is a 1×1 convolution of one pixel with K channels. Parameters and buffers are `ReuseConv2d`'s,
    `weight` is (M, C, H, W): `nn.Linear`'s (M, K), viewed.
    """

    @classmethod
    def from_linear(
        cls, linear: nn.Linear, pattern: Pattern, name: str = "linear", flattened: MapShape | None = None
    ) -> ReuseLinear:
        """The reuse twin of `linear`, with copies of its weights, on its device and in its mode.

        Args:
            linear: the layer.
            pattern: of scope `compiled`.
            name: its qualified name, for messages.
            flattened: (C, H, W) of the map whose flattening it reads; None: a vector of another kind.

        Raises:
            ConversionError: a pattern of another scope, or a map of another size than the layer's inputs.
            PatternError: if the pattern cannot apply to it.
            ModelError: if its weights are not finite.
        """
        if pattern.scope != "compiled":
            raise ConversionError(
                f"layer '{name}' is fully connected and has one vector a slice and image, so that within "
                f"scope {pattern.scope!r} a device has nothing to reuse; use scope 'compiled'"
            )
        channels, *kernel = flattened or (linear.in_features, 1, 1)
        if channels * kernel[0] * kernel[1] != linear.in_features:
            raise ConversionError(
                f"layer '{name}' has {linear.in_features} inputs, not the {channels}×{kernel[0]}×{kernel[1]} of the map"
            )
        geometry = ConvGeometry(channels, linear.out_features, (kernel[0], kernel[1]))
        layer = cls(geometry, pattern, bias=linear.bias is not None, name=name)
        layer.take_weights(linear)
        return layer

    def to_conv(self) -> nn.Module:
        """The conventional layer, an `nn.Linear`, with copies of this layer's weights."""
        inputs, outputs = self.geometry.K, self.geometry.out_channels
        device, dtype = self.weight.device, self.weight.dtype
        linear = nn.Linear(inputs, outputs, bias=self.bias is not None, device=device, dtype=dtype)
        return self._give_weights(linear)

    def as_image(self, x: Tensor) -> Tensor:
        """(N, K) inputs as the maps (N, C, H, W) that they flatten.

        Raises:
            ModelError: inputs of another shape.
        """
        g = self.geometry
        if x.dim() != 2 or x.shape[1] != g.K:
            found = tuple(x.shape)
            raise ModelError(f"layer '{self.layer_name}' takes (N, {g.K}) inputs, not a tensor of shape {found}")
        return x.reshape(len(x), g.in_channels, *g.kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """(N, K) to (N, M).

        Raises:
            ModelError: inputs of another shape, and what `ReuseConv2d` refuses.
        """
        if not torch.compiler.is_exporting():
            return super().forward(self.as_image(x)).flatten(1)
        if self.training:
            raise ModelError(f"layer '{self.layer_name}' cannot be exported in training mode; call model.eval() first")
        return reuse_linear_op(
            x, self.weight, self.bias, self.hash_vectors, self.thresholds, self.centroids, self.centroid_counts,
            self.table_offsets, self._pattern_text, self.layer_name,
        )  # fmt: skip
