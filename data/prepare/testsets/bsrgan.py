"""The BSRGAN part of the SSL release's test degradation: blur, downsampling, noise and JPEG in a random order.

Zhang et al., Designing a Practical Degradation Model for Deep Blind Image Super-Resolution, ICCV 2021, with the milder
values of the SSL release. The draws are ours.
"""

import math

from prismsr.utils.images import decode_image
from prismsr.utils.resize import imresize_bicubic

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]
"""(H, W, 3) RGB in [0, 1]."""

HALF_FIRST = 0.25
BLUR_WIDTH = 1.0  # 0.2 + 0.2 * 4: the release has the scale fixed there
ANISOTROPIC = 0.3
RESIZED = 0.75  # else blurred and sampled
RESIZE_FACTORS = (0.75, 1.0)
NOISE_LEVELS = (1, 10)  # of 255
JPEG_QUALITIES = (85, 95)
JPEG = 0.9
_INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)
_STEPS = ("blur", "blur", "resize", "fit", "noise", "jpeg")


def degrade_bsrgan(image: Image, scale: int, rng: np.random.Generator) -> Image:
    """Make one LR image (H / scale, W / scale, 3), rounded to 8 bits, in [0, 1].

    Args:
        image: (H, W, 3) RGB in [0, 1], sides multiples of scale.
        scale: GT size / LR size.
        rng: all draws come from it.
    """
    size = image.shape[1] // scale, image.shape[0] // scale
    if scale == 4 and rng.random() < HALF_FIRST:
        image, scale = _halve(image, rng), 2
    for step in _order(rng):
        if step == "blur":
            image = cv2.filter2D(image, -1, draw_blur_kernel(rng), borderType=cv2.BORDER_REFLECT_101)
        elif step == "resize":
            image = _resize(image, scale, rng)
        elif step == "fit":
            image = _clip(cv2.resize(image, size, interpolation=_interpolation(rng)))
        elif step == "noise":
            image = _clip(image + draw_noise(image.shape, rng))
        elif rng.random() < JPEG:
            image = _compress(image, rng)
    return _compress(image, rng)


def _order(rng: np.random.Generator) -> list[str]:
    """Draw the order of the steps, the one that gives the image its size after the one that may reduce it."""
    order = [_STEPS[index] for index in rng.permutation(len(_STEPS))]
    resize, fit = order.index("resize"), order.index("fit")
    if resize > fit:
        order[resize], order[fit] = order[fit], order[resize]
    return order


def draw_blur_kernel(rng: np.random.Generator) -> Image:
    """Draw a Gaussian kernel (k, k), k from 3 to 11, sum 1: round, or with two random variances on a random axis."""
    side = _draw_side(rng)
    if rng.random() >= ANISOTROPIC:
        return _gaussian(side, np.eye(2) * max(BLUR_WIDTH * rng.random(), 1e-3) ** 2)
    angle = math.pi * rng.random()
    axes = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return _gaussian(side, axes @ np.diag((BLUR_WIDTH * rng.random(2)).clip(1e-3)) @ axes.T)


def _draw_side(rng: np.random.Generator) -> int:
    return 2 * int(rng.integers(0, 5)) + 3


def shifted_kernel(side: int, sigma: float, scale: int) -> Image:
    """Return a Gaussian kernel (side, side), sum 1, that looks (scale - 1) / 2 pixels to the right and down.

    Every scale-th pixel so stands for the middle of its block. As the release does it, the kernel is shifted by
    bilinear interpolation with places clamped to its last pixel: a small kernel becomes broad.

    Args:
        side: odd, pixels.
        sigma: standard deviation, pixels.
        scale: step of the samples.

    Example:
        >>> shifted_kernel(3, 0.8, 4).sum(0).round(5).tolist()
        [0.27839, 0.27839, 0.44322]
    """
    row = _gaussian(side, np.eye(2) * sigma**2).sum(0)
    places = np.minimum(np.arange(side) + (scale - 1) / 2, side - 1)
    shifted = np.interp(places, np.arange(side), row)[::-1]  # turned round, since OpenCV correlates
    kernel = np.outer(shifted, shifted)
    return kernel / kernel.sum()


def _gaussian(side: int, covariance: Image) -> Image:
    axis = np.arange(side) - (side - 1) / 2
    points = np.stack(np.meshgrid(axis, axis), axis=-1)
    exponent = np.einsum("hwi,ij,hwj->hw", points, np.linalg.inv(covariance), points) / 2
    kernel = np.exp(exponent.min() - exponent)  # the minimum, so that a narrow kernel beside the centre is no zero
    return kernel / kernel.sum()


def _halve(image: Image, rng: np.random.Generator) -> Image:
    if rng.random() < 0.5:
        size = image.shape[1] // 2, image.shape[0] // 2
        return _clip(cv2.resize(image, size, interpolation=_interpolation(rng)))
    return _clip(imresize_bicubic(image, 2))


def _resize(image: Image, scale: int, rng: np.random.Generator) -> Image:
    if rng.random() < RESIZED:
        factor = rng.uniform(*RESIZE_FACTORS)
        size = int(factor * image.shape[1]), int(factor * image.shape[0])
        return _clip(cv2.resize(image, (max(size[0], 1), max(size[1], 1)), interpolation=_interpolation(rng)))
    kernel = shifted_kernel(_draw_side(rng), rng.uniform(0.1, 0.25 * scale), scale)
    return _clip(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)[::scale, ::scale])


def draw_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Image:
    """Draw Gaussian noise of this shape: independent colours (0.4), grey (0.4), or a random covariance (0.2)."""
    level, kind = int(rng.integers(NOISE_LEVELS[0], NOISE_LEVELS[1] + 1)) / 255, rng.random()
    if kind > 0.6:
        return rng.normal(0, level, shape)
    if kind < 0.4:
        return np.repeat(rng.normal(0, level, (*shape[:2], 1)), 3, axis=2)
    basis = np.linalg.qr(rng.random((3, 3)))[0]
    covariance = np.abs((NOISE_LEVELS[1] / 255) ** 2 * basis.T @ np.diag(rng.random(3)) @ basis)
    return rng.multivariate_normal(np.zeros(3), covariance, shape[:2], check_valid="ignore")


def _compress(image: Image, rng: np.random.Generator) -> Image:
    quality = int(rng.integers(JPEG_QUALITIES[0], JPEG_QUALITIES[1] + 1))
    levels = (image * 255).round().clip(0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return decode_image(data.tobytes(), "JPEG")[..., ::-1].astype(np.float64) / 255


def _interpolation(rng: np.random.Generator) -> int:
    return _INTERPOLATIONS[int(rng.integers(len(_INTERPOLATIONS)))]


def _clip(image: Image) -> Image:
    return image.clip(0, 1)
