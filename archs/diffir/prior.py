"""The prior of an image: the encoder that tells it, and the diffusion by which the second stage predicts it.

Paper: SSL, table 2, DiffIR; CPEN and the diffusion of DiffIR (ICCV 2023).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from prismsr.archs.diffir.restorer import PRIOR

import numpy as np
import torch
from torch import Tensor, nn

_WIDTH = 64


class CPEN(nn.Module):
    """The encoder: convolutions, their mean over the image, and two linear layers; names are the release's."""

    def __init__(self, inputs: int, residual_blocks: int) -> None:
        super().__init__()
        widths = (_WIDTH, 2 * _WIDTH, 2 * _WIDTH, PRIOR)
        self.E = nn.Sequential(
            *_activated(_conv(inputs, _WIDTH)),
            *(_ResidualBlock() for _ in range(residual_blocks)),
            *(layer for sides in pairwise(widths) for layer in _activated(_conv(*sides))),
        )
        self.mlp = nn.Sequential(*_activated(nn.Linear(PRIOR, PRIOR)), *_activated(nn.Linear(PRIOR, PRIOR)))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, inputs, H, W) to priors (B, 256)."""
        return self.mlp(self.E(x).mean((2, 3)))


class _ResidualBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*_activated(_conv(_WIDTH, _WIDTH)), _conv(_WIDTH, _WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Denoiser(nn.Module):
    """Predict a prior from a noisy one, the condition and the step; names are the release's.

    There are `layers` linear layers after the first.
    """

    def __init__(self, layers: int, timesteps: int) -> None:
        super().__init__()
        self.longest = 10 * timesteps
        first = _activated(nn.Linear(2 * PRIOR + 1, PRIOR))
        rest = (nn.Sequential(*_activated(nn.Linear(PRIOR, PRIOR))) for _ in range(layers))
        self.resmlp = nn.Sequential(*first, *(nn.Sequential(OrderedDict(resmlp=layer)) for layer in rest))

    def forward(self, noisy: Tensor, step: int, condition: Tensor) -> Tensor:
        """Map noisy priors and conditions, both (B, 256), at one step to clean priors (B, 256)."""
        level = torch.full_like(noisy[:, :1], step / self.longest)
        return self.resmlp(torch.cat([condition, level, noisy], 1))


class Schedule(NamedTuple):
    """Numbers of each step t: beta_t, abar_t, and the weights of x_0 and x_t in the mean of x_{t-1}."""

    betas: tuple[float, ...]
    levels: tuple[float, ...]
    of_clean: tuple[float, ...]
    of_noisy: tuple[float, ...]


def make_schedule(timesteps: int, linear_start: float, linear_end: float) -> Schedule:
    """Return the schedule whose betas have roots that rise evenly, from linear_start's to linear_end's.

    Example:
        >>> [round(beta, 4) for beta in make_schedule(4, 0.1, 0.99).betas]
        [0.1, 0.2943, 0.591, 0.99]
    """
    betas = np.linspace(linear_start**0.5, linear_end**0.5, timesteps) ** 2
    levels = np.cumprod(1 - betas)
    before = np.append(1.0, levels[:-1])
    of_clean = betas * np.sqrt(before) / (1 - levels)
    of_noisy = (1 - before) * np.sqrt(1 - betas) / (1 - levels)
    return Schedule(*(tuple(values.tolist()) for values in (betas, levels, of_clean, of_noisy)))


def add_noise(prior: Tensor, noise: Tensor, schedule: Schedule) -> Tensor:
    """Return priors (B, 256) noised by standard normal numbers of their shape, as they are at the last step."""
    level = schedule.levels[-1]
    return level**0.5 * prior + (1 - level) ** 0.5 * noise


def predict_prior(
    denoise: Callable[[Tensor, int, Tensor], Tensor], start: Tensor, condition: Tensor, schedule: Schedule
) -> Iterator[Tensor]:
    """Yield priors (B, 256) after each step, from the last to the first: means of the posterior, without noise.

    The last step begins at `start`, (B, 256); so large is the condition, too. `denoise` is a Denoiser.
    """
    prior = start
    for step in reversed(range(len(schedule.betas))):
        clean = denoise(prior, step, condition)
        prior = schedule.of_clean[step] * clean + schedule.of_noisy[step] * prior
        yield prior


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _activated(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    return layer, nn.LeakyReLU(0.1, inplace=True)
