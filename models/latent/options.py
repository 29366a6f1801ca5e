"""The keys of an option file that models on latents read beside PrismSRModel's."""

from collections.abc import Mapping
from typing import ClassVar

from prismsr.data.degradation.options import DegradationOptions
from prismsr.data.multi_gt.online_choice import GTChoice
from prismsr.models.options import PrismTrainOptions
from prismsr.utils.options.schema import Options, TopOptions

from pydantic import Field


class DecodedOptions(Options):
    """`train.decoded`: which samples are decoded for losses on images (SSL, L1), of each part of the batch."""

    t_max: int | None = Field(default=None, ge=0, le=999, description="only samples up to this timestep; ~: all")
    samples: int | None = Field(default=None, gt=0, description="at most so many, those of the smallest timesteps")


class LatentTop(TopOptions):
    """A latent model's top level."""

    SECTIONS: ClassVar[Mapping[str, type]] = {"degradation": DegradationOptions, "scoring": GTChoice}

    degradation: DegradationOptions | None = Field(default=None, description="how LQ images are made from GT images")


class LatentTrainOptions(PrismTrainOptions):
    """Keys of `train` for a latent model; each model's VAL has its own `sampling`."""

    TOP: ClassVar[type[TopOptions]] = LatentTop

    decoded: DecodedOptions | None = Field(default=None, description="samples that losses on images see")
