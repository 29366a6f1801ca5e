"""MATLAB's bicubic downsampling by an integer factor, the LR of the classical super-resolution benchmarks.

With a whole-number factor every output pixel sees the same weights, so that a sparse matrix per axis holds the method:
output = R @ image @ C. Sparse products proved faster than dense ones, convolutions and shifted sums at every size
tried, and they start no threads of their own, which would fight with a data loader's workers.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return keys' cubic convolution kernel with a = -1/2, zero outside [-2, 2]."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def make_antialiased_weights(scale: int) -> tuple[int, NDArray[np.float64]]:
    """Return weights of one output pixel: the cubic kernel, stretched by the factor.

    Output pixel j has its centre at input position scale * j + (scale - 1) / 2, and sees 2 * scale pixels to each side.

    Returns:
        Position of the first weight relative to input pixel scale * j, and the weights, which sum to 1.
    """
    centre = (scale - 1) / 2
    first = math.floor(centre - 2 * scale) + 1
    last = math.ceil(centre + 2 * scale) - 1
    weights = cubic((np.arange(first, last + 1) - centre) / scale)
    return first, weights / weights.sum()


@lru_cache(maxsize=256)
def resize_matrix(length: int, scale: int, channels: int, dtype: str) -> Any:
    """Return the CSR array (ceil(length / scale) * channels, length * channels) that downsamples one axis.

    The border is mirrored (edge pixel repeated). The axis interleaves the channels of `length` pixels; dtype is
    "float32" or "float64".
    """
    from scipy import sparse

    first, weights = make_antialiased_weights(scale)
    outputs = -(-length // scale)
    positions = scale * np.arange(outputs)[:, None] + first + np.arange(len(weights))
    positions %= 2 * length  # the mirrored signal repeats after two lengths
    columns = np.where(positions < length, positions, 2 * length - 1 - positions)
    rows = np.repeat(np.arange(outputs), len(weights))
    entries = np.tile(weights, outputs)
    matrix = sparse.csr_array((entries, (rows, columns.ravel())), shape=(outputs, length))
    return sparse.csr_array(sparse.kron(matrix, sparse.eye_array(channels)), dtype=dtype)


def imresize_bicubic(image: NDArray[Any], scale: int) -> NDArray[Any]:
    """Downsample as MATLAB's `imresize(image, 1/scale)`: bicubic, antialiased, symmetric border.

    Integer images are computed in float64 and rounded once at the end, halves up, then clipped, which is MATLAB's
    im2double, imresize, im2uint8. Float images are neither rounded nor clipped.

    Args:
        image: (H, W) or (H, W, C); float32 or float64 (any range, usually [0, 1]), uint8 or uint16.
        scale: whole-number factor, 1 or more.

    Returns:
        (ceil(H / scale), ceil(W / scale)) or the same with C, of the input's dtype.

    Raises:
        ValueError: `scale` or the image's shape or dtype is not one of these.
    """
    if not isinstance(scale, (int, np.integer)) or scale < 1:
        raise ValueError(f"scale: got {scale!r}; allowed: a whole number of 1 or more")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"image: got shape {image.shape}; allowed: (H, W) or (H, W, C)")
    if image.dtype in (np.float32, np.float64):
        return _resize(image, scale)
    if image.dtype in (np.uint8, np.uint16):
        rounded = np.floor(_resize(image.astype(np.float64), scale) + 0.5)
        return rounded.clip(0, np.iinfo(image.dtype).max).astype(image.dtype)
    raise ValueError(f"image: got {image.dtype}; allowed: float32, float64, uint8, uint16")


def _resize(image: NDArray[Any], scale: int) -> NDArray[Any]:
    height, width, *rest = image.shape
    channels = rest[0] if rest else 1
    rows = resize_matrix(height, scale, 1, image.dtype.name)
    columns = resize_matrix(width, scale, channels, image.dtype.name)
    shorter = rows @ image.reshape(height, width * channels)
    return _transpose(columns @ _transpose(shorter)).reshape(len(shorter), -1, *rest)


def _transpose(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return the contiguous transpose; torch copies blocks, several times faster than numpy's line by line."""
    return torch.from_numpy(matrix).T.contiguous().numpy()
