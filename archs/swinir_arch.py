"""SwinIR as its release and SSL's run it: on an image with one more window at the right and below.

Paper: SSL, table 1, SwinIRGAN.
"""

import torch
from basicsr.archs.swinir_arch import SwinIR
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor


@ARCH_REGISTRY.register()
class SwinIRExtraWindow(SwinIR):
    """BasicSR's SwinIR, run on the mirrored image and cut: weights are SwinIR's, only borders differ.

    The image grows to the next multiple of window_size even where its sides are multiples: 64 pixels become 72.
    It takes sides of any length.
    """

    @property
    def window_size(self) -> int:
        """Return the side of the windows, pixels."""
        return int(self.layers[0].residual_group.blocks[0].window_size)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge images (B, C, H, W) to (B, C, upscale * H, upscale * W), not clamped."""
        height, width = x.shape[-2:]
        output: Tensor = super().forward(_add_window(_add_window(x, 2, self.window_size), 3, self.window_size))
        return output[..., : height * self.upscale, : width * self.upscale]


def _add_window(x: Tensor, axis: int, window: int) -> Tensor:
    """Return the image, mirrored beyond its end with the last pixel repeated, to the next multiple of the window."""
    side = x.shape[axis]
    place = torch.arange((side // window + 1) * window, device=x.device) % (2 * side)
    return x.index_select(axis, torch.minimum(place, 2 * side - 1 - place))
