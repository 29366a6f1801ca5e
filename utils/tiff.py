"""Decode TIFF files: whatever their tags say of alpha and of black and white, values are read right or refused.

OpenCV alone multiplies colour of 8 bits by alpha, takes planes one after another for pixels, and drops alpha of grey.
"""

import io
import struct
from typing import Any

from prismsr.utils.image_headers import ORIENTATION, ImageReadError, lift_pillow_limit, open_lazily, turn_upright

import cv2
import numpy as np
from numpy.typing import NDArray

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2  # values of the tag PhotometricInterpretation
_ASSOCIATED = 1  # value of the tag ExtraSamples: colour is multiplied by alpha


def decode_tiff(data: bytes, where: str) -> NDArray[Any]:
    """Decode the first page of a TIFF, upright; see `prismsr.utils.images.decode_image` for the result.

    An ImageReadError says that it is damaged, or of which kind that is not read.
    """
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages[0]
            bits = max(page.bitspersample) if isinstance(page.bitspersample, tuple) else page.bitspersample
    except Exception as error:  # tifffile raises many kinds for a damaged file
        raise ImageReadError(f"{where}: cannot be decoded ({error})") from error
    if bits <= 8:
        return _decode_by_pillow(data, where)
    if bits != 16 or page.sampleformat != 1:
        raise ImageReadError(f"{where}: holds {page.dtype} values; 8-bit and 16-bit images are supported")
    return _decode_deep(data, page, where)


def _decode_by_pillow(data: bytes, where: str) -> NDArray[Any]:
    try:
        image = open_lazily(data)
        with lift_pillow_limit():
            image.load()  # turns it, too
        mode = {"1": "L", "P": "RGB", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "RGBX": "RGB"}.get(image.mode)
        pixels = np.asarray(image if mode is None else image.convert(mode))
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageReadError(f"{where}: cannot be decoded ({error})") from error
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"):
        raise ImageReadError(f"{where}: a TIFF of the kind {image.mode} is not read; convert it to RGB")
    return _to_bgr(pixels)


def _decode_deep(data: bytes, page: Any, where: str) -> NDArray[Any]:
    kind, samples = int(page.photometric), page.samplesperpixel
    if kind not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) or samples > (4 if kind == _RGB else 2):
        raise ImageReadError(
            f"{where}: a TIFF of 16 bits with {samples} samples of the kind {page.photometric.name} is not read; "
            "convert it to RGB"
        )
    if samples == 2 or int(page.planarconfig) == 2:
        pixels = _to_bgr(_read_by_tifffile(page, where))
    else:
        image = cv2.imdecode(np.frombuffer(_set_orientation_to_1(data), np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None or image.dtype != np.uint16:
            raise ImageReadError(f"{where}: cannot be decoded: truncated, corrupt or of an unknown compression")
        pixels = image
    if kind == _WHITE_IS_ZERO:
        pixels = 65535 - pixels
    if pixels.ndim == 3 and pixels.shape[2] == 4 and tuple(page.extrasamples)[:1] == (_ASSOCIATED,):
        pixels = _divide_by_alpha(pixels)
    orientation = page.tags.get(ORIENTATION)
    return turn_upright(pixels, int(orientation.value) if orientation else 1)


def _read_by_tifffile(page: Any, where: str) -> NDArray[Any]:
    """Return the pixels (H, W, C) of a page, where tifffile can decompress it without further packages."""
    try:
        pixels: NDArray[Any] = page.asarray()
    except Exception as error:
        raise ImageReadError(f"{where}: cannot be decoded ({error})") from error
    planes_first = int(page.planarconfig) == 2 and pixels.ndim == 3
    return np.moveaxis(pixels, 0, -1) if planes_first else pixels


def _to_bgr(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return grey (H, W), grey with alpha (H, W, 2), RGB or RGBA in OpenCV's order; grey with alpha becomes BGRA."""
    if pixels.ndim == 2:
        return pixels
    order = {1: [0], 2: [0, 0, 0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]
    ordered = np.ascontiguousarray(pixels[..., order])
    return ordered[..., 0] if order == [0] else ordered


def _divide_by_alpha(pixels: NDArray[Any]) -> NDArray[Any]:
    alpha = pixels[..., 3:].astype(np.float64)
    colour = np.divide(pixels[..., :3] * 65535.0, alpha, out=np.zeros(pixels[..., :3].shape), where=alpha > 0)
    return np.concatenate([np.rint(colour).clip(0, 65535).astype(np.uint16), pixels[..., 3:]], axis=2)


def _set_orientation_to_1(data: bytes) -> bytes:
    """Return a TIFF file with its orientation tag set to 1: OpenCV turns some TIFFs and fails at others."""
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack_from(order + "H", data, 2)[0] != 42:  # BigTIFF
        return data
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, directory)
    result = bytearray(data)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from(order + "H", data, entry)[0] == ORIENTATION:
            struct.pack_into(order + "H", result, entry + 8, 1)
    return bytes(result)
