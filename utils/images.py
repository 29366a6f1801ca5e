"""Read, decode and write images and masks; every error names the image."""

import io
from pathlib import Path
from typing import Any

from prismsr.utils.errors import DataError
from prismsr.utils.files import atomic_write
from prismsr.utils.image_headers import ImageReadError, is_tiff, read_bytes, read_header, turn_upright
from prismsr.utils.tiff import decode_tiff

import cv2
import numpy as np
from numpy.typing import NDArray

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
MASK_SUFFIXES = (*IMAGE_SUFFIXES, ".mat")
PNG_COMPRESSION = 3  # of 0..9; the level of the published sub-image sets
MASK_LEVEL = 127  # 8-bit mask values above it mean True
MAT_KEY = "mat"  # the variable that holds the mask in the SSL release's .mat files


def decode_image(data: bytes, where: str) -> NDArray[Any]:
    """Decode an image file's bytes as it is seen: turned upright, with depth, grey and alpha kept.

    An alpha channel that is opaque everywhere says nothing and is dropped. Of several pages or pictures the first is
    taken. Colour profiles are neither applied nor kept.

    Args:
        data: content of a PNG, JPEG, BMP, TIFF or WebP file.
        where: name for messages, e.g. `ImageSource.describe(key)`.

    Returns:
        (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA; uint8 in 0..255 or uint16 in 0..65535.

    Raises:
        ImageReadError: empty, truncated, corrupt, not an image, neither 8 nor 16 bits deep, or larger than allowed
            (prismsr.utils.image_headers.LIMIT).
    """
    if not data:
        raise ImageReadError(f"{where}: the file is empty")
    header = read_header(data, where)
    image = decode_tiff(data, where) if is_tiff(data) else turn_upright(_decode(data, where), header.orientation)
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageReadError(f"{where}: holds {image.dtype} values; 8-bit and 16-bit images are supported")
    if image.ndim == 3 and image.shape[2] == 4 and (image[..., 3] == np.iinfo(image.dtype).max).all():
        image = image[..., :3]
    return np.ascontiguousarray(image)


def _decode(data: bytes, where: str) -> NDArray[Any]:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageReadError(f"{where}: cannot be decoded ({error.err})") from error
    if image is None:
        raise ImageReadError(f"{where}: cannot be decoded: truncated, corrupt or not an image ({len(data)} bytes)")
    return image


def read_image(path: str | Path) -> NDArray[Any]:
    """Read an image file; see `decode_image` for the result and the errors."""
    return decode_image(read_bytes(Path(path)), str(path))


def eight_bit_bgr(image: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 BGR of an image as `decode_image` gives it: grey is repeated, 16 bits are rounded to 8.

    Raises:
        DataError: it has an alpha channel; the message begins with `where`.
    """
    if image.dtype == np.uint16:
        image = np.round(image / 257).astype(np.uint8)
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    if image.shape[2] != 3:
        raise DataError(f"{where}: has an alpha channel; its colour on the screen is not defined")
    return image


def image_size(path: Path) -> tuple[int, int]:
    """Read the (height, width) in pixels of an image file as it is seen; only its header is decoded.

    ImageReadError: the file or its header cannot be read, or the image is larger than allowed.
    """
    return read_header(path, str(path)).upright_size


def decode_mask(data: bytes, where: str) -> NDArray[np.bool_]:
    """Decode a mask (H, W) bool: an 8-bit grey image (True above 127) or a MATLAB file's variable `mat` (True above 0).

    Raises:
        ImageReadError: not decodable, or not one channel of 8 bits; it begins with `where`.
    """
    if data.startswith(b"MATLAB"):
        return _decode_mat(data, where)
    image = decode_image(data, where)
    if image.ndim == 3 and (image == image[..., :1]).all():
        image = image[..., 0]  # grey saved as colour
    if image.ndim != 2 or image.dtype != np.uint8:
        raise ImageReadError(f"{where}: a mask is one channel of 8 bits; this is {image.dtype} of shape {image.shape}")
    return image > MASK_LEVEL


def _decode_mat(data: bytes, where: str) -> NDArray[np.bool_]:
    from scipy.io import loadmat

    try:
        mask = loadmat(io.BytesIO(data), variable_names=[MAT_KEY])[MAT_KEY]
    except KeyError as error:
        raise ImageReadError(f"{where}: the MATLAB file has no variable {MAT_KEY!r}") from error
    except Exception as error:  # scipy and zlib raise many kinds for a damaged file
        raise ImageReadError(f"{where}: the MATLAB file cannot be decoded ({error})") from error
    if mask.ndim != 2:
        raise ImageReadError(f"{where}: a mask has shape (H, W); {MAT_KEY!r} has {mask.shape}")
    return mask > 0


def encode_png(image: NDArray[Any], compression: int = PNG_COMPRESSION) -> bytes:
    """Return the PNG file of an image: (H, W), (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16.

    `compression` is 0 (fast, large) to 9 (slow, small); lossless in any case.

    Raises:
        ValueError: another depth (OpenCV would turn it into 8 bits in silence).
    """
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"PNG holds uint8 or uint16, not {image.dtype}")
    # OpenCV 5 chooses a filter for each row, mostly Paeth. Sub, which OpenCV 4 wrote, makes the file 3 to 8 % larger
    # and decodes faster: its rows do not refer to those above, so that a crop's can be decoded alone
    # (prismsr.data.images.png_crop)
    settings = [cv2.IMWRITE_PNG_COMPRESSION, compression, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB]
    _, data = cv2.imencode(".png", image, settings)
    return data.tobytes()


def write_png_atomic(path: Path, image: NDArray[Any], compression: int = PNG_COMPRESSION) -> None:
    """Write an image as PNG so that `path` is never half a file; see `encode_png` for the arguments."""
    atomic_write(path, encode_png(image, compression))
