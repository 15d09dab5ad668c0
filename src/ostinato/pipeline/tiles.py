"""The tiles of one test image that a first convolution takes for similar."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ostinato.data import ImageDataset, to_input
from ostinato.nn import measure_reuse, reuse_layers
from ostinato.report import TilePicture

_SHOWN = 2


@torch.no_grad()
def tile_picture(network: nn.Module, dataset: ImageDataset, index: int = 0) -> TilePicture | None:
    """Clusters of the first reuse layer on test image `index`; None if that layer does not see the image itself."""
    name, layer = next(iter(reuse_layers(network).items()))
    image = dataset.test.images[index : index + 1]
    inputs: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _module, args: inputs.append(args[0]))
    try:
        with measure_reuse(network) as reuse:
            network.eval()(to_input(image))
    finally:
        handle.remove()
    if inputs[0].shape != image.shape or layer.pattern.scope != "image":
        return None
    ids = layer.cluster_ids(inputs[0])[0]  # (positions, slices)
    rows, columns = layer.geometry.output_size(*image.shape[2:])
    slices = ids.shape[1]
    chosen = sorted({slices // 2, 0})[-_SHOWN:]  # the middle of the kernel says most; the first slice to compare
    return TilePicture(
        image=image[0].permute(1, 2, 0).numpy(),
        ids=[ids[:, s].reshape(rows, columns).numpy() for s in chosen],
        kernel=layer.geometry.kernel_size,
        stride=layer.geometry.stride,
        padding=layer.geometry.padding,
        redundancy_ratio=reuse[name].r_t,
        scope=layer.pattern.scope,
        layer=name,
        slices=[f"slice {s}" for s in chosen],
    )
