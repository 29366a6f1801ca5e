"""Read the header of an image file: its size, how it is to be turned, and whether it is too large to decode."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.utils.errors import DataError

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION = 274  # tag of EXIF and TIFF
LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"
"""Environment variable with the largest number of pixels that is decoded; OpenCV's own, read before it is imported."""
DEFAULT_LIMIT = 2**30
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_lock = threading.RLock()  # Pillow's limit is one for all threads


class ImageReadError(DataError):
    """An image or mask cannot be read; the message names it and says why."""


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of its image before it is decoded: (height, width) in pixels as stored, and kind.

    `orientation` is EXIF's, 1 to 8; 1 is upright. `mode` is Pillow's name of the kind of pixels, as "RGB", "LA",
    "CMYK".
    """

    size: tuple[int, int]
    orientation: int
    mode: str

    @property
    def upright_size(self) -> tuple[int, int]:
        """Return (height, width) in pixels of the image as it is seen."""
        height, width = self.size
        return (width, height) if self.orientation >= 5 else (height, width)


def is_tiff(data: bytes) -> bool:
    """Return whether a file's bytes are a TIFF's."""
    return data[:4] in _TIFF


def read_header(source: bytes | Path, where: str) -> ImageHeader:
    """Read the header of an image file.

    Args:
        source: the file, or its content.
        where: name for messages.

    Raises:
        ImageReadError: not an image, or it has more pixels than the environment variable of `LIMIT` allows.
    """
    try:
        with open_lazily(source) as image:
            header = ImageHeader((image.height, image.width), _orientation(image), image.mode)
    except (OSError, SyntaxError, ValueError) as error:
        data = source if isinstance(source, bytes) else read_bytes(source)
        if not is_tiff(data):
            raise ImageReadError(f"{where}: cannot be decoded: truncated, corrupt or not an image ({error})") from error
        header = _tiff_header(data, where)  # Pillow does not know each kind, as grey with alpha of 16 bits
    refuse_too_large(header, where)
    return header


def read_bytes(path: Path) -> bytes:
    """Return the content of a file; ImageReadError where it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageReadError(f"{path}: cannot be read ({error.strerror})") from error


def open_lazily(source: bytes | Path) -> Image.Image:
    """Open an image with Pillow whatever its size is; it is decoded later, or never."""
    with lift_pillow_limit():
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)


@contextmanager
def lift_pillow_limit() -> Iterator[None]:
    """Let Pillow open and decode any size inside the block; `refuse_too_large` takes its limit's place."""
    with _lock:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def refuse_too_large(header: ImageHeader, where: str) -> None:
    """Raise ImageReadError where an image has more pixels than may be decoded."""
    height, width = header.size
    limit = int(os.environ.get(LIMIT) or DEFAULT_LIMIT)
    if height * width > limit:
        raise ImageReadError(
            f"{where}: has {width}x{height} pixels; at most {limit} are decoded, which the environment variable "
            f"{LIMIT} changes"
        )


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and "exif" not in image.info:  # Pillow would decode the whole image to look behind it
        return 1
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged metadata raise many kinds; whether the image can be used is for its decoder to say
        return 1
    return orientation if orientation in range(1, 9) else 1


def _tiff_header(data: bytes, where: str) -> ImageHeader:
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages[0]
            tag = page.tags.get(ORIENTATION)
            mode = "LA" if page.samplesperpixel == 2 else ""
            return ImageHeader((page.imagelength, page.imagewidth), int(tag.value) if tag else 1, mode)
    except Exception as error:  # tifffile raises many kinds for a damaged file
        raise ImageReadError(f"{where}: cannot be decoded: truncated, corrupt or not an image ({error})") from error


def turn_upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn and mirror an image (H, W, ...) as EXIF's orientation 1 to 8 asks for.

    Example:
        >>> turn_upright(np.array([[1, 2, 3]]), 6).tolist()
        [[1], [2], [3]]
    """
    if orientation >= 5:  # the rows of the file are columns of the picture
        image = np.swapaxes(image, 0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image
