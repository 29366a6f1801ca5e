"""An AutoencoderKL as a network that PrismSRModel can train: the small VAE of the demo, in place of SD's."""

from typing import Any

from prismsr.archs.lgcaa_options import BaseOptions
from prismsr.archs.stable_diffusion import build_vae

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

LOG_VARIANCE = -10.0


@ARCH_REGISTRY.register()
class ImageAutoencoder(nn.Module):
    """diffusers' AutoencoderKL from a config, trained to give back its input. Ours; LGCAA itself never trains a VAE.

    While it trains, the latent gets Gaussian noise of `noise` times its standard deviation, so that the decoder bears
    latents that a diffusion model got a little wrong. There is no KL term: `tools/export_lgcaa.py vae` measures the
    scaling factor instead.

    Args:
        vae: changes to SD's VAE config.
        noise: see above.
        seed: of the weights.
    """

    def __init__(self, vae: dict[str, Any], noise: float = 0.1, seed: int = 0) -> None:
        super().__init__()
        self.noise = noise
        self.vae = build_vae(BaseOptions(path=None, vae=vae, seed=seed)).requires_grad_(True)
        with torch.no_grad():  # a narrow posterior; without a KL term nothing moves it
            channels = self.vae.config.latent_channels
            self.vae.quant_conv.weight[channels:].zero_()
            self.vae.quant_conv.bias[channels:].fill_(LOG_VARIANCE)
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) about [0, 1] of images in [0, 1]; sides are multiples of the VAE's factor."""
        latents = self.vae.encode(2 * images - 1).latent_dist.mean
        if self.training:
            latents = latents + self.noise * latents.detach().std() * torch.randn_like(latents)
        decoded: Tensor = self.vae.decode(latents).sample
        return (decoded + 1) / 2
