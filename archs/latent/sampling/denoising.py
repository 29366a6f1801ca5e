"""The steps from noise to a latent by diffusers' schedulers."""

import math
from collections.abc import Callable
from typing import Any

from prismsr.archs.latent.sampling.options import DiffusionSampling
from prismsr.archs.latent.stable_diffusion import build_scheduler

import torch
from torch import Tensor

Predict = Callable[[Tensor, Tensor], Tensor]


def prepare_scheduler(options: DiffusionSampling) -> tuple[Any, Tensor]:
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
    predict: Predict, start: Tensor | None, shape: torch.Size, options: DiffusionSampling, generator: torch.Generator
) -> Tensor:
    """Return latents (B, 4, h, w) after all steps.

    Args:
        predict: gives the noise of latents (B, 4, h, w) float32 at a timestep ().
        start: encoded LR images, noised to the first timestep; None: from noise alone.
        shape: of the latents.
        options: see DiffusionSampling.
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
