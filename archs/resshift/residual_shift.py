"""ResShift's noise: a latent is shifted step by step to that of the enlarged LR image, beside Gaussian noise.

Paper: SSL, table 2, ResShift.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from prismsr.archs.latent.sampling.denoising import Predict
from prismsr.utils.options.schema import Options

import torch
from pydantic import Field, model_validator
from torch import Tensor

CHANNEL_AXES = (-1, 1, 1, 1)


class ScheduleOptions(Options):
    """`schedule`: how fast the latent is shifted."""

    steps: int = Field(default=15, gt=1, description="T; sampling takes them all")
    kappa: float = Field(default=2.0, gt=0, description="noise for a whole shift")
    power: float = Field(default=0.3, gt=0, description="p of the schedule's growth")
    min_noise: float = Field(default=0.04, gt=0, description="noise of the first step, over kappa")
    end: float = Field(default=0.99, gt=0, lt=1, description="root of eta at the last step")

    @property
    def first(self) -> float:
        """Root of eta at the first step."""
        return min(self.min_noise / self.kappa, self.min_noise)

    @model_validator(mode="after")
    def _shift_grows(self) -> Self:
        if self.first >= self.end:
            raise ValueError(f"min_noise, also over kappa, must be below end, {self.end}; got {self.min_noise}")
        return self


class ResidualShift:
    """The process q(x_t | x_0, y) = N(x_0 + eta_t (y - x_0), kappa^2 eta_t) and its reverse; the network gives x_0.

    Attributes:
        root, eta: sqrt(eta_t) and eta_t, (T,) float64; so are the following.
        alpha: eta_t - eta_(t - 1), with eta_(-1) = 0.
        keep: weight of x_t in the mean of x_(t - 1); that of x_0 is 1 - keep.
        variance: of x_(t - 1); 0 at t = 0.
        scale: by which the network's input is multiplied.

    Example:
        >>> ResidualShift(ScheduleOptions()).root[:3].mul(1e6).round().int()
        tensor([ 20000, 117165, 176305], dtype=torch.int32)
    """

    PREDICTS: ClassVar = "latent"
    """See NoiseProcess: losses compare `latent_prediction` with `latent`."""

    def __init__(self, options: ScheduleOptions) -> None:
        self.options = options
        growth = (torch.arange(options.steps, dtype=torch.float64) / (options.steps - 1)) ** options.power
        self.root = options.first * (options.end / options.first) ** growth
        self.eta = self.root.square()
        before = torch.cat((torch.zeros(1, dtype=torch.float64), self.eta[:-1]))
        self.alpha = self.eta - before
        self.keep = before / self.eta
        self.variance = options.kappa**2 * self.keep * self.alpha
        self.scale = (1 + options.kappa**2 * self.eta).rsqrt()

    def draw(self, shape: torch.Size, device: torch.device) -> dict[str, Tensor]:
        """Return timesteps (B,) and noise (B, C, h, w) for latents of this shape, from the global generator."""
        timesteps = torch.randint(self.options.steps, (shape[0],), device=device)
        return {"timesteps": timesteps, "noise": torch.randn(shape, device=device)}

    def add_noise(self, latents: Tensor, part: Mapping[str, Tensor]) -> Tensor:
        """Return x_t of latents x_0 (B, C, h, w).

        `part` has timesteps (B,), noise (B, C, h, w), and lq_latents, y of the same shape.
        """
        t = part["timesteps"]
        shifted = latents + _pick(self.eta, t, latents) * (part["lq_latents"] - latents)
        return shifted + self.options.kappa * _pick(self.root, t, latents) * part["noise"]

    def target(self, latents: Tensor, part: Mapping[str, Tensor]) -> Tensor:
        """Return what the network is to predict: x_0 itself."""
        return latents

    def predict_clean(self, z_t: Tensor, prediction: Tensor, part: Mapping[str, Tensor]) -> Tensor:
        """Return x_0 as predicted: the prediction itself, not clamped."""
        return prediction

    def scale_input(self, z_t: Tensor, t: Tensor) -> Tensor:
        """Return x_t (B, C, h, w) as the network takes it, of about one size at all timesteps; t is (B,) or ()."""
        return z_t * _pick(self.scale, t, z_t)

    def step_back(self, z_t: Tensor, clean: Tensor, t: int, noise: Tensor | None = None) -> Tensor:
        """Return x_(t - 1) of x_t and the predicted x_0; the mean alone without noise, which the last step has not."""
        if t == 0:
            return clean
        mean = self.keep[t].item() * z_t + (1 - self.keep[t].item()) * clean
        return mean if noise is None else mean + self.variance[t].sqrt().item() * noise

    def begin(self, lq_latents: Tensor, noise: Tensor) -> Tensor:
        """Return x_T: y with noise of the last step."""
        return lq_latents + self.options.kappa * self.root[-1].item() * noise

    def denoise(
        self, predict: Predict, start: Tensor | None, shape: torch.Size, options: Any, generator: torch.Generator
    ) -> Tensor:
        """Return latents x_0 (B, C, h, w) after all steps, of which the schedule alone says how many there are.

        `predict` gives x_0 of latents at a timestep (). `start` is y, the latents of the enlarged LR images. The
        noise's generator is on the CPU, so that all devices draw alike.
        """
        assert start is not None

        def draw() -> Tensor:
            return torch.randn(shape, generator=generator).to(start)

        latents = self.begin(start, draw())
        for t in reversed(range(self.options.steps)):
            clean = predict(latents, torch.tensor(t)).to(latents)
            latents = self.step_back(latents, clean, t, draw() if t else None)
        return latents


def _pick(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """Return a table's values at timesteps (B,) or (), to multiply maps (B, C, h, w) by."""
    return table.to(like.device, non_blocking=True)[t].to(like.dtype).view(CHANNEL_AXES)
