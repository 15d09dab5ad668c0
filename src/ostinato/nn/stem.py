"""TransformStem: a first layer that looks up sums of patches by their cosine transform, as a torch module."""

from __future__ import annotations

import json

import torch
from torch import Tensor, nn

from ostinato.errors import ConversionError, ModelError
from ostinato.nn.conv import geometry_of, refusal
from ostinato.nn.stem_op import stem_output, transform_stem_op
from ostinato.reuse import ConvGeometry
from ostinato.reuse.accelerator import accelerated
from ostinato.reuse.stem import LEVELS, StemFilters, StemTransform, coefficients, stem_ids
from ostinato.reuse.stem_fit import choose_ids, choose_transform, conventional, statistics
from ostinato.reuse.stem_pattern import StemPattern
from ostinato.reuse.stem_tables import JointTables


class TransformStem(nn.Module):
    """A first layer as a transform-coded stem (DESIGN §5.11); `calibrate` fits it to images.

    Parameters: `table` (G, 2^H, M) and `bias` (M,); without groups `table` is the dense (n, M) matrix that coefficients
    are multiplied by. Buffers: `weight` (M, C, KH, KW) and `weight_bias` of the conventional layer, which `to_conv`
    gives back and training leaves alone; and the integers of `StemTransform`: `rotation`, `axes`, `horizontal`,
    `offset`, `maps`, `id_groups`.

    The forward pass takes real pixels of which 128 steps are 1, as the firmware does: it rounds them to int8, and all
    until the ids is the firmware's arithmetic. There is no gradient to the input.

    Raises:
        PatternError: if the pattern cannot apply to the geometry.
    """

    weight: Tensor
    weight_bias: Tensor | None
    rotation: Tensor
    axes: Tensor
    horizontal: Tensor
    offset: Tensor
    maps: Tensor
    id_groups: Tensor

    def __init__(
        self, geometry: ConvGeometry, pattern: StemPattern, *, bias: bool = True, name: str = "transform_stem"
    ) -> None:
        super().__init__()
        pattern.validate_for(geometry, name)
        self.geometry, self.pattern, self.layer_name = geometry, pattern, name
        channels, outputs, count = geometry.in_channels, geometry.out_channels, pattern.coefficients
        rows = (pattern.groups, pattern.ids, outputs) if pattern.groups else (count, outputs)
        self.table = nn.Parameter(torch.zeros(rows))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("weight", torch.zeros(outputs, channels, *geometry.kernel_size))
        self.register_buffer("weight_bias", torch.zeros(outputs) if bias else None)
        shapes = {
            "rotation": (channels, channels),
            "axes": (count, 3),
            "horizontal": (count, geometry.kernel_size[1]),
            "offset": (count,),
            "maps": (count, LEVELS),
            "id_groups": (count,),
        }
        for key, shape in shapes.items():
            self.register_buffer(key, torch.zeros(shape, dtype=torch.long))
        self._pattern_text = json.dumps(pattern.to_dict())
        self._filters: tuple[object, StemFilters] | None = None

    @classmethod
    def from_conv(cls, conv: nn.Conv2d, pattern: StemPattern, name: str = "conv") -> TransformStem:
        """The stem that takes the place of `conv`, on its device and in its mode; not calibrated yet.

        Raises:
            ConversionError: if `conv` has groups, or padding other than zeros.
            PatternError: if the pattern cannot apply to it.
            ModelError: if its weights are not finite.
        """
        reason = refusal(conv)
        if reason is not None:
            raise ConversionError(f"layer '{name}' has {reason}")
        if not all(bool(torch.isfinite(p).all()) for p in conv.parameters()):
            raise ModelError(f"layer '{name}' has NaN or infinite weights; train it again or load a sound checkpoint")
        stem = cls(geometry_of(conv), pattern, bias=conv.bias is not None, name=name)
        stem.to(device=conv.weight.device, dtype=conv.weight.dtype)
        with torch.no_grad():
            stem.weight.copy_(conv.weight)
            if conv.bias is not None and stem.weight_bias is not None:
                stem.weight_bias.copy_(conv.bias)
        return stem.train(conv.training)

    def to_conv(self) -> nn.Conv2d:
        """The conventional layer that the stem took the place of: nothing that tables learned since is in it."""
        g = self.geometry
        conv = nn.Conv2d(
            g.in_channels, g.out_channels, g.kernel_size, g.stride, g.padding,
            bias=self.weight_bias is not None, device=self.weight.device, dtype=self.weight.dtype,
        )  # fmt: skip
        with torch.no_grad():
            conv.weight.copy_(self.weight)
            if conv.bias is not None and self.weight_bias is not None:
                conv.bias.copy_(self.weight_bias)
        return conv.train(self.training)

    @property
    def transform(self) -> StemTransform:
        """The integers from patches to ids.

        Raises:
            ModelError: before calibration.
        """
        self._check_calibrated()
        return self._transform()

    def _valid_filters(self) -> StemFilters:
        """The transform's filters, made again when it has changed: to make them is to wait for an accelerator.

        Raises:
            ModelError: before calibration.
        """
        buffers = self.rotation, self.axes, self.horizontal, self.offset
        # Tensors made in inference mode have no version, and cannot change outside of it.
        made_of = [(b.data_ptr(), None if b.is_inference() else b._version, b.device) for b in buffers]
        if self._filters is None or self._filters[0] != made_of:
            self._filters = made_of, self.transform.filters(self.geometry)
        return self._filters[1]

    def _transform(self) -> StemTransform:
        return StemTransform(self.rotation, self.axes, self.horizontal, self.offset, self.maps, self.id_groups)

    def _check_calibrated(self) -> None:
        if not bool(self.rotation.any()):
            raise ModelError(
                f"layer '{self.layer_name}' is a transform-coded stem that was not fitted to images yet; call "
                "ostinato.calibrate(model, images) first, or load a calibrated checkpoint"
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) pixels to (B, M, OH, OW).

        Raises:
            ModelError: before calibration, and for an empty or non-finite input.
        """
        if torch.compiler.is_exporting():
            return transform_stem_op(x, self.table, self.bias, self._transform(), self._pattern_text, self.geometry)
        filters = self._valid_filters()
        look = not (accelerated(x) and self.training)  # an accelerator would have to be waited for
        if x.numel() == 0 or (look and not bool(torch.isfinite(x).all())):
            found = "no pixels" if x.numel() == 0 else "NaN or infinite pixels"
            raise ModelError(f"layer '{self.layer_name}': the input of shape {tuple(x.shape)} has {found}")
        return stem_output(x, self.table, self.bias, self._transform(), self.pattern, self.geometry, filters)

    @torch.no_grad()
    def fit_to(self, inputs: list[Tensor], metric: Tensor | None = None) -> None:
        """Choose the transform and the ids, and fit the table, to batches of pixels (B, C, H, W), for the conventional
        layer's outputs on them.

        Args:
            inputs: calibration batches.
            metric: (M, M), an output error e costs eᵀ·metric·e in choosing coefficients and bits; None: its square.
        """  # fmt: skip
        bias = None if self.weight_bias is None else self.weight_bias
        transform = choose_transform(inputs, self.weight, self.geometry, self.pattern, metric)
        found = statistics(inputs, self.weight, bias, transform, self.geometry)
        if self.pattern.groups:
            transform, start = choose_ids(transform, found, self.pattern, metric)
            self.table.copy_(self._joint_tables(inputs, transform, start, found.output_mean))
            self.bias.copy_(found.output_mean)
        else:
            self.table.copy_(found.decoder)
            self.bias.copy_(found.output_mean - found.mean @ found.decoder)
        chosen = (transform.rotation, transform.axes, transform.horizontal, transform.offset, transform.maps,
                  transform.groups)  # fmt: skip
        buffers = (self.rotation, self.axes, self.horizontal, self.offset, self.maps, self.id_groups)
        for buffer, value in zip(buffers, chosen, strict=True):
            buffer.copy_(value)

    def _joint_tables(
        self, inputs: list[Tensor], transform: StemTransform, start: Tensor, output_mean: Tensor
    ) -> Tensor:
        problem = JointTables(self.pattern.groups, self.pattern.ids, self.geometry.out_channels)
        for x in inputs:
            ids = stem_ids(coefficients(x, transform, self.geometry), transform, self.pattern.groups)
            y = conventional(x, self.weight, self.weight_bias, self.geometry).permute(0, 2, 3, 1).flatten(0, 2)
            problem.add(ids.flatten(0, 2), y.double().cpu() - output_mean)
        return problem.solve(start)

    def extra_repr(self) -> str:
        """As torch's convolutions, and the pattern."""
        g = self.geometry
        return (
            f"{g.in_channels}, {g.out_channels}, kernel_size={g.kernel_size}, stride={g.stride}, padding={g.padding}, "
            f"{self.pattern}"
        )
