"""ResShift's UNet: diffusers' UNet2DModel with Swin layers.

Paper: SSL, table 2, ResShift.
"""

from collections.abc import Callable
from typing import Any

from prismsr.archs.latent.stable_diffusion import build_diffusers
from prismsr.archs.resshift.options import SwinOptions, UNetOptions
from prismsr.archs.resshift.swin_layer import SwinLayer
from prismsr.utils.errors import OptionError

from torch import Tensor, nn

COLOURS = 3


def add_swin_layers(unet: Any, make_layer: Callable[[int, bool], SwinLayer]) -> None:
    """Put a layer on the output of the first residual block of each level of a UNet2DModel, and the middle, in place.

    `make_layer` gives it for a number of channels, and whether it is at the deepest level.
    """
    levels = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    deepest = (unet.down_blocks[-1], unet.mid_block, unet.up_blocks[0])
    for level in levels:
        block = level.resnets[0]
        block.swin = make_layer(block.conv2.out_channels, any(level is one for one in deepest))
        block.register_forward_hook(_apply_swin)


def _apply_swin(block: Any, inputs: Any, output: Tensor) -> Tensor:
    return block.swin(output)


def build_unet(options: UNetOptions, swin: SwinOptions, latent_channels: int) -> Any:
    """Return UNet2DModel with the Swin layers on it; residual branches begin at zero.

    OptionError for sizes that do not go together.
    """
    levels = len(options.channels)
    config = {
        "in_channels": latent_channels + COLOURS,
        "out_channels": latent_channels,
        "block_out_channels": list(options.channels),
        "down_block_types": ["DownBlock2D"] * levels,
        "up_block_types": ["UpBlock2D"] * levels,
        "layers_per_block": options.layers,
        "norm_num_groups": options.groups,
        "resnet_time_scale_shift": "scale_shift",
        "add_attention": False,
    }
    unet = build_diffusers("UNet2DModel", config, "unet")
    for block in unet.modules():
        if hasattr(block, "time_emb_proj"):
            nn.init.zeros_(block.conv2.weight)
            nn.init.zeros_(block.conv2.bias)
    if swin.dim % swin.head or swin.dim % options.groups:
        raise OptionError(f"swin.dim: {swin.dim} must be a multiple of swin.head, {swin.head}, and of unet.groups")

    def make_layer(channels: int, deepest: bool) -> SwinLayer:
        shift = 0 if deepest else swin.window // 2
        blocks = {"heads": swin.dim // swin.head, "window": swin.window, "mask": swin.mask, "ratio": swin.ratio}
        return SwinLayer(channels, swin.dim, swin.depth, shift=shift, groups=options.groups, **blocks)

    add_swin_layers(unet, make_layer)
    return unet
