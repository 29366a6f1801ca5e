"""The nested sections of ResShiftNet in an option file: `unet`, `swin` and `vq`; and how it samples.

`schedule` is beside its formulas.
"""

from collections.abc import Mapping
from typing import Any, Literal

from prismsr.archs.latent.options import fill_defaults
from prismsr.archs.latent.sampling.options import LatentSampling
from prismsr.utils.options.schema import Options

from pydantic import Field, PositiveInt


class UNetOptions(Options):
    """`unet`: diffusers' UNet2DModel."""

    channels: list[PositiveInt] = Field(default=[160, 320, 320, 640], min_length=1, description="of each level")
    layers: int = Field(default=2, gt=0, description="residual blocks of a level")
    groups: int = Field(default=32, gt=0, description="of its norms and those of the Swin layers")


class SwinOptions(Options):
    """`swin`: the layer behind the first residual block of each level."""

    dim: int = Field(default=192, gt=0, description="channels of its blocks")
    depth: int = Field(default=2, gt=0, description="blocks; every second one is shifted, but at the deepest level")
    window: int = Field(default=8, gt=1, description="side of its windows, in latents of the level")
    head: int = Field(default=32, gt=0, description="channels of an attention head")
    ratio: float = Field(default=4.0, gt=0, description="hidden channels of its MLP over dim")
    mask: Literal["released", "swin"] = Field(
        default="released", description="of shifted windows: as the published weights need it, or Swin's own"
    )


class VQOptions(Options):
    """`vq`: the frozen autoencoder with a codebook, diffusers' VQModel; LDM's VQ-f4 by default."""

    path: str | None = Field(
        default=None, description="its weights, in LDM's names or diffusers', or a checkpoint of ImageVQ; ~ for random"
    )
    channels: list[PositiveInt] = Field(
        default=[128, 256, 512], min_length=1, description="of each level, each half as large"
    )
    layers: int = Field(default=2, gt=0, description="residual blocks of a level")
    latents: int = Field(default=3, gt=0, description="channels of a latent, and of a code")
    codes: int = Field(default=8192, gt=1, description="entries of the codebook")
    groups: int = Field(default=32, gt=0, description="of its norms")
    attention: bool = Field(default=True, description="in the middle, over the whole map")
    quantize: bool = Field(default=True, description="decode the nearest codes; false: the latents as they are")
    seed: int = Field(default=0, description="of random weights")


class ResShiftSampling(LatentSampling):
    """`val.sampling`: tiles as the release has them; its steps are those of network_g.schedule."""

    colour_fix: Literal["none", "adain", "wavelet"] = Field(default="none", description="colours from the LR image")
    tile: int = Field(default=512, ge=0, description="longest side of the UNet's tiles; 0: the whole image at once")
    tile_overlap: int = Field(default=64, ge=0, description="latents that neighbours share, at most half a tile")
    vae_tile: int = Field(default=128, ge=0, description="longest side of the VAE's tiles; 0: the whole image at once")
    min_side: None = Field(default=None, description="not for ResShift, whose latents have the LR image's size")


def latent_multiple(arguments: Mapping[str, Any]) -> int | None:
    """Return of what the sides of latents must be multiples, by ResShiftNet's arguments; None where they are wrong."""
    channels = fill_defaults(UNetOptions, arguments["unet"]).channels
    window = fill_defaults(SwinOptions, arguments["swin"]).window
    return window * 2 ** (len(channels) - 1) if isinstance(channels, list) and isinstance(window, int) else None


def vq_factor(arguments: Mapping[str, Any]) -> int:
    """Return by how much the autoencoder reduces the sides, by ResShiftNet's arguments; 1 where they are wrong."""
    channels = fill_defaults(VQOptions, arguments["vq"]).channels
    return 2 ** (len(channels) - 1) if isinstance(channels, list) else 1
