"""Flips, rotation and crop of whole GT images, one draw for all images of a sample; only what remains is decoded."""

import random
from typing import Any, Literal, NamedTuple

from prismsr.data.images.png_crop import CroppableImage, CroppableMask

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Flips = tuple[bool, bool, bool]
"""Horizontal, vertical, transposed; in this order."""
Crop = Literal["plain", "ldm"]
Box = tuple[int, int, int, int]
"""Top, left, height and width, pixels."""


class Patch(NamedTuple):
    """A part of images of one size, flipped, and mirrored where the images are smaller than it, or resized.

    Attributes:
        flips: how it is flipped after being cut out.
        region: where it lies in the file.
        size: side that it is mirrored to; None leaves it.
        resized: side that it, a square, is resized to after the flips (`resize_area`); None leaves it. Not for masks,
            whose pixels are 0 or 1.
    """

    flips: Flips
    region: Box
    size: int | None
    resized: int | None = None

    def of(self, image: CroppableImage) -> Tensor:
        """Return (3, h, w) float32 RGB in [0, 1]; grey is repeated, alpha dropped."""
        return _to_tensor(self._finish(_colour(image.crop(*self.region))))

    def cut_mask(self, mask: CroppableMask) -> Tensor:
        """Return (1, h, w) float32 of 0 and 1."""
        return _to_tensor(self._finish(mask.crop(*self.region).astype(np.uint8)[..., None] * 255))

    def _finish(self, part: NDArray[Any]) -> NDArray[Any]:
        part = _pad_mirrored(_flip(part, *self.flips), self.size)
        return part if self.resized is None else resize_area(part, self.resized)


def random_patch(
    shape: tuple[int, int], use_hflip: bool, use_rot: bool, crop_pad_size: int | None, crop: Crop = "plain"
) -> Patch:
    """Draw flips and crop in the order of BasicSR's RealESRGANDataset, from Python's global generator.

    "plain" is that dataset's crop: cut to crop_pad_size, or mirrored where the image is smaller. "ldm" is the crop of
    latent diffusion's ImageNetSR: a square of int(u * shorter side) pixels, u uniform over 0.5 to 1 (at least 1 pixel),
    at a uniformly drawn place, resized to crop_pad_size. It draws u, top and left in the place of top and left.

    Args:
        shape: (height, width) of the images.
        use_hflip: flip horizontally at random.
        use_rot: flip vertically and transpose at random.
        crop_pad_size: side of the patch; None takes the whole image, or leaves ldm's square as large as it is.
        crop: "plain" or "ldm".
    """
    flips = (use_hflip and random.random() < 0.5, use_rot and random.random() < 0.5, use_rot and random.random() < 0.5)
    flipped = shape[::-1] if flips[2] else shape
    if crop == "ldm":
        return Patch(flips, _before_flips(_ldm_square(*flipped), flips, shape), size=None, resized=crop_pad_size)
    return Patch(flips, _before_flips(_plain_box(*flipped, crop_pad_size), flips, shape), size=crop_pad_size)


def resize_area(image: NDArray[Any], side: int) -> NDArray[Any]:
    """Return a square image resized by cv2.INTER_AREA: a pixel is the mean of the area it covers, within one level.

    cv2 takes that mean for enlarging, too: a pixel inside one of the image's has its value, and only one across an edge
    is mixed. An enlargement by a whole number thus repeats pixels; it is not bilinear. LDM enlarges small squares so.
    The image is (h, h, 3), uint8 or uint16, the result (side, side, 3) of the same type.
    """
    return cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=cv2.INTER_AREA)


def _plain_box(height: int, width: int, size: int | None) -> Box:
    if size is None:
        return 0, 0, height, width
    top = left = 0
    if max(height, width) > size:
        top = random.randint(0, max(height, size) - size)
        left = random.randint(0, max(width, size) - size)
    return top, left, min(height, size), min(width, size)


def _ldm_square(height: int, width: int) -> Box:
    side = max(1, int(min(height, width) * random.uniform(0.5, 1)))
    return random.randint(0, height - side), random.randint(0, width - side), side, side


def _before_flips(box: Box, flips: Flips, shape: tuple[int, int]) -> Box:
    """Return where a box of the flipped image lies in the file, whose images are of this shape."""
    top, left, height, width = box
    horizontal, vertical, transpose = flips
    if transpose:
        top, left, height, width = left, top, width, height
    if vertical:
        top = shape[0] - top - height
    if horizontal:
        left = shape[1] - left - width
    return top, left, height, width


def _colour(image: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W, 3) BGR of a decoded grey, BGR or BGRA image."""
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3]


def _flip(image: NDArray[Any], horizontal: bool, vertical: bool, transpose: bool) -> NDArray[Any]:
    if horizontal:
        image = image[:, ::-1]
    if vertical:
        image = image[::-1]
    return image.transpose(1, 0, 2) if transpose else image


def _pad_mirrored(image: NDArray[Any], size: int | None) -> NDArray[Any]:
    """Return mirrored at the lower and right border where it is smaller than `size`; ~: the image."""
    missing = [max(0, (size or 0) - side) for side in image.shape[:2]]
    if not any(missing):
        return image
    padded = cv2.copyMakeBorder(np.ascontiguousarray(image), 0, missing[0], 0, missing[1], cv2.BORDER_REFLECT_101)
    return padded.reshape(*padded.shape[:2], -1)


def _to_tensor(image: NDArray[Any]) -> Tensor:
    """Return (C, H, W) float32 in [0, 1] of a mask or, as RGB, of a BGR image."""
    planes = image.transpose(2, 0, 1)
    planes = np.ascontiguousarray(planes[::-1] if len(planes) == 3 else planes)
    return torch.from_numpy(planes).float().div_(np.iinfo(image.dtype).max)
