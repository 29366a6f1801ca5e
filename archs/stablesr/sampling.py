"""A StableSRNet as a Sampler uses it: LR latents made once, its tiles, and the decoder with feature wrapping."""

from functools import partial
from typing import Any

from prismsr.archs.latent.sampling.enlarged_image import EnlargedImage
from prismsr.archs.latent.sampling.latent_tiling import Window
from prismsr.archs.latent.sampling.vae_tiles import decode_tiled, encode_tiled, run_in_tiles
from prismsr.archs.latent.stable_diffusion import decode_latents, posterior_moments
from prismsr.archs.stablesr.options import SamplingOptions

import torch
from torch import Tensor, nn


class PreparedStableSR:
    """A StableSRNet with the LR latents of a batch; see `prismsr.archs.latent.sampling.sampler.Prepared`.

    The generator draws the LR latents from their posterior; None takes its mode.
    """

    def __init__(
        self, net: Any, source: EnlargedImage, options: SamplingOptions, generator: torch.Generator | None
    ) -> None:
        self.net, self.source, self.options = net, source, options
        moments = encode_tiled(net.vae, source, options, partial(posterior_moments, net.vae))
        shape = len(moments), net.latent_channels, *moments.shape[2:]
        draws = None if generator is None else torch.randn(shape, generator=generator).to(moments.device)
        self.z_lr = net.sample_lr(moments, draws)
        self.start = self.z_lr if options.start == "lr" else None

    def predict(self, window: Window, latents: Tensor, t: Tensor) -> Tensor:
        """Return the noise of a window's latents."""
        return self.net(latents, t, window.of(self.z_lr))

    def decode(self, latents: Tensor) -> Tensor:
        """Return the images, in tiles; with feature wrapping each tile is encoded as well."""
        net, weight = self.net, self.options.cfw_weight
        if net.cfw is None or weight == 0:
            return decode_tiled(net.vae, latents, self.options)

        def run(window: Window) -> Tensor:
            net.vae.encode(2 * self.source.window(window.enlarge(net.factor)) - 1)
            return decode_latents(net.vae, window.of(latents)).float().cpu()

        network = nn.ModuleList((net.vae.encoder, net.vae.decoder, net.cfw))
        with net.cfw.wrap(net.vae, weight):
            return run_in_tiles(network, run, (latents.shape[-2], latents.shape[-1]), net.factor, self.options)
