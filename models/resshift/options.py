"""The keys of an option file that ResShiftModel reads beside a latent model's."""

from typing import ClassVar

from prismsr.archs.resshift.options import ResShiftSampling
from prismsr.models.latent.options import LatentTrainOptions
from prismsr.utils.options.schema import ValOptions

from pydantic import Field


class ResShiftVal(ValOptions):
    """ResShiftModel's `val`."""

    sampling: ResShiftSampling | None = Field(default=None, description="how images are sampled")


class ResShiftTrainOptions(LatentTrainOptions):
    """Keys of `train` for ResShiftModel."""

    VAL: ClassVar[type[ValOptions]] = ResShiftVal
