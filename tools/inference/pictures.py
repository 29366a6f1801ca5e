"""Pictures for inference: decoded upright with grey, alpha and depth kept, and encoded again."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.utils.images import ImageReadError, decode_image, encode_png, read_bytes

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION = 274  # tag of EXIF and TIFF
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
        """The value of white."""
        return int(np.iinfo(self.colour.dtype).max)


def read_picture(path: Path) -> Picture:
    """Read an image file, turned as its EXIF orientation says; see `decode_picture`."""
    return decode_picture(read_bytes(path), str(path))


def decode_picture(data: bytes, where: str) -> Picture:
    """Decode an image file's bytes.

    Palettes become RGB (with alpha where an entry is transparent), CMYK becomes RGB; of an animation the first picture
    is taken. Colour profiles are neither applied nor kept.

    Args:
        data: content of the file.
        where: name for messages.

    Raises:
        ImageReadError: see `prismsr.utils.images.decode_image`.
    """
    orientation, mode = _header(data)
    if orientation != 1 and data[:4] in (b"II*\0", b"MM\0*"):
        data = _as_stored(data)  # OpenCV turns some TIFFs, and fails at others, in spite of IMREAD_UNCHANGED
    image = decode_image(data, where)
    image = image[..., None] if image.ndim == 2 else image
    alpha = image[..., 3] if image.shape[2] == 4 and mode != "CMYK" else None
    if mode == "LA":  # grey with alpha: OpenCV makes it colour with alpha, or drops the alpha of a TIFF
        alpha = np.asarray(Image.open(io.BytesIO(data)))[..., 1] if alpha is None else alpha
        image = image[..., :1]
    colour = image[..., :3][..., ::-1]
    return Picture(
        np.ascontiguousarray(upright(colour, orientation)),
        None if alpha is None else np.ascontiguousarray(upright(alpha, orientation)),
    )


def _header(data: bytes) -> tuple[int, str]:
    """EXIF orientation (1 where there is none) and Pillow's mode ("" where Pillow cannot tell)."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            orientation = image.getexif().get(ORIENTATION, 1)
            return (orientation if orientation in range(1, 9) else 1), image.mode
    except Exception:  # damaged metadata raise many kinds; whether the image can be used is for its decoder to say
        return 1, ""


def upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn and mirror (H, W, ...) as EXIF's orientation 1 to 8 asks for."""
    if orientation >= 5:  # the rows of the file are columns of the picture
        image = np.swapaxes(image, 0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def _as_stored(data: bytes) -> bytes:
    """A TIFF file with its orientation tag set to 1."""
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, directory)
    result = bytearray(data)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from(order + "H", data, entry)[0] == ORIENTATION:
            struct.pack_into(order + "H", result, entry + 8, 1)
    return bytes(result)


def lost_in(picture: Picture, suffix: str) -> list[str]:
    """What a format cannot hold of a picture, in words."""
    lost = []
    if picture.alpha is not None and suffix in (".jpg", ".jpeg"):
        lost.append("the alpha channel is left out")
    if picture.colour.dtype == np.uint16 and suffix not in _DEEP:
        lost.append("16 bits are rounded to 8")
    return lost


def encode_picture(picture: Picture, suffix: str, where: str) -> bytes:
    """Encode a picture: PNG, TIFF, BMP and WebP without loss, JPEG with quality 95.

    Args:
        picture: grey with alpha is written as RGBA.
        suffix: `.png`, `.jpg`, ... in lower case.
        where: name for messages.

    Raises:
        ImageReadError: the format cannot hold a picture of this size.
    """
    colour, alpha = picture.colour, picture.alpha
    if colour.dtype == np.uint16 and suffix not in _DEEP:
        colour, alpha = _eight_bits(colour), None if alpha is None else _eight_bits(alpha)
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


def _eight_bits(values: NDArray[Any]) -> NDArray[Any]:
    return np.rint(values / 257).astype(np.uint8)
