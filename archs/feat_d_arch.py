"""Feat-D, SFD's discriminator of CLIP's middle features: a U-Net decoder whose encoder is the frozen CLIP.

Paper: SFD, eq. 8.
"""

from typing import ClassVar, Literal

from prismsr.archs.clip.features import ClipFeatures

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

_DOUBLINGS = {4: 0, 2: 1, 1: 2}


def _conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Module:
    return spectral_norm(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False))


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, negative_slope=0.2)


def _resize(x: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


@ARCH_REGISTRY.register()
class FeatD(nn.Module):
    """Logits per place from the three middle features of CLIP (Semantic Feature Discrimination, CVPR 2025).

    Of the paper: it takes F_m1, F_m2, F_m3 jointly, judges each place, and has upsampling layers, at least three.
    Everything else is our reconstruction: Real-ESRGAN's U-Net discriminator (spectral norm on all convolutions but
    the last, LeakyReLU 0.2, bilinear upsampling) with base width 128, whose encoder is replaced by CLIP's maps; its
    decoder then has just the widths of RN50's layers, 1024, 512, 256, 128.

    Args:
        channels: widths of the middle features, finest first; a Clip has them as image.channels.
        num_feat: width of the last part.
        fusion: how an upsampled map meets the next finer feature: "add" or "concat".
        output_stride: image pixels per logit: 4, 2 or 1 with CLIP's layers 1 to 3; twice that with layers 2 to 4.
        laterals: a 1 x 1 convolution on each feature, which rescales it; 7.87 million parameters with RN50, 6.49
            without.

    Raises:
        ValueError: another output_stride, or not three channels.
    """

    features: ClassVar = "middle"
    """Which of CLIP's features it judges; an adversarial term with `features: clip` hands them over."""

    def __init__(
        self,
        channels: tuple[int, int, int] = (256, 512, 1024),
        num_feat: int = 128,
        fusion: Literal["add", "concat"] = "add",
        output_stride: Literal[1, 2, 4] = 2,
        laterals: bool = True,
    ) -> None:
        super().__init__()
        if output_stride not in _DOUBLINGS or len(channels) != 3:
            raise ValueError(f"output_stride {output_stride} (of 1, 2, 4), channels {list(channels)} (three of them).")
        fine, middle, coarse = channels
        both = 2 if fusion == "concat" else 1
        self.fusion = fusion
        self.doublings = _DOUBLINGS[output_stride]
        self.laterals = nn.ModuleList(_conv(width, width, 1) for width in channels) if laterals else None
        self.up1 = _conv(coarse, middle)
        self.up2 = _conv(both * middle, fine)
        self.up3 = _conv(both * fine, num_feat)
        self.up4 = _conv(num_feat, num_feat) if self.doublings == 2 else None
        self.refine1 = _conv(num_feat, num_feat)
        self.refine2 = _conv(num_feat, num_feat)
        self.last = nn.Conv2d(num_feat, 1, 3, padding=1)

    def forward(self, features: ClipFeatures | tuple[Tensor, ...]) -> Tensor:
        """Return logits (B, 1, h, w), positive where it looks real; sigmoid of them is s_ij of the paper (eq. 8).

        h, w are F_m1's size with output_stride 4, twice that with 2, four times with 1. Features are those of CLIP, or
        only the three maps F_m1, F_m2, F_m3: (B, C_i, H_i, W_i), finest first.
        """
        maps = features.middle if isinstance(features, ClipFeatures) else features
        if self.laterals is not None:
            maps = tuple(lateral(level) for lateral, level in zip(self.laterals, maps, strict=True))
        fine, middle, coarse = maps
        # To the size of the finer map, not by a factor: each level of CLIP floors its size (125 -> 62 -> 31).
        x = self._fuse(_activate(self.up1(_resize(coarse, *middle.shape[-2:]))), middle)
        x = self._fuse(_activate(self.up2(_resize(x, *fine.shape[-2:]))), fine)
        x = _activate(self.up3(self._double(x) if self.doublings else x))
        if self.up4 is not None:
            x = _activate(self.up4(self._double(x)))
        x = _activate(self.refine2(_activate(self.refine1(x))))
        return self.last(x)

    def _fuse(self, x: Tensor, skip: Tensor) -> Tensor:
        return torch.cat([x, skip], dim=1) if self.fusion == "concat" else x + skip

    @staticmethod
    def _double(x: Tensor) -> Tensor:
        return _resize(x, 2 * x.shape[-2], 2 * x.shape[-1])
