"""The noise of Stable Diffusion: what is drawn, how a latent is noised and made clean, how one is sampled.

Paper: LGCAA, eq. 1.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from prismsr.archs.latent.sampling.denoising import denoise
from prismsr.archs.latent.stable_diffusion import NOISE_CONFIG, build_scheduler

import torch
from torch import Tensor

TIMESTEPS = int(NOISE_CONFIG["num_train_timesteps"])


def draw_noise(shape: torch.Size, device: torch.device) -> dict[str, Tensor]:
    """Return `timesteps` (B,) from 0 to 999, and `posterior` and `noise`, normal draws of this shape, (B, C, h, w).

    They come from the device's global generator, whose state each checkpoint holds.
    """
    timesteps = torch.randint(TIMESTEPS, (shape[0],), device=device)
    return {**{name: torch.randn(shape, device=device) for name in ("posterior", "noise")}, "timesteps": timesteps}


def make_signal_levels(device: torch.device | str = "cpu") -> Tensor:
    """Return abar_t of SD-2's schedule, (1000,) float32."""
    levels: Tensor = build_scheduler("ddpm").alphas_cumprod
    return levels.to(device)


def add_noise(latents: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Return z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) noise of z_0 and noise (B, C, h, w); `level` is abar_t, (B,)."""
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


class NoiseProcess:
    """Diffusion with SD-2's schedule by a network that predicts the noise.

    A network on latents has such an object as `process`, by which training noises latents and sampling makes them
    clean. `part` is a batch (or its part) with the entries that `draw` gave: noise, posterior and timesteps.
    """

    PREDICTS: ClassVar = "noise"
    """What the network predicts, and the name of it in a step: losses compare `noise_prediction` with `noise`."""

    denoise = staticmethod(denoise)

    def __init__(self) -> None:
        self._levels: dict[torch.device, Tensor] = {}

    def draw(self, shape: torch.Size, device: torch.device) -> dict[str, Tensor]:
        """Return what draw_noise draws."""
        return draw_noise(shape, device)

    def add_noise(self, latents: Tensor, part: Mapping[str, Any]) -> Tensor:
        """Return z_t (B, C, h, w); see add_noise."""
        return add_noise(latents, part["noise"], self._level(part["timesteps"]))

    def target(self, latents: Tensor, part: Mapping[str, Any]) -> Tensor:
        """Return what the prediction is compared with: the noise."""
        return part["noise"]

    def predict_clean(self, z_t: Tensor, prediction: Tensor, part: Mapping[str, Any]) -> Tensor:
        """Return z_0 (B, C, h, w); see predict_clean."""
        return predict_clean(z_t, prediction, self._level(part["timesteps"]))

    def _level(self, timesteps: Tensor) -> Tensor:
        device = timesteps.device
        if device not in self._levels:
            self._levels[device] = make_signal_levels(device)
        return self._levels[device][timesteps]
