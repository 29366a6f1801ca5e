"""The LR condition of LGCAA: c_f from ControlNet's conditioning embedding E, and X_RGB, the RGB image made from it.

It imports diffusers: import it where it is needed, not at the top of a file that `import prismsr` reads.

Paper: LGCAA, sec. III-C.
"""

import importlib
from collections.abc import Sequence
from typing import Any, Literal

from prismsr.archs.latent.stable_diffusion import diffusers, load_pretrained
from prismsr.archs.lgcaa.options import BaseOptions

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RGBMode = Literal["pixelshuffle", "down", "up", "multiscale"]
Embedding: Any = importlib.import_module("diffusers.models.controlnets.controlnet").ControlNetConditioningEmbedding


class ConditionEmbedding(Embedding):
    """diffusers' conditioning embedding, whose maps before the zero convolution can be had.

    c_f = E(y) is the last of them; `conv_out`, which starts at zero, is the paper's zero convolution. Read after it,
    c_f would be zero, and DPACM would give E no gradient, in the first step.
    """

    def features(self, image: Tensor) -> list[Tensor]:
        """Return maps after each step of stride 2, widest first; the last is c_f, for SD-2 (B, 256, H / 8, W / 8).

        The LR image is enlarged to the size of HR, RGB (B, 3, H, W) in [0, 1].
        """
        x = F.silu(self.conv_in(image))
        maps = []
        for number, block in enumerate(self.blocks):
            x = F.silu(block(x))
            if number % 2:  # the second of each pair has the stride
                maps.append(x)
        return maps

    def widths(self) -> list[int]:
        """Return channels of the maps that `features` returns; SD's: 32, 96, 256."""
        return [int(block.out_channels) for block in self.blocks[1::2]]

    def forward(self, conditioning: Tensor) -> Tensor:
        """Return the zero convolution of c_f (B, C, h, w); or of E's output where an image (B, 3, H, W) is given."""
        if conditioning.shape[1] != self.conv_out.in_channels:
            conditioning = self.features(conditioning)[-1]
        return self.conv_out(conditioning)


def tap_condition(controlnet: Any) -> ConditionEmbedding:
    """Give a ControlNet's conditioning embedding its `features`, in place; weights and names stay."""
    embedding = controlnet.controlnet_cond_embedding
    embedding.__class__ = ConditionEmbedding
    return embedding


class RGBHead(nn.Module):
    """X_RGB = conv(c_f), sec. III-C. The paper does not say how 1/8 of the size becomes an image; our readings:

    "pixelshuffle": 3 x 3 convolution to 3 * 64 channels, then pixel shuffle, so that X_RGB has the size of HR; "down":
    3 x 3 convolution to RGB at 1/8, beside a reduced HR image; "up": the same, enlarged bilinearly; "multiscale":
    "down" at 1/2, 1/4 and 1/8, as PASD has it. There is no activation: values may leave [0, 1]. `channels` are the
    widths of E's maps.
    """

    def __init__(self, mode: RGBMode, channels: Sequence[int]) -> None:
        super().__init__()
        self.mode = mode
        self.factor = 2 ** len(channels)
        inputs = list(channels) if mode == "multiscale" else [channels[-1]]
        outputs = 3 * self.factor**2 if mode == "pixelshuffle" else 3
        self.convs = nn.ModuleList(nn.Conv2d(width, outputs, 3, padding=1) for width in inputs)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return RGB images (B, 3, H_i, W_i), one or, with "multiscale", one per map, from E's maps."""
        maps = features if self.mode == "multiscale" else features[-1:]
        images = [conv(x) for conv, x in zip(self.convs, maps, strict=True)]
        if self.mode == "pixelshuffle":
            images = [F.pixel_shuffle(image, self.factor) for image in images]
        elif self.mode == "up":
            images = [F.interpolate(image, scale_factor=self.factor, mode="bilinear") for image in images]
        return tuple(images)


def build_controlnet(unet: Any, options: BaseOptions) -> Any:
    """Return ControlNetModel: loaded from controlnet_path, or a copy of the UNet's encoder half with zero convolutions.

    The copy is strict, so that nothing may have been put into the UNet yet.
    """
    if options.controlnet_path is not None:
        return load_pretrained("ControlNetModel", options.controlnet_path, "controlnet", None)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(options.seed)  # not CUDA's, which fork_rng leaves out
        return diffusers().ControlNetModel.from_unet(
            unet, conditioning_embedding_out_channels=tuple(options.condition_channels)
        )
