"""The keys of an option file that models on latents read beside PrismSRModel's."""

from collections.abc import Mapping
from typing import Any, ClassVar

from prismsr.archs.latent.latent_network import LatentNetwork
from prismsr.data.degradation.options import DegradationOptions
from prismsr.data.multi_gt.online_choice import GTChoice
from prismsr.models.options import PrismTrainOptions
from prismsr.utils.options.schema import Options, TopOptions, ValOptions

from pydantic import Field, create_model


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


def options_for(network: type[LatentNetwork]) -> type[LatentTrainOptions]:
    """Return the keys of `train` for a network's model, with a `val` that samples as the network does."""
    sampling: Any = (network.SAMPLING | None, Field(default=None, description="how images are sampled"))
    about = {"train": f"Keys of `train` for {network.MODEL}.", "val": f"{network.MODEL}'s `val`."}
    options = create_model("TrainOptions", __base__=LatentTrainOptions, __doc__=about["train"])
    options.VAL = create_model("Val", __base__=ValOptions, __doc__=about["val"], sampling=sampling)
    return options
