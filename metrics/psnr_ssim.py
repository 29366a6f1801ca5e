"""PSNR and SSIM, equal to BasicSR's calculate_psnr and calculate_ssim on 8-bit images, and faster; pyiqa's, too.

SSIM's 11 x 11 Gaussian window is a product of two vectors, the two variances are needed as their sum alone, and the map
is computed in strips that fit into the processor's cache. All of it is float64.
OpenCV is imported where it is called, because importing prismsr.functional does not need it.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Plane = NDArray[np.float64]

_TAPS = 11
_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_STRIP = 1 << 16  # pixels of a strip: its planes of float64 stay in the cache


def compute_luma(image: Image) -> Plane:
    """Return y of BT.601 in [16, 235], not rounded, of (H, W, 3) BGR uint8; equal to BasicSR's to_y_channel, (H, W).

    BasicSR computes between float32 and float64; the tables and the cast below repeat its steps, because an error of
    1e-5 would show in the PSNR of images that hardly differ.

    Example:
        >>> compute_luma(np.full((1, 1, 3), 255, np.uint8))
        array([[235.]])
    """
    import cv2

    scaled = cv2.transform(cv2.LUT(image, _tabulate_units()), np.array([[24.966, 128.553, 65.481, 16.0]]))
    return ((scaled / 255).astype(np.float32) * np.float32(255)).astype(np.float64)


@cache
def _tabulate_units() -> Plane:
    return (np.arange(256, dtype=np.float32) / np.float32(255)).astype(np.float64).reshape(1, 256)


def planes(image: Image, crop_border: int = 0, y_channel: bool = False, rounded: bool = False) -> list[Plane]:
    """Return the planes that PSNR and SSIM compare: Y alone, or B, G and R; each (h, w) float64 in the range of 8 bits.

    Args:
        image: (H, W, 3) BGR uint8.
        crop_border: pixels left out at each edge.
        y_channel: Y of BT.601 instead of the three channels.
        rounded: Y as whole numbers, half to even.

    Raises:
        ValueError: nothing is left of the image.

    Example:
        >>> [plane.shape for plane in planes(np.zeros((16, 20, 3), np.uint8), crop_border=2, y_channel=True)]
        [(12, 16)]
    """
    height, width = (side - 2 * crop_border for side in image.shape[:2])
    if min(height, width) <= 0:
        raise ValueError(f"crop_border {crop_border} leaves nothing of {image.shape[1]} x {image.shape[0]} pixels")
    inner = image[crop_border : crop_border + height, crop_border : crop_border + width]
    if y_channel:
        y = compute_luma(inner)
        return [y.round() if rounded else y]
    import cv2

    return [plane.astype(np.float64) for plane in cv2.split(inner)]


def psnr(first: list[Plane], second: list[Plane], offset: float = 0) -> float:
    """Return 10 log10(255^2 / MSE) in dB over all planes, infinite for equal ones; see `planes`.

    Args:
        first: planes of an image.
        second: planes of the other.
        offset: added to MSE / 255^2; pyiqa adds 1e-8, so that no value exceeds 80 dB.

    Example:
        >>> white = np.full((16, 16, 3), 255, np.uint8)
        >>> round(psnr(planes(white), planes(white - 1)), 4), psnr(planes(white), planes(white))
        (48.1308, inf)
    """
    import cv2

    squares = [cv2.norm(one, other, cv2.NORM_L2SQR) / one.size for one, other in zip(first, second, strict=True)]
    mse = sum(squares) / len(squares) / 255**2 + offset
    return -10 * math.log10(mse) if mse else math.inf


def ssim(first: list[Plane], second: list[Plane], clipped: bool = False) -> float:
    """Mean structural similarity of the planes (Wang et al., TIP 2004): windows that lie inside, mean over planes.

    Args:
        first: planes of an image.
        second: planes of the other.
        clipped: the term of contrast and structure is not below 0, as in pyiqa.

    Raises:
        ValueError: planes smaller than the window, 11 x 11.

    Example:
        >>> white = np.full((16, 16, 3), 255, np.uint8)
        >>> round(ssim(planes(white), planes(white)), 6), round(ssim(planes(white), planes(0 * white)), 6)
        (1.0, 0.0001)
    """
    return sum(_compare_planes(one, other, clipped) for one, other in zip(first, second, strict=True)) / len(first)


def _compare_planes(first: Plane, second: Plane, clipped: bool) -> float:
    rows, columns = (side - _TAPS + 1 for side in first.shape)
    if min(rows, columns) <= 0:
        raise ValueError(f"SSIM needs {_TAPS} x {_TAPS} pixels or more; got {first.shape[1]} x {first.shape[0]}")
    step = max(1, _STRIP // columns)
    strips = (slice(top, min(top + step, rows) + _TAPS - 1) for top in range(0, rows, step))
    return sum(_sum_similarity(first[strip], second[strip], clipped) for strip in strips) / (rows * columns)


def _sum_similarity(x: Plane, y: Plane, clipped: bool) -> float:
    """Sum of the SSIM map: (2 mu_x mu_y + C1)(2 s_xy + C2) / ((mu_x^2 + mu_y^2 + C1)(s_x^2 + s_y^2 + C2))."""
    mean_x, mean_y, squares, product = _blur(x), _blur(y), _blur(x * x + y * y), _blur(x * y)
    mean_product = mean_x * mean_y
    mean_squares = mean_x * mean_x
    mean_squares += mean_y * mean_y
    squares -= mean_squares
    product -= mean_product
    product = 2 * product + _C2
    above = (2 * mean_product + _C1) * (np.maximum(product, 0) if clipped else product)
    return float((above / ((mean_squares + _C1) * (squares + _C2))).sum())


def _blur(plane: Plane) -> Plane:
    import cv2

    half = _TAPS // 2
    kernel = cv2.getGaussianKernel(_TAPS, _SIGMA)
    return np.asarray(cv2.sepFilter2D(plane, -1, kernel, kernel)[half:-half, half:-half])
