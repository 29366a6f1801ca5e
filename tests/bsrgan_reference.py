"""BSRGAN's degradation as plain steps in the releases' order: the reference of the tests and of the benchmark."""

import math
from collections.abc import Callable
from typing import Any, Literal

from prismsr.utils.resize import imresize_bicubic

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve

Form = Literal["original", "weak", "test"]
Array = NDArray[Any]
SIDES = {"original": (7, 10), "weak": (3, 4), "test": (3, 5)}
"""Of a blur kernel: the smallest, and how many odd numbers from it on."""
NOISE = {"original": (2, 25), "weak": (1, 12), "test": (1, 10)}
QUALITY = {"original": 30, "weak": 75, "test": 85}


def degrade_plainly(
    image: Array, s: int, rng: np.random.Generator, form: Form, jpeg: Callable[[Array, int], Array]
) -> Array:
    """Return the LQ image by the steps of the releases, one after the other, with their operations.

    Args:
        image: (H, W, 3) RGB in [0, 1].
        s: GT size / LQ size.
        rng: all draws come from it, in the order of `degrade_bsrgan`.
        form: original, weak (HGGT's) or test (the SSL release's test sets).
        jpeg: (image, quality) -> image.
    """
    size, qualities = (image.shape[1] // s, image.shape[0] // s), (QUALITY[form], 96)
    if s == 4 and rng.random() < 0.25:
        if rng.random() < 0.5:
            image = _cv2_resize(image, image.shape[1] // 2, image.shape[0] // 2, rng)
        else:
            image = imresize_bicubic(image, 2).clip(0, 1)
        s = 2
    order = ["blur", "blur", "down", "fit", "noise", "jpeg"]
    order = [order[i] for i in rng.permutation(6)]
    first, second = sorted((order.index("down"), order.index("fit")))
    order[first], order[second] = "down", "fit"
    for step in order:
        if step == "blur":
            image = _convolve(image, _blur_kernel(s, rng, form))
        elif step == "down":
            image = _down(image, s, rng, form)
        elif step == "fit":
            image = _cv2_resize(image, *size, rng)
        elif step == "noise":
            image = (image + _noise(image, rng, *NOISE[form])).clip(0, 1)
        elif rng.random() < 0.9:
            image = jpeg(image, int(rng.integers(*qualities)))
    return jpeg(image, int(rng.integers(*qualities)))


def _blur_kernel(s: int, rng: np.random.Generator, form: Form) -> Array:
    side = 2 * int(rng.integers(SIDES[form][1])) + SIDES[form][0]
    if rng.random() < (0.5 if form == "original" else 0.3):
        angle = math.pi * rng.random()
        axes = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        wide = {"original": 4 + s, "weak": 0.2 + 0.2 * s, "test": 1.0}[form]
        variances = [max(wide * rng.random(), 1e-3), max(wide * rng.random(), 1e-3)]
        return _gauss(side, axes @ np.diag(variances) @ axes.T)
    sigma = rng.random() * {"original": 2 + 0.2 * s, "weak": 0.2 + 0.2 * s, "test": 1.0}[form]
    return _gauss(side, np.eye(2) * max(sigma, 1e-3) ** 2)


def _gauss(side: int, covariance: Array) -> Array:
    """Return the density at each whole pixel, one by one, sum 1."""
    inverse, middle = np.linalg.inv(covariance), side // 2
    kernel = np.zeros((side, side))
    for y in range(side):
        for x in range(side):
            place = np.array([x - middle, y - middle])
            kernel[y, x] = math.exp(-0.5 * place @ inverse @ place)
    return kernel / kernel.sum()


def _shifted(side: int, sigma: float, s: int) -> Array:
    """Return the kernel with each place by bilinear interpolation, beyond the last pixel the last pixel, sum 1."""
    kernel, last = _gauss(side, np.eye(2) * sigma**2), side - 1
    places = [min(place + (s - 1) / 2, last) for place in range(side)]
    result = np.zeros((side, side))
    for y, v in enumerate(places):
        for x, u in enumerate(places):
            for i, a in ((int(v), 1 - v % 1), (min(int(v) + 1, last), v % 1)):
                for j, b in ((int(u), 1 - u % 1), (min(int(u) + 1, last), u % 1)):
                    result[y, x] += a * b * kernel[i, j]
    return result / result.sum()


def _down(image: Array, s: int, rng: np.random.Generator, form: Form) -> Array:
    if rng.random() < 0.75:
        if form == "test":
            factor = rng.uniform(0.75, 1)
        else:
            factor = 1 / rng.uniform(1, 2 * s if form == "original" else 1 / 0.85)
        return _cv2_resize(image, int(factor * image.shape[1]), int(factor * image.shape[0]), rng)
    sigma = rng.uniform(0.1, (0.6 if form == "original" else 0.25) * s)
    first, number = (25, 1) if form == "original" else SIDES[form]
    kernel = _shifted(2 * int(rng.integers(number)) + first, sigma, s)
    return _convolve(image, kernel)[::s, ::s].clip(0, 1)


def _noise(image: Array, rng: np.random.Generator, low: int, high: int) -> Array:
    level, kind, (height, width) = int(rng.integers(low, high + 1)) / 255, rng.random(), image.shape[:2]
    if kind > 0.6:
        return rng.normal(0, level, (height, width, 3))
    if kind < 0.4:
        return rng.normal(0, level, (height, width, 1)).repeat(3, 2)
    basis = np.linalg.svd(rng.random((3, 3)))[0]
    covariance = abs((high / 255) ** 2 * (basis.T @ np.diag(rng.random(3)) @ basis))
    return rng.multivariate_normal(np.zeros(3), covariance, (height, width), check_valid="ignore")


def _cv2_resize(image: Array, width: int, height: int, rng: np.random.Generator) -> Array:
    method = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)[int(rng.integers(3))]
    return cv2.resize(image, (width, height), interpolation=method).clip(0, 1)


def _convolve(image: Array, kernel: Array) -> Array:
    return convolve(image, kernel[..., None], mode="mirror")
