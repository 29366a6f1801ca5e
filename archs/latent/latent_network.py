"""What a network on latents is to a Sampler and to a latent model."""

from collections.abc import Iterator
from typing import Any, ClassVar, Self

from prismsr.archs.latent.sampling.enlarged_image import EnlargedImage
from prismsr.archs.latent.sampling.options import LatentSampling
from prismsr.archs.latent.sampling.sampler import Prepared
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt

import torch
from torch import nn


class LatentNetwork(nn.Module):
    """A network on the latents of a frozen autoencoder, `vae`, which forward does not use.

    Attributes:
        MODEL, SAMPLING: model_type that trains it, and keys of `val.sampling`.
        NOTES: name under which a checkpoint says what it was trained with: `sections`.
        MEANING, FROZEN: of them, those that have to be the same where it is loaded, and those that say where frozen
            weights came from.
        CHANNELS: those of its images.
        process: how latents are noised, made clean and sampled; see NoiseProcess.
        trained: names of the trained parameters.
        sections: the options with all defaults filled in.
        factor, multiple: by which the autoencoder reduces the sides, and which divides those of an enlarged image.
    """

    MODEL: ClassVar[str]
    SAMPLING: ClassVar[type[LatentSampling]]
    NOTES: ClassVar[str]
    MEANING: ClassVar[tuple[str, ...]]
    FROZEN: ClassVar[tuple[str, ...]]
    CHANNELS: ClassVar = 3

    process: Any
    vae: Any
    unet: Any
    trained: tuple[str, ...]
    sections: dict[str, Any]
    factor: int
    multiple: int
    latent_channels: int

    @classmethod
    def check_options(cls, entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check that the model is the network's."""
        if opt.get("model_type") != cls.MODEL:
            yield Problem("model_type", f"{cls.MODEL} and {key} of type {cls.__name__} go together")

    def prepare(self, source: EnlargedImage, options: Any, generator: torch.Generator) -> Prepared:
        """Return the network as a Sampler uses it, for the images of `source`; what it draws comes from `generator`."""
        raise NotImplementedError

    def store_frozen_parts(self) -> None:
        """Keep what is frozen beside the UNet as the UNet's frozen weights are kept; in float32 if nothing is said."""

    def enable_gradient_checkpointing(self) -> None:
        """Compute the UNet's activations again instead of keeping them; gradients stay the same."""
        self.unet.enable_gradient_checkpointing()

    def train(self, mode: bool = True) -> Self:
        """Set the mode; the autoencoder stays in evaluation mode."""
        super().train(mode)
        self.vae.train(False)
        return self
