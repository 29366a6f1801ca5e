"""A VQModel as a network that PrismSRModel can train: the small autoencoder of the demo, in place of LDM's VQ-f4."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from prismsr.archs.latent.options import parse_section
from prismsr.archs.lgcaa.autoencoder_arch import start_nearly_linear
from prismsr.archs.resshift.options import VQOptions, vq_factor
from prismsr.archs.resshift.vq_model import build_vq, decode_latents
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt
from prismsr.utils.options.signatures import Section

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn


@ARCH_REGISTRY.register()
class ImageVQ(nn.Module):
    """diffusers' VQModel, trained to give back its input. Ours; ResShift itself never trains one.

    In training it also returns latents and their codes, which a LatentLoss draws together. Its weights begin nearly
    linear, as ImageAutoencoder's, and its codes as normal draws. ResShiftNet reads its checkpoint as `vq.path`.

    Args:
        vq: see VQOptions.

    Raises:
        OptionError: sizes that do not go together.
    """

    OUTPUTS: ClassVar = ("sr", "latent_prediction", "latent")
    SCALE: ClassVar = 1
    CHANNELS: ClassVar = 3

    @classmethod
    def check_patch(cls, entry: Opt, key: str, size: int, size_key: str) -> Iterator[Problem]:
        """Check that the autoencoder can halve a patch, so that it gives back the patch's size."""
        factor = vq_factor({"vq": entry.get("vq")})
        if size % factor:
            yield Problem(size_key, f"must be a multiple of {factor}, by which {key} reduces images; got {size}")

    def __init__(self, vq: Annotated[dict[str, Any], Section(VQOptions)]) -> None:
        super().__init__()
        options = parse_section(VQOptions, vq, "vq")
        self.vq = build_vq(options)
        start_nearly_linear(self.vq, options.seed, "network_g.vq.groups")
        codes = self.vq.quantize.embedding.weight
        nn.init.normal_(codes, generator=torch.Generator().manual_seed(options.seed))

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return images (B, 3, H, W) about [0, 1] of images in [0, 1]; sides are multiples of the factor.

        In training with latents and codes, (B, C, h, w) each.
        """
        latents = self.vq.encode(2 * images - 1).latents
        if not self.training:
            return decode_latents(self.vq, latents)
        chosen = self.vq.quantize(latents)[2][2].view(len(latents), *latents.shape[-2:])
        codes = self.vq.quantize.embedding(chosen).permute(0, 3, 1, 2)
        images = decode_latents(self.vq, latents + (codes - latents).detach(), quantize=False)
        return images, latents, codes
