"""Images stored uncompressed: a BMP file with a checksum for each row, of which a crop reads its own rows only.

Any reader of BMP files reads the whole, BasicSR's included: the checksums lie behind the pixels, and the fields of the
header that say ours are the resolution's, which changes no pixel.
"""

import struct
import zlib

from prismsr.data.images.source import ImageSource
from prismsr.utils.image_headers import ImageReadError

import cv2
import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<2s8xI4xiiHH8x4sI8x")  # mark, start of the pixels, width, height, planes, bits, tag, checksum
_OURS = slice(38, 46)  # the tag and the header's own checksum
_TAG = b"rows"
_SUM = np.dtype("<u4")
PALETTE_BYTES = 1024  # a grey BMP lists its 256 levels
RAW_CHANNELS = (1, 3)


def encode_raw(image: NDArray[np.uint8]) -> bytes:
    """Return an image, (H, W) grey or (H, W, 3) BGR, uint8, as an uncompressed file.

    Example:
        >>> grey = np.eye(2, 3, dtype=np.uint8)
        >>> cv2.imdecode(np.frombuffer(encode_raw(grey), np.uint8), cv2.IMREAD_UNCHANGED).tolist()
        [[1, 0, 0], [0, 1, 0]]
    """
    value = bytearray(cv2.imencode(".bmp", image)[1])
    start = _HEADER.unpack_from(value)[1]
    value[_OURS] = _TAG + bytes(4)
    value[_OURS] = _TAG + zlib.crc32(value[: _HEADER.size]).to_bytes(4, "little")
    rows = np.frombuffer(bytes(value[start:]), np.uint8).reshape(len(image), -1)
    return bytes(value) + _sum_rows(rows).tobytes()


def count_raw_bytes(height: int, width: int, channels: int) -> int:
    """Return the length of what `encode_raw` gives, bytes.

    Example:
        >>> count_raw_bytes(512, 512, 3)
        788534
    """
    palette = PALETTE_BYTES if channels == 1 else 0
    return _HEADER.size + palette + height * (_count_row_bytes(width, channels) + _SUM.itemsize)


def _count_row_bytes(width: int, channels: int) -> int:
    return -(-width * channels // 4) * 4  # BMP fills rows up to a multiple of 4


def _sum_rows(rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    return np.array([zlib.crc32(row) for row in rows], _SUM)


class RawRows:
    """An uncompressed image in a set, whose rows are read when they are asked for.

    Height and width are in pixels; `channels` is 1 (grey) or 3 (BGR). The header is the first bytes of the image's
    value; ImageReadError where it is damaged.
    """

    def __init__(self, source: ImageSource, key: str, header: bytes) -> None:
        self.source, self.key = source, key
        _, self.start, self.width, self.height, _, bits, _, checksum = _HEADER.unpack(header)
        self.channels = bits // 8
        if zlib.crc32(header[: _OURS.stop - 4] + bytes(4) + header[_OURS.stop :]) != checksum:
            raise self._damage("the header differs from its checksum")

    def __bytes__(self) -> bytes:
        """Return the whole file."""
        return self.source.read(self.key)

    def _damage(self, what: str) -> ImageReadError:
        return ImageReadError(f"{self.source.describe(self.key)}: damaged, {what}; copy the LMDB again or make it anew")

    def read(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Return the rows `top` to `bottom` - 1, (bottom - top, width) grey or (bottom - top, width, 3) BGR.

        ImageReadError where a row is missing or differs from its checksum.
        """
        count, first = bottom - top, self.height - bottom  # the file begins with the lowest row
        stride = _count_row_bytes(self.width, self.channels)
        pixels = self._read(self.start + first * stride, count * stride).reshape(count, stride)
        sums = self._read(self.start + self.height * stride + first * _SUM.itemsize, count * _SUM.itemsize)
        if wrong := np.flatnonzero(_sum_rows(pixels) != sums.view(_SUM)).tolist():
            raise self._damage(f"row {bottom - 1 - wrong[-1]} differs from its checksum")
        rows = pixels[::-1, : self.width * self.channels]
        return rows if self.channels == 1 else rows.reshape(count, self.width, self.channels)

    def _read(self, start: int, length: int) -> NDArray[np.uint8]:
        data = self.source.read_part(self.key, start, start + length)
        if len(data) != length:
            raise self._damage("it ends too early")
        return np.frombuffer(data, np.uint8)


def find_raw_rows(source: ImageSource, key: str) -> RawRows | None:
    """Return the rows of an image that `encode_raw` made; None for any other, and for a file in a folder.

    ImageReadError where there is no such image, or its header is damaged.
    """
    header = source.read_part(key, 0, _HEADER.size)
    ours = header[:2] == b"BM" and header[_OURS][: len(_TAG)] == _TAG
    return RawRows(source, key, header) if ours else None
