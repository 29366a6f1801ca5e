"""BSRGAN's degradation: two blurs, downsampling, noise and JPEG in a random order.

Zhang et al., Designing a Practical Degradation Model for Deep Blind Image Super-Resolution, ICCV 2021. The steps and
what each draws from are the paper's and the releases'; the random streams are ours.
"""

import math
from collections.abc import Sequence
from typing import Any

from prismsr.data.degradation.bsrgan_options import BSRGANRanges
from prismsr.utils.resize import imresize_bicubic

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating]
"""(H, W, 3) RGB in [0, 1], float32 or float64, which each step keeps."""

_INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)
_STEPS = ("blur", "blur", "resize", "fit", "noise", "jpeg")


def degrade_bsrgan(image: Image, scale: int, rng: np.random.Generator, ranges: BSRGANRanges) -> Image:
    """Make one LR image (H / scale, W / scale, 3), rounded to 8 bits, in [0, 1], of RGB (H, W, 3) in [0, 1].

    Sides are multiples of `scale`, GT size / LR size. All draws come from `rng`.
    """
    size = image.shape[1] // scale, image.shape[0] // scale
    if scale == 4 and rng.random() < ranges.half_first_prob:
        image, scale = _halve(image, rng), 2
    for step in _order(rng):
        if step == "blur":
            image = _convolve(image, draw_blur_kernel(rng, scale, ranges))
        elif step == "resize":
            image = _reduce(image, scale, rng, ranges)
        elif step == "fit":
            image = _clip(cv2.resize(image, size, interpolation=_interpolation(rng)))
        elif step == "noise":
            image = _clip(image + draw_noise(image.shape, rng, ranges.noise_levels, image.dtype.type))
        elif rng.random() < ranges.jpeg_prob:
            image = _compress(image, rng, ranges.jpeg_range)
    return _compress(image, rng, ranges.jpeg_range)


def _order(rng: np.random.Generator) -> list[str]:
    """Draw the order of the steps, the one that gives the image its size after the one that may reduce it."""
    order = [_STEPS[index] for index in rng.permutation(len(_STEPS))]
    resize, fit = order.index("resize"), order.index("fit")
    if resize > fit:
        order[resize], order[fit] = order[fit], order[resize]
    return order


def draw_blur_kernel(rng: np.random.Generator, scale: int, ranges: BSRGANRanges) -> NDArray[np.float64]:
    """Draw a Gaussian kernel (k, k), sum 1: round, or with two random variances on a random axis."""
    side = _draw_side(rng, ranges.blur_sizes)
    if rng.random() >= ranges.aniso_prob:
        return gaussian_kernel(side, np.eye(2) * max(_line(ranges.iso_sigma, scale) * rng.random(), 1e-3) ** 2)
    angle = math.pi * rng.random()
    axes = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    variances = (_line(ranges.aniso_variance, scale) * rng.random(2)).clip(1e-3)
    return gaussian_kernel(side, axes @ np.diag(variances) @ axes.T)


def gaussian_kernel(side: int, covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a Gaussian's density at whole pixels around its middle, (side, side), sum 1; `side` is odd.

    The covariance is (2, 2), x before y, in pixels^2.

    Example:
        >>> gaussian_kernel(5, np.eye(2) * 0.8**2)[2, 2].round(10)
        np.float64(0.2491171972)
    """
    axis = np.arange(side) - (side - 1) / 2
    points = np.stack(np.meshgrid(axis, axis), axis=-1)
    exponent = np.einsum("hwi,ij,hwj->hw", points, np.linalg.inv(covariance), points) / 2
    kernel = np.exp(exponent.min() - exponent)
    return kernel / kernel.sum()


def shifted_kernel(side: int, sigma: float, scale: int) -> NDArray[np.float64]:
    """Return a Gaussian kernel (side, side), sum 1, that looks (scale - 1) / 2 pixels to the right and down.

    Every scale-th pixel so stands for the middle of its block. As the release does it, the kernel is shifted by
    bilinear interpolation with places clamped to its last pixel: a small kernel becomes broad. `side` is odd, `sigma`
    in pixels.

    Example:
        >>> shifted_kernel(3, 0.8, 4).sum(0).round(5).tolist()
        [0.27839, 0.27839, 0.44322]
    """
    row = gaussian_kernel(side, np.eye(2) * sigma**2).sum(0)
    places = np.minimum(np.arange(side) + (scale - 1) / 2, side - 1)
    shifted = np.interp(places, np.arange(side), row)[::-1]  # turned round, since OpenCV correlates
    kernel = np.outer(shifted, shifted)
    return kernel / kernel.sum()


def _draw_side(rng: np.random.Generator, sides: Sequence[int]) -> int:
    return 2 * int(rng.integers((sides[1] - sides[0]) // 2 + 1)) + sides[0]


def _line(pair: Sequence[float], scale: int) -> float:
    return pair[0] + pair[1] * scale


def _halve(image: Image, rng: np.random.Generator) -> Image:
    if rng.random() < 0.5:
        size = image.shape[1] // 2, image.shape[0] // 2
        return _clip(cv2.resize(image, size, interpolation=_interpolation(rng)))
    return _clip(imresize_bicubic(image, 2))


def _reduce(image: Image, scale: int, rng: np.random.Generator, ranges: BSRGANRanges) -> Image:
    if rng.random() < ranges.resize_prob:
        factor = _draw_factor(rng, scale, ranges)
        size = int(factor * image.shape[1]), int(factor * image.shape[0])
        return _clip(cv2.resize(image, (max(size[0], 1), max(size[1], 1)), interpolation=_interpolation(rng)))
    sigma = rng.uniform(0.1, _line(ranges.sample_sigma, scale))
    kernel = shifted_kernel(_draw_side(rng, ranges.sample_sizes), sigma, scale)
    return _clip(_convolve(image, kernel)[::scale, ::scale])


def _draw_factor(rng: np.random.Generator, scale: int, ranges: BSRGANRanges) -> float:
    if ranges.resize_factor is not None:
        low, high = ranges.resize_factor
        return rng.uniform(low, high)
    return 1 / rng.uniform(1, _line(ranges.resize_divisor, scale))


def draw_noise(
    shape: tuple[int, ...], rng: np.random.Generator, levels: Sequence[int], dtype: Any = np.float64
) -> Image:
    """Draw Gaussian noise (H, W, 3): independent colours (0.4), grey (0.4), or of a random covariance (0.2).

    The covariance is |L^2 U^T D U|, elementwise: L the largest level (not the drawn one, as in the releases), U the
    left singular vectors of a matrix of U(0, 1), D diagonal with U(0, 1). `levels` are the lowest and the highest
    standard deviation, of 255; both may occur. `dtype` is float32 or float64.
    """
    level, kind = dtype(int(rng.integers(levels[0], levels[1] + 1)) / 255), rng.random()
    if kind < 0.4:
        return np.repeat(level * rng.standard_normal((*shape[:2], 1), dtype), 3, axis=2)
    if kind > 0.6:
        return level * rng.standard_normal(shape, dtype)
    basis = np.linalg.svd(rng.random((3, 3)))[0]
    covariance = np.abs((levels[1] / 255) ** 2 * basis.T @ np.diag(rng.random(3)) @ basis)
    _, variances, axes = np.linalg.svd(covariance)  # as numpy's multivariate_normal, which has no float32
    return rng.standard_normal(shape, dtype) @ (np.sqrt(variances)[:, None] * axes).astype(dtype)


def _convolve(image: Image, kernel: NDArray[np.float64]) -> Image:
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def _compress(image: Image, rng: np.random.Generator, qualities: Sequence[int]) -> Image:
    quality = int(rng.integers(qualities[0], qualities[1] + 1))
    levels = (image * 255).round().clip(0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1].astype(image.dtype) / 255


def _interpolation(rng: np.random.Generator) -> int:
    return _INTERPOLATIONS[int(rng.integers(len(_INTERPOLATIONS)))]


def _clip(image: Image) -> Image:
    return image.clip(0, 1)
