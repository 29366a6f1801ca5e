"""The latent noise of a training step: what is drawn, how a latent is noised, and the clean latent predicted back.

Paper: LGCAA, eq. 1.
"""

from typing import NamedTuple

from prismsr.archs.lgcaa.stable_diffusion import NOISE_CONFIG, build_scheduler

import torch
from torch import Tensor

TIMESTEPS = int(NOISE_CONFIG["num_train_timesteps"])


class Draws(NamedTuple):
    """Random numbers of a batch: of the posterior and the noise, (B, C, h, w), and timesteps (B,) from 0 to 999."""

    posterior: Tensor
    noise: Tensor
    timesteps: Tensor


def draw_noise(shape: torch.Size, device: torch.device) -> Draws:
    """Return draws for latents of this shape from the device's global generator, whose state each checkpoint holds."""
    timesteps = torch.randint(TIMESTEPS, (shape[0],), device=device)
    return Draws(torch.randn(shape, device=device), torch.randn(shape, device=device), timesteps)


def make_signal_levels(device: torch.device | str = "cpu") -> Tensor:
    """Return abar_t of SD-2's schedule, (1000,) float32."""
    levels: Tensor = build_scheduler("ddpm").alphas_cumprod
    return levels.to(device)


def add_noise(latents: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Return z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) noise.

    Args:
        latents: z_0, (B, C, h, w).
        noise: the same shape.
        level: abar_t, (B,).
    """
    level = level.view(-1, 1, 1, 1)
    return level.sqrt() * latents + (1 - level).sqrt() * noise


def predict_clean(z_t: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Return the z_0 (B, C, h, w) that z_t would have if its noise were `noise`; the inverse of `add_noise`."""
    level = level.view(-1, 1, 1, 1)
    return (z_t - (1 - level).sqrt() * noise) / level.sqrt()


def sample_latents(moments: Tensor, draws: Tensor, scaling_factor: float) -> Tensor:
    """Return scaled latents (B, C, h, w) of posteriors (B, 2 C, h, w), by standard normal draws (B, C, h, w)."""
    mean, log_variance = moments.to(torch.promote_types(moments.dtype, torch.float32)).chunk(2, dim=1)
    return scaling_factor * (mean + torch.exp(0.5 * log_variance.clamp(-30, 20)) * draws)
