"""Sample an HR image of an LR image by a network on latents: any size and scale, in bounded memory, repeatable.

Paper: LGCAA, figure 8.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from prismsr.archs.latent.sampling.colour_fix import fix_colours
from prismsr.archs.latent.sampling.enlarged_image import EnlargedImage
from prismsr.archs.latent.sampling.latent_tiling import Window, blend_windows
from prismsr.archs.latent.sampling.options import LatentSampling

import torch
from torch import Tensor
from torch.nn import functional as F


class Prepared(Protocol):
    """A network with what it needs to know of one batch of LR images, made once for all steps of the sampling."""

    @property
    def start(self) -> Tensor | None:
        """Return latents (B, C, h, w) of the LR images, from which sampling begins; None: it begins from noise."""
        ...

    def predict(self, window: Window, latents: Tensor, t: Tensor) -> Tensor:
        """Return the prediction (B, C, h, w) for noisy latents of a window, (B, C, h, w), at a timestep ()."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Return RGB images (B, 3, H, W), about [0, 1], of clean latents of the whole image."""
        ...


class Sampler:
    """Sampling as the section `val.sampling` says, at a scale of 1 to 8; more is possible."""

    def __init__(self, options: LatentSampling, scale: int) -> None:
        self.options, self.scale = options, scale

    @torch.no_grad()
    def __call__(self, net: Any, lq: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return HR images (B, 3, scale * h, scale * w) in [0, 1], on the CPU where they were decoded in tiles.

        LR images are RGB (B, 3, h, w) in [0, 1], on the device of the network on latents, which has no wrapper and is
        in evaluation mode. The generator is on the CPU; None: one seeded by a draw from torch's own.
        """
        if generator is None:
            generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        size = lq.shape[-2] * self.scale, lq.shape[-1] * self.scale
        work = self._working_size(size)
        source = EnlargedImage(lq, work, net.multiple)
        with self._autocast(lq.device):
            images = self._sample(net, source, generator)[..., : work[0], : work[1]]
        fix_colours(images, source.rows, self.options.colour_fix)
        images.clamp_(0, 1)
        return images if work == size else F.interpolate(images, size, mode="bicubic", antialias=True).clamp(0, 1)

    def _sample(self, net: Any, source: EnlargedImage, generator: torch.Generator) -> Tensor:
        options, device = self.options, source.lq.device
        size = source.padded[0] // net.factor, source.padded[1] // net.factor
        prepared: Prepared = net.prepare(source, options, generator)

        def predict(latents: Tensor, t: Tensor) -> Tensor:
            latents, t = latents.to(device), t.to(device)

            def run(window: Window) -> Tensor:
                return prepared.predict(window, window.of(latents), t)

            return blend_windows(run, *size, options.tile, options.tile_overlap, multiple=net.multiple // net.factor)

        shape = torch.Size((len(source.lq), net.latent_channels, *size))
        latents = net.process.denoise(predict, prepared.start, shape, options, generator).to(device)
        return prepared.decode(latents)

    def _working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        least = self.options.min_side or 0
        if min(size) >= least:
            return size
        return tuple(max(round(side * least / min(size)), least) for side in size)  # type: ignore[return-value]

    def _autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        return nullcontext() if self.options.amp is None else torch.autocast(device.type, torch.bfloat16)
