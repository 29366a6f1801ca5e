"""The keys of an option file that StableSRModel reads beside a latent model's."""

from typing import ClassVar

from prismsr.archs.stablesr.options import SamplingOptions
from prismsr.models.latent.options import LatentTrainOptions
from prismsr.utils.options.schema import ValOptions

from pydantic import Field


class StableSRVal(ValOptions):
    """StableSRModel's `val`."""

    sampling: SamplingOptions | None = Field(default=None, description="how images are sampled")


class StableSRTrainOptions(LatentTrainOptions):
    """Keys of `train` for StableSRModel."""

    VAL: ClassVar[type[ValOptions]] = StableSRVal
