"""Flips, rotation and crop of whole GT images, one draw for all images of a sample; only what remains is decoded."""

import random
from typing import Any, NamedTuple

from prismsr.data.png_crop import CroppableImage, CroppableMask

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Flips = tuple[bool, bool, bool]
"""Horizontal, vertical, transposed; in this order."""


class Patch(NamedTuple):
    """A part of images of one size, flipped, and mirrored where the images are smaller than it.

    Attributes:
        flips: how it is flipped after being cut out.
        region: top, left, height and width in the file, pixels.
        size: side that it is mirrored to; None leaves it.
    """

    flips: Flips
    region: tuple[int, int, int, int]
    size: int | None

    def of(self, image: CroppableImage) -> Tensor:
        """(3, h, w) float32 RGB in [0, 1]; grey is repeated, alpha dropped."""
        return _to_tensor(self._finished(_colour(image.crop(*self.region))))

    def of_mask(self, mask: CroppableMask) -> Tensor:
        """(1, h, w) float32 of 0 and 1."""
        return _to_tensor(self._finished(mask.crop(*self.region).astype(np.uint8)[..., None] * 255))

    def _finished(self, part: NDArray[Any]) -> NDArray[Any]:
        return _padded(_flip(part, *self.flips), self.size)


def random_patch(shape: tuple[int, int], use_hflip: bool, use_rot: bool, crop_pad_size: int | None) -> Patch:
    """Draw flips and crop in the order of BasicSR's RealESRGANDataset, from Python's global generator.

    Args:
        shape: (height, width) of the images.
        use_hflip: flip horizontally at random.
        use_rot: flip vertically and transpose at random.
        crop_pad_size: side of the patch; None takes the whole image.
    """
    flips = (use_hflip and random.random() < 0.5, use_rot and random.random() < 0.5, use_rot and random.random() < 0.5)
    height, width = shape[::-1] if flips[2] else shape
    size, top, left = crop_pad_size, 0, 0
    if size is not None and max(height, width) > size:
        top = random.randint(0, max(height, size) - size)
        left = random.randint(0, max(width, size) - size)
    return Patch(flips, _before_flips(top, left, height - top, width - left, size, flips, shape), size)


def _before_flips(
    top: int,
    left: int,
    below: int,
    beside: int,
    size: int | None,
    flips: Flips,
    shape: tuple[int, int],
) -> tuple[int, int, int, int]:
    """Top, left, height and width, in the file, of the patch that begins at (top, left) of the flipped image."""
    height, width = (min(side, size or side) for side in (below, beside))
    horizontal, vertical, transpose = flips
    if transpose:
        top, left, height, width = left, top, width, height
    if vertical:
        top = shape[0] - top - height
    if horizontal:
        left = shape[1] - left - width
    return top, left, height, width


def _colour(image: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 3) BGR of a decoded grey, BGR or BGRA image."""
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3]


def _flip(image: NDArray[Any], horizontal: bool, vertical: bool, transpose: bool) -> NDArray[Any]:
    if horizontal:
        image = image[:, ::-1]
    if vertical:
        image = image[::-1]
    return image.transpose(1, 0, 2) if transpose else image


def _padded(image: NDArray[Any], size: int | None) -> NDArray[Any]:
    """Mirrored at the lower and right border where it is smaller than `size`; ~: the image."""
    missing = [max(0, (size or 0) - side) for side in image.shape[:2]]
    if not any(missing):
        return image
    padded = cv2.copyMakeBorder(np.ascontiguousarray(image), 0, missing[0], 0, missing[1], cv2.BORDER_REFLECT_101)
    return padded.reshape(*padded.shape[:2], -1)


def _to_tensor(image: NDArray[Any]) -> Tensor:
    """(C, H, W) float32 in [0, 1] of a mask or, as RGB, of a BGR image."""
    planes = image.transpose(2, 0, 1)
    planes = np.ascontiguousarray(planes[::-1] if len(planes) == 3 else planes)
    return torch.from_numpy(planes).float().div_(np.iinfo(image.dtype).max)
