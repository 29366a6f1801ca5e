"""SRResNet as RankSRGAN (ICCV 2019) trains it: residual blocks without normalisation, and pixel shuffles.

It is not BasicSR's MSRResNet, which adds its output to the enlarged image.

Paper: SSL, table 1, RankSRGAN.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

from prismsr.utils.weights.renamings import count_parts

from basicsr.archs.arch_util import default_init_weights
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv2(F.relu(self.conv1(x)))
        return x + residual


@ARCH_REGISTRY.register()
class SRResNet(nn.Module):
    """RankSRGAN's generator; parameters have the names of its release (mmsr's), so that its checkpoints load.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: channels of the output.
        num_feat: width.
        num_block: residual blocks.
        upscale: 2, 3 or 4.

    Raises:
        ValueError: another upscale.
    """

    def __init__(
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        num_feat: int = 64,
        num_block: int = 16,
        upscale: Literal[2, 3, 4] = 4,
    ) -> None:
        super().__init__()
        if upscale not in (2, 3, 4):
            raise ValueError(f"upscale is {upscale}; allowed: 2, 3, 4.")
        self.factor = 3 if upscale == 3 else 2
        wide = num_feat * self.factor**2
        self.conv_first = nn.Conv2d(num_in_ch, num_feat, 3, padding=1)
        self.recon_trunk = nn.Sequential(*(_ResidualBlock(num_feat) for _ in range(num_block)))
        self.LRconv = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.upconv1 = nn.Conv2d(num_feat, wide, 3, padding=1)
        self.upconv2 = nn.Conv2d(num_feat, wide, 3, padding=1) if upscale == 4 else None
        self.HRconv = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv_last = nn.Conv2d(num_feat, num_out_ch, 3, padding=1)
        default_init_weights([part for name, part in self.named_children() if name != "LRconv"], scale=0.1)

    @classmethod
    def read_arguments(cls, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """Return the arguments of the network with these weights, None where they are no SRResNet's."""
        names = ("conv_first", "recon_trunk.0.conv1", "LRconv", "upconv1", "HRconv", "conv_last")
        if any(f"{name}.weight" not in state for name in names):
            return None
        width, inputs = state["conv_first.weight"].shape[:2]
        return {
            "num_in_ch": inputs,
            "num_out_ch": len(state["conv_last.weight"]),
            "num_feat": width,
            "num_block": count_parts(state, "recon_trunk"),
            "upscale": 4 if "upconv2.weight" in state else math.isqrt(len(state["upconv1.weight"]) // width),
        }

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge images (B, num_in_ch, H, W) to (B, num_out_ch, upscale * H, upscale * W), not clamped."""
        first = self.conv_first(x)
        x = first + self.LRconv(self.recon_trunk(first))
        for conv in filter(None, (self.upconv1, self.upconv2)):
            x = F.relu(F.pixel_shuffle(conv(x), self.factor))
        return self.conv_last(F.relu(self.HRconv(x)))
