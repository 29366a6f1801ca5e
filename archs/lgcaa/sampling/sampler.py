"""Sample an HR image of an LR image by an LGCAANet: any size and scale, in bounded memory, repeatable.

Paper: LGCAA, figure 8.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from prismsr.archs.lgcaa.lgcaa_arch import Condition
from prismsr.archs.lgcaa.sampling.colour_fix import fix_colours
from prismsr.archs.lgcaa.sampling.condition_tiles import ConditionFeatures
from prismsr.archs.lgcaa.sampling.enlarged_image import EnlargedImage
from prismsr.archs.lgcaa.sampling.latent_tiling import Window, blend_windows
from prismsr.archs.lgcaa.sampling.options import SamplingOptions
from prismsr.archs.lgcaa.sampling.vae_tiles import decode_tiled, encode_tiled
from prismsr.archs.lgcaa.stable_diffusion import build_scheduler

import torch
from torch import Tensor
from torch.nn import functional as F

Predict = Callable[[Tensor, Tensor], Tensor]


def prepare_scheduler(options: SamplingOptions) -> tuple[Any, Tensor]:
    """Return diffusers' scheduler with SD-2's noise, and its timesteps from the first that is used, (steps,)."""
    scheduler = build_scheduler(options.scheduler, timestep_spacing=options.spacing)
    scheduler.set_timesteps(options.steps)
    timesteps: Tensor = scheduler.timesteps
    first = 0
    if options.start_timestep is not None:
        late = (timesteps <= options.start_timestep).nonzero()
        first = int(late[0]) if len(late) else len(timesteps) - 1
    if first and hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    return scheduler, timesteps[first:]


def denoise(
    predict: Predict, start: Tensor | None, shape: torch.Size, options: SamplingOptions, generator: torch.Generator
) -> Tensor:
    """Return latents (B, 4, h, w) after all steps.

    Args:
        predict: gives the noise of latents (B, 4, h, w) float32 at a timestep ().
        start: encoded LR images, noised to the first timestep; None: from noise alone.
        shape: of the latents.
        options: see SamplingOptions.
        generator: of the noise, on the CPU, so that all devices draw alike.
    """
    scheduler, timesteps = prepare_scheduler(options)
    latents = torch.randn(shape, generator=generator)
    if start is None:
        latents = latents * scheduler.init_noise_sigma
    else:
        level = float(scheduler.alphas_cumprod[int(timesteps[0])])
        latents = math.sqrt(level) * start + math.sqrt(1 - level) * latents.to(start.device)
    for t in timesteps:
        noise = predict(latents, t).float()
        settings = {} if options.scheduler == "ddim" else {"generator": generator}
        latents = scheduler.step(noise, t, latents.to(noise.device), return_dict=False, **settings)[0]
    return latents


class Sampler:
    """Sampling as the section `val.sampling` says.

    Args:
        options: see SamplingOptions.
        scale: of the task, 1 to 8; more is possible.
    """

    def __init__(self, options: SamplingOptions, scale: int) -> None:
        self.options = options
        self.scale = scale

    @torch.no_grad()
    def __call__(self, net: Any, lq: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return HR images (B, 3, scale * h, scale * w) in [0, 1], on the CPU where they were decoded in tiles.

        Args:
            net: LGCAANet in evaluation mode, without a wrapper.
            lq: RGB (B, 3, h, w) in [0, 1], on the net's device.
            generator: on the CPU; None: one seeded by a draw from torch's own.
        """
        if generator is None:
            generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        size = lq.shape[-2] * self.scale, lq.shape[-1] * self.scale
        work = self._working_size(size)
        source = EnlargedImage(lq, work, net.factor)
        with self._autocast(lq.device):
            images = self._sample(net, source, generator)[..., : work[0], : work[1]]
        fix_colours(images, source.rows, self.options.colour_fix)
        images.clamp_(0, 1)
        return images if work == size else F.interpolate(images, size, mode="bicubic", antialias=True).clamp(0, 1)

    def _sample(self, net: Any, source: EnlargedImage, generator: torch.Generator) -> Tensor:
        options, device = self.options, source.lq.device
        c_f = ConditionFeatures(net.controlnet.controlnet_cond_embedding, source, net.factor)
        tokens = net.dino(source.lq)  # of the whole image, for every tile

        def predict(latents: Tensor, t: Tensor) -> Tensor:
            latents, t = latents.to(device), t.to(device)

            def run(window: Window) -> Tensor:
                condition = Condition((c_f.of(window),), tokens)
                noise: Tensor = net(window.of(latents), t, condition=condition, control_scale=options.control_scale)[0]
                return noise

            return blend_windows(run, *c_f.size, options.tile, options.tile_overlap)

        start = encode_tiled(net.vae, source, options) if options.start == "lr" else None
        shape = torch.Size((len(source.lq), net.unet.config.in_channels, *c_f.size))
        latents = denoise(predict, start, shape, options, generator).to(device)
        return decode_tiled(net.vae, latents, options)

    def _working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        least = self.options.min_side or 0
        if min(size) >= least:
            return size
        return tuple(max(round(side * least / min(size)), least) for side in size)  # type: ignore[return-value]

    def _autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        return nullcontext() if self.options.amp is None else torch.autocast(device.type, torch.bfloat16)
