"""Decode a part of an image file; of a plain PNG only the rows and columns that the part needs.

Most of the time of a training sample goes into decoding a 512x512 PNG of which a 128x128 crop is kept. The rows below
the crop need not be inflated, nor the columns right of it decoded. Where the rows refer to no row above (filters None
and Sub: what prepare.py and BasicSR's script write), those of the crop are decoded alone, here. Otherwise those from
the last row that refers to none go to OpenCV, as a PNG of their own that is not compressed. The pixels are those of
`decode_image`.
"""

import struct
import zlib
from typing import Any, NamedTuple, Self

from prismsr.data.images.raw_rows import RawRows, find_raw_rows
from prismsr.data.images.source import ImageSource
from prismsr.utils.images import MASK_LEVEL, decode_image, decode_mask

import cv2
import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HARMLESS = {b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"iCCP"}
"""Chunks that do not change the pixels. Any other, as a transparent colour or a turn, is for the full decoder."""

_HEADER = struct.Struct(">IIBBBBB")
_CHANNELS = {0: 1, 2: 3}  # PNG's colour types: grey and RGB
_SUB = 1  # filters above it refer to the row above
_BLOCK = 64  # rows whose sums are made together: they stay in the processor's cache


class PngLayout(NamedTuple):
    """Where the parts of a plain PNG lie: 8 bits, grey or RGB, not interlaced, every chunk whole."""

    height: int
    width: int
    channels: int
    data: list[slice]


def find_plain_layout(content: bytes) -> PngLayout | None:
    """Return the layout of a plain PNG whose checksums are right; None for anything else, damaged files included."""
    if content[:8] != SIGNATURE or len(content) < 33 or content[12:16] != b"IHDR":
        return None
    width, height, *kind = _HEADER.unpack_from(content, 16)
    depth, colour = kind[:2]
    data = _find_data(content)
    if not data or depth != 8 or colour not in _CHANNELS or any(kind[2:]):
        return None
    return PngLayout(height, width, _CHANNELS[colour], data)


def _find_data(content: bytes) -> list[slice]:
    """Return where the image data lie; empty where a chunk is cut off or damaged, or where one is not HARMLESS."""
    view, data, position = memoryview(content), [], 8
    while position + 12 <= len(content):
        length = int.from_bytes(view[position : position + 4], "big")
        name, end = content[position + 4 : position + 8], position + 8 + length
        # the checksums cost 0.1 ms for 450 kB, and a damaged file is then found whatever the crop is
        if end + 4 > len(content) or zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return []
        if name == b"IDAT":
            data.append(slice(position + 8, end))
        elif name == b"IEND":
            return data
        elif name not in HARMLESS and position != 8:
            return []
        position = end + 4
    return []


class CroppableImage:
    """An image of known `size` (height, width) whose parts can be decoded; `open` makes it of one in a set.

    Args:
        content: content of a PNG, JPEG, BMP, TIFF or WebP file, or an uncompressed image that is still to be read.
        where: name for messages, e.g. `ImageSource.describe(key)`.

    Raises:
        ImageReadError: the file is damaged or not an image; it names the image.
    """

    def __init__(self, content: bytes | RawRows, where: str) -> None:
        self.content, self.where = content, where
        layout = content if isinstance(content, RawRows) else find_plain_layout(content)
        self.layout = layout if layout and self._can_be_cropped(layout) else None
        self.whole: NDArray[Any] | None = None
        self.size: tuple[int, int]
        if self.layout:
            self.size = self.layout.height, self.layout.width
        else:
            self.whole = self._decode()
            self.size = self.whole.shape[:2]

    @classmethod
    def open(cls, source: ImageSource, key: str) -> Self:
        """Return an image of a set; of an uncompressed one nothing but the header is read before it is cropped."""
        return cls(find_raw_rows(source, key) or source.read(key), source.describe(key))

    def _can_be_cropped(self, layout: PngLayout | RawRows) -> bool:
        return True

    def _decode(self) -> NDArray[Any]:
        return decode_image(bytes(self.content), self.where)

    def crop(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Return a part of the image, which has to lie inside of it, from row `top` and column `left` on.

        It is (height, width) grey, (height, width, 3) BGR or (height, width, 4) BGRA, as `decode_image` gives them.
        ImageReadError where the file is damaged.
        """
        bottom, right = top + height, left + width
        if isinstance(self.layout, RawRows):
            return self.layout.read(top, bottom)[:, left:right].copy()
        if self.whole is None and self.layout:
            part = decode_part(bytes(self.content), self.layout, top, bottom, right)
            if part is not None:
                return part[:, left:]
            self.whole = self._decode()  # says what is wrong
        assert self.whole is not None
        return self.whole[top:bottom, left:right]


class CroppableMask(CroppableImage):
    """A mask file in memory, see `decode_mask` for the kinds; its parts are bool of shape (height, width)."""

    def _can_be_cropped(self, layout: PngLayout | RawRows) -> bool:
        return layout.channels == 1  # whether a mask saved as colour is grey is seen from the whole of it

    def _decode(self) -> NDArray[np.bool_]:
        return decode_mask(bytes(self.content), self.where)

    def crop(self, top: int, left: int, height: int, width: int) -> NDArray[np.bool_]:
        """Return a part of the mask; see `CroppableImage.crop` for the arguments."""
        part = super().crop(top, left, height, width)
        return part if part.dtype == bool else part > MASK_LEVEL


def decode_part(content: bytes, layout: PngLayout, top: int, bottom: int, right: int) -> NDArray[np.uint8] | None:
    """Return rows `top` to `bottom` - 1 of a plain PNG's content, up to column `right` - 1.

    They are (bottom - top, right) grey or (bottom - top, right, 3) BGR; None where the data cannot be decoded.
    """
    stride = 1 + layout.width * layout.channels  # a row begins with the number of its filter
    view = memoryview(content)
    try:
        inflated = zlib.decompressobj().decompress(b"".join([view[part] for part in layout.data]), bottom * stride)
    except zlib.error:
        return None
    if len(inflated) < bottom * stride:
        return None
    rows = np.frombuffer(inflated, np.uint8).reshape(bottom, stride)
    if rows[top:bottom, 0].max() <= _SUB:
        return undo_sub(rows[top:bottom, : 1 + right * layout.channels], layout.channels)
    starts = np.flatnonzero(rows[: top + 1, 0] <= _SUB)
    start = int(starts[-1]) if len(starts) else 0
    png = _make_uncompressed_png(rows[start:, : 1 + right * layout.channels], right, layout.channels)
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    return None if image is None else image[top - start :]


def undo_sub(rows: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Return pixels of PNG rows with the filters None or Sub, which hold a pixel's difference to its left neighbour.

    Rows are (n, 1 + width * channels), each beginning with the number of its filter; pixels (n, width) grey or (n,
    width, 3) BGR. The sums along a row are made by doubling: after step k each pixel is the sum of the 2^k differences
    up to it. numpy adds whole rows at once that way, five times as fast as libpng goes from pixel to pixel.
    """
    sums = np.empty((len(rows), rows.shape[1] - 1), np.uint8)
    for first in range(0, len(rows), _BLOCK):
        differences = rows[first : first + _BLOCK]
        block = _running_sums(differences[:, 1:].copy(), channels)
        plain = differences[:, 0] == 0
        block[plain] = differences[plain, 1:]
        sums[first : first + _BLOCK] = block
    return sums if channels == 1 else sums.reshape(len(rows), -1, channels)[..., ::-1]


def _running_sums(values: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    other = np.empty_like(values)
    while step < values.shape[1]:
        np.add(values[:, step:], values[:, :-step], out=other[:, step:])  # modulo 256, as PNG has it
        other[:, :step] = values[:, :step]
        values, other, step = other, values, 2 * step
    return values


def _make_uncompressed_png(rows: NDArray[np.uint8], width: int, channels: int) -> bytes:
    header = _HEADER.pack(width, len(rows), 8, 0 if channels == 1 else 2, 0, 0, 0)
    return b"".join(
        [SIGNATURE, *_chunk(b"IHDR", header), *_chunk(b"IDAT", zlib.compress(rows.tobytes(), 0)), *_chunk(b"IEND", b"")]
    )


def _chunk(name: bytes, data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    return len(data).to_bytes(4, "big"), name, data, zlib.crc32(data, zlib.crc32(name)).to_bytes(4, "big")
