"""Give a sampled image the colours of the LR image, whose tone a diffusion model drifts away from."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

ColourFix = Literal["none", "adain", "wavelet"]
Source = Callable[[int, int], Tensor]
"""Gives the rows from the first up to the second, (B, C, rows, W), of an image."""
LEVELS = 5
BAND = 64
"""Rows that are worked on at once."""


def fix_colours(image: Tensor, source: Source, kind: ColourFix) -> None:
    """Give an image, RGB (B, 3, H, W), in place, the colours of `source`, with the memory of a band of rows."""
    if kind != "none":
        {"adain": adain, "wavelet": wavelet}[kind](image, source)


def adain(image: Tensor, source: Source, eps: float = 1e-5) -> None:
    """Set mean and standard deviation of each channel to those of `source` (StableSR, SeeSR), in place.

    Both are (B, C, H, W). `eps` is added to both variances.
    """
    height = image.shape[-2]
    mean, variance = moments(lambda top, bottom: image[..., top:bottom, :], height)
    centre, wanted = (value.to(image) for value in moments(source, height))
    image.sub_(mean.to(image)).mul_(((wanted + eps) / (variance.to(image) + eps)).sqrt()).add_(centre)


def moments(rows: Source, height: int) -> tuple[Tensor, Tensor]:
    """Mean and unbiased variance, each (B, C, 1, 1) float64, of an image that is read in bands; 0 for one pixel."""
    total = square = torch.zeros(())
    count = 0
    for top in range(0, height, BAND):
        band = rows(top, min(top + BAND, height)).double()
        total = total.to(band) + band.sum((-2, -1), keepdim=True)
        square = square.to(band) + band.square().sum((-2, -1), keepdim=True)
        count += band.shape[-2] * band.shape[-1]
    mean = total / count
    return mean, (square - total * mean).clamp(min=0) / max(count - 1, 1)


def wavelet(image: Tensor, source: Source, levels: int = LEVELS) -> None:
    """Put the image's high frequencies on the low ones of `source` (DiffBIR, StableSR), in place; both (B, C, H, W).

    By an a-trous decomposition. It is linear: low frequencies of the difference are taken away, in bands that see as
    far beyond their rows as the blurs do. The last of `levels` blurs spans 2^(levels + 1) - 1 pixels.
    """
    height, reach = image.shape[-2], 2**levels - 1
    above = image[..., :0, :]  # rows above the band as they were
    for top in range(0, height, BAND):
        bottom = min(top + BAND, height)
        first, last = top - above.shape[-2], min(bottom + reach, height)
        rows = torch.cat((above, image[..., top:last, :]), -2)
        low = low_frequencies(rows - source(first, last).to(rows), levels)
        above = rows[..., max(bottom - reach, 0) - first : bottom - first, :]
        image[..., top:bottom, :] -= low[..., top - first : bottom - first, :]


def low_frequencies(image: Tensor, levels: int = LEVELS) -> Tensor:
    """Return the image (B, C, H, W) blurred by (1, 2, 1) / 4 on both axes, dilation 1, 2, 4, ...; border repeated."""
    for level in range(levels):
        for axis in (-1, -2):
            image = _blur(image, 2**level, axis)
    return image


def _blur(image: Tensor, step: int, axis: int) -> Tensor:
    pad = (step, step, 0, 0) if axis == -1 else (0, 0, step, step)
    padded = F.pad(image, pad, mode="replicate")
    length = image.shape[axis]
    before, here, after = (padded.narrow(axis, start, length) for start in (0, step, 2 * step))
    return (before + after) / 4 + here / 2
