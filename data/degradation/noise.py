"""Random noise of Real-ESRGAN's degradation, with the draws of BasicSR's functions but without waiting for a GPU.

BasicSR's `random_add_gaussian_noise_pt` and `random_add_poisson_noise_pt` ask the GPU whether any image gets grey noise
and how many levels each image has. Here grey is drawn on the CPU, and levels are counted where the image is. On a CPU
the results are those of BasicSR, bit for bit.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms.functional import rgb_to_grayscale


def add_gaussian_noise(image: Tensor, sigma_range: Sequence[float], grey_prob: float) -> Tensor:
    """Return images (B, 3, H, W) in [0, 1] with Gaussian noise, clipped to [0, 1].

    Each image's standard deviation is drawn from `sigma_range`, in levels of 0..255. Each has grey noise with
    `grey_prob`; all grey noise of a batch has one pattern.
    """
    sigma = _draw(image, sigma_range)
    grey, some_grey = _draw_grey(image, grey_prob)
    pattern = _normal(image, image.shape[2:]) * sigma / 255.0 if some_grey else None
    noise = _normal(image, image.shape) * sigma / 255.0
    return (image + _mix(noise, pattern, grey)).clamp(0, 1)


def add_poisson_noise(image: Tensor, scale_range: Sequence[float], grey_prob: float) -> Tensor:
    """Return images (B, 3, H, W) in [0, 1] with Poisson noise, as of as many photons as each has levels, clipped.

    Each image's factor of the noise is drawn from `scale_range`. With `grey_prob` its noise is that of its grey
    version, in all channels.
    """
    scale = _draw(image, scale_range)
    grey, some_grey = _draw_grey(image, grey_prob)
    pattern = _draw_poisson(rgb_to_grayscale(image)) if some_grey else None
    noise = _mix(_draw_poisson(image), pattern, grey)
    return (image + noise * scale).clamp(0, 1)


def count_levels(levels: Tensor) -> Tensor:
    """Return the number of different values of each image, (B,) int64, of (B, ...) whole numbers in [0, 255]."""
    found = torch.zeros(len(levels), 256, dtype=torch.int64, device=levels.device)
    return found.scatter_(1, levels.flatten(1).long().clamp(0, 255), 1).sum(1)


def _draw_poisson(image: Tensor) -> Tensor:
    levels = (image * 255.0).round().clamp(0, 255)
    rounded = levels / 255.0
    counts = count_levels(levels)
    exponents = sum((counts > 2**power).long() for power in range(8))  # of the next power of 2
    photons = (torch.ones_like(counts) << exponents).to(image.dtype)[:, None, None, None]
    return torch.poisson(rounded * photons) / photons - rounded


def _draw(image: Tensor, bounds: Sequence[float]) -> Tensor:
    uniform = torch.rand(len(image), dtype=image.dtype, device=image.device)
    return (uniform * (bounds[1] - bounds[0]) + bounds[0])[:, None, None, None]


def _draw_grey(image: Tensor, prob: float) -> tuple[Tensor, bool]:
    """Return 1 for images with grey noise, else 0, (B, 1, 1, 1), and whether there are any: drawn on the CPU."""
    grey = (torch.rand(len(image), dtype=image.dtype) < prob).to(image.dtype)
    return grey[:, None, None, None].to(image.device, non_blocking=True), bool(grey.numpy().any())


def _normal(image: Tensor, shape: Sequence[int]) -> Tensor:
    return torch.randn(*shape, dtype=image.dtype, device=image.device)


def _mix(noise: Tensor, pattern: Tensor | None, grey: Tensor) -> Tensor:
    return noise if pattern is None else noise * (1 - grey) + pattern * grey
