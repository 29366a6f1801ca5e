"""Pictures for inference: decoded upright with grey, alpha and depth kept, and encoded again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.utils.image_headers import read_header
from prismsr.utils.images import ImageReadError, decode_image, encode_png, read_bytes

import cv2
import numpy as np
from numpy.typing import NDArray

TIFF = (".tif", ".tiff")
_DEEP = (".png", *TIFF)  # formats that hold 16 bits here
_SETTINGS = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # above 100: lossless
}


@dataclass(frozen=True)
class Picture:
    """An image as it is seen: upright, colour and alpha apart.

    Attributes:
        colour: (H, W, 3) RGB or (H, W, 1) grey; uint8 in 0..255 or uint16 in 0..65535.
        alpha: (H, W) of the same type, or None.
    """

    colour: NDArray[Any]
    alpha: NDArray[Any] | None = None

    @property
    def top(self) -> int:
        """Return the value of white."""
        return int(np.iinfo(self.colour.dtype).max)


def read_picture(path: Path) -> Picture:
    """Read an image file, turned as its EXIF orientation says; see `decode_picture`."""
    return decode_picture(read_bytes(path), str(path))


def decode_picture(data: bytes, where: str) -> Picture:
    """Decode an image file's bytes, named `where` in messages; see `prismsr.utils.images.decode_image`.

    Palettes become RGB (with alpha where an entry is transparent), CMYK becomes RGB.

    Raises:
        ImageReadError: it cannot be decoded.
    """
    image = decode_image(data, where)
    image = image[..., None] if image.ndim == 2 else image
    alpha = image[..., 3] if image.shape[2] == 4 else None
    if read_header(data, where).mode == "LA":  # OpenCV makes grey with alpha colour with alpha
        image = image[..., :1]
    colour = image[..., :3][..., ::-1]
    return Picture(np.ascontiguousarray(colour), None if alpha is None else np.ascontiguousarray(alpha))


def describe_losses(picture: Picture, suffix: str) -> list[str]:
    """Return what a format cannot hold of a picture, in words."""
    lost = []
    if picture.alpha is not None and suffix in (".jpg", ".jpeg"):
        lost.append("the alpha channel is left out")
    if picture.colour.dtype == np.uint16 and suffix not in _DEEP:
        lost.append("16 bits are rounded to 8")
    return lost


def encode_picture(picture: Picture, suffix: str, where: str) -> bytes:
    """Encode a picture: PNG, TIFF, BMP and WebP without loss, JPEG with quality 95; grey with alpha as RGBA.

    Args:
        suffix: `.png`, `.jpg`, ... in lower case.
        where: name for messages.

    Raises:
        ImageReadError: the format cannot hold a picture of this size.
    """
    colour, alpha = picture.colour, picture.alpha
    if colour.dtype == np.uint16 and suffix not in _DEEP:
        colour, alpha = _round_to_bytes(colour), None if alpha is None else _round_to_bytes(alpha)
    image = colour[..., ::-1] if colour.shape[2] == 3 else colour
    if alpha is not None and suffix not in (".jpg", ".jpeg"):
        image = np.concatenate([np.broadcast_to(image, (*alpha.shape, 3)), alpha[..., None]], axis=2)
    image = np.ascontiguousarray(image)
    if suffix == ".png":
        return encode_png(image)
    encoded, data = cv2.imencode(suffix, image, _SETTINGS.get(suffix, []))
    if not encoded:
        height, width = image.shape[:2]
        raise ImageReadError(f"{where}: {suffix} cannot hold {width}x{height} pixels")
    return bytes(data.tobytes())


def _round_to_bytes(values: NDArray[Any]) -> NDArray[Any]:
    return np.rint(values / 257).astype(np.uint8)
