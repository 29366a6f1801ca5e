"""Give a sampled image the colours of the LR image, whose tone a diffusion model drifts away from."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

ColourFix = Literal["none", "adain", "wavelet"]
LEVELS = 5


def colour_fixed(image: Tensor, source: Tensor, kind: ColourFix) -> Tensor:
    """The image with the colours of `source`, as `kind` says.

    Args:
        image: RGB (B, 3, H, W).
        source: the enlarged LR image, the same shape.
        kind: "none", "adain" or "wavelet".
    """
    if kind == "none":
        return image
    return adain(image, source) if kind == "adain" else wavelet(image, source)


def adain(image: Tensor, source: Tensor, eps: float = 1e-5) -> Tensor:
    """Mean and standard deviation of each channel set to those of `source` (StableSR, SeeSR).

    Args:
        image: (B, C, H, W).
        source: (B, C, h, w).
        eps: added to the variance of the image.
    """
    variance, mean = torch.var_mean(image, (2, 3), keepdim=True)
    wanted, centre = torch.var_mean(source, (2, 3), keepdim=True)
    return (image - mean) * ((wanted + eps) / (variance + eps)).sqrt() + centre


def wavelet(image: Tensor, source: Tensor, levels: int = LEVELS) -> Tensor:
    """High frequencies of the image on the low ones of `source` (DiffBIR, StableSR), by an a-trous decomposition.

    Args:
        image: (B, C, H, W).
        source: the same shape.
        levels: blurs; the last spans 2^(levels + 1) - 1 pixels.
    """
    return image - low_frequencies(image, levels) + low_frequencies(source, levels)


def low_frequencies(image: Tensor, levels: int = LEVELS) -> Tensor:
    """The image (B, C, H, W) blurred by (1, 2, 1) / 4 along both axes, with dilation 1, 2, 4, ...; border repeated."""
    for level in range(levels):
        for axis in (-1, -2):
            image = _blurred(image, 2**level, axis)
    return image


def _blurred(image: Tensor, step: int, axis: int) -> Tensor:
    pad = (step, step, 0, 0) if axis == -1 else (0, 0, step, step)
    padded = F.pad(image, pad, mode="replicate")
    length = image.shape[axis]
    before, here, after = (padded.narrow(axis, start, length) for start in (0, step, 2 * step))
    return (before + after) / 4 + here / 2
