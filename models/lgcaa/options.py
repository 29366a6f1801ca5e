"""The keys of an option file that LGCAAModel reads beside a latent model's."""

from typing import ClassVar

from prismsr.archs.lgcaa.options import SamplingOptions
from prismsr.models.latent.options import LatentTrainOptions
from prismsr.utils.options.schema import ValOptions

from pydantic import Field


class LGCAAVal(ValOptions):
    """LGCAAModel's `val`."""

    sampling: SamplingOptions | None = Field(default=None, description="how images are sampled")


class LGCAATrainOptions(LatentTrainOptions):
    """Keys of `train` for LGCAAModel."""

    VAL: ClassVar[type[ValOptions]] = LGCAAVal
