"""Classical enhancers: ground-truth candidates without any network, offline and the same on every machine.

They stand in for HGGT's four enhancement networks where no weights are at hand. Each is a function of one image; all
parameters here are ours. Sharpening and contrast are changed in the luma alone, by adding its change to all channels,
so that no colour fringes arise.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Enhancer = Callable[[Image], Image]
_LUMA = np.array([0.114, 0.587, 0.299], np.float32)  # of BGR, BT.601


def unsharp(image: Image, amount: float, sigma: float) -> Image:
    """Return unsharp masking of (H, W, 3) BGR: y + amount * (y - gaussian(y)), the Gaussian's sigma in pixels."""
    luma = _luma(image)
    return _with_luma_change(image, amount * (luma - cv2.GaussianBlur(luma, (0, 0), sigma)))


def denoise_sharpen(image: Image, colour: float, radius: int, amount: float, sigma: float) -> Image:
    """Return a bilateral filter of (H, W, 3) BGR against noise, then `unsharp`.

    `colour` is the filter's sigma in levels of 0..255: steps well above it stay. `radius` is its reach in pixels; its
    spatial sigma is half of it.
    """
    return unsharp(cv2.bilateralFilter(image, 2 * radius + 1, colour, radius / 2), amount, sigma)


def local_contrast(image: Image, gain: float, radius: int, edge: float) -> Image:
    """Return what a self-guided filter (He et al. 2010) takes for detail is multiplied; large edges get no halo.

    With b = guided(y), of (H, W, 3) BGR: b + gain * (y - b). Windows reach `radius` pixels; one keeps its edges from a
    contrast of `edge` levels of 0..255 on (a standard deviation).
    """
    luma = _luma(image)
    size = (2 * radius + 1, 2 * radius + 1)
    mean = cv2.blur(luma, size)
    variance = np.maximum(cv2.blur(luma * luma, size) - mean * mean, 0)
    slope = variance / (variance + edge**2)
    base = cv2.blur(slope, size) * luma + cv2.blur((1 - slope) * mean, size)
    return _with_luma_change(image, (gain - 1) * (luma - base))


CLASSICAL: dict[str, Enhancer] = {
    "unsharp": partial(unsharp, amount=0.7, sigma=1.0),
    "unsharp-strong": partial(unsharp, amount=1.5, sigma=1.5),
    "denoise-sharpen": partial(denoise_sharpen, colour=18.0, radius=2, amount=1.0, sigma=1.2),
    "local-contrast": partial(local_contrast, gain=1.7, radius=8, edge=25.0),
}
"""By name; these four are the default of `prepare.py multi-gt`, as 01 to 04."""


def list_parameters(name: str) -> dict[str, Any]:
    """Name and parameters of a classical enhancer, for the record of a run."""
    return {"name": name, **getattr(CLASSICAL[name], "keywords", {})}


def _luma(image: Image) -> NDArray[np.float32]:
    return np.asarray(image.astype(np.float32) @ _LUMA)


def _with_luma_change(image: Image, change: NDArray[np.float32]) -> Image:
    return np.rint(image + change[..., None]).clip(0, 255).astype(np.uint8)
