"""Pictures: grey, alpha, depth, palettes and orientation in; the same out."""

import io
from pathlib import Path
from typing import Any

from prismsr.tools.inference.pictures import Picture, decode_picture, describe_losses, encode_picture, read_picture
from prismsr.utils.image_headers import ORIENTATION, ImageReadError

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (14, 20, 3), dtype=np.uint8)


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(rgb: np.ndarray, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = file_of(Image.fromarray(rgb), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert np.array_equal(decode_picture(data, "x").colour, expected)


def test_modes(rgb: np.ndarray) -> None:
    image, alpha = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
    grey = image.convert("L")
    read = decode_picture(file_of(grey, "PNG"), "x")
    assert np.array_equal(read.colour[..., 0], np.asarray(grey))
    assert read.alpha is None
    for kind in ("PNG", "TIFF"):
        read = decode_picture(file_of(Image.merge("LA", (grey, alpha)), kind), "x")
        assert np.array_equal(read.colour, np.asarray(grey)[..., None])
        assert np.array_equal(read.alpha, rgb[..., 0])
    palette = image.quantize(16)
    read = decode_picture(file_of(palette, "PNG", transparency=3), "x")
    assert np.array_equal(read.colour, np.asarray(palette.convert("RGB")))
    assert np.array_equal(read.alpha == 0, np.asarray(palette) == 3)
    read = decode_picture(file_of(image.convert("CMYK"), "TIFF"), "x")
    assert np.array_equal(read.colour, rgb)
    assert read.alpha is None


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_lossless_round_trip(tmp_path: Path, suffix: str, dtype: Any, channels: int, with_alpha: bool) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, np.iinfo(dtype).max, (9, 12, 4), dtype=dtype)
    picture = Picture(values[..., :channels], values[..., 3] if with_alpha else None)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(encode_picture(picture, suffix, "x"))
    read = read_picture(path)
    assert read.colour.dtype == dtype
    assert np.array_equal(read.colour, np.broadcast_to(picture.colour, read.colour.shape))
    assert read.colour.shape[2] == (channels if not with_alpha else 3)  # grey with alpha is written as RGBA
    assert np.array_equal(read.alpha, values[..., 3]) if with_alpha else read.alpha is None
    assert describe_losses(picture, suffix) == []


def test_what_jpeg_cannot_hold_is_told() -> None:
    values = np.full((8, 8, 4), 40000, np.uint16)
    picture = Picture(values[..., :3], values[..., 3])
    assert describe_losses(picture, ".jpg") == ["the alpha channel is left out", "16 bits are rounded to 8"]
    read = decode_picture(encode_picture(picture, ".jpg", "x"), "x")
    assert read.alpha is None
    assert np.array_equal(read.colour, np.full((8, 8, 3), round(40000 / 257), np.uint8))
    assert describe_losses(picture, ".webp") == ["16 bits are rounded to 8"]
    assert decode_picture(encode_picture(picture, ".webp", "x"), "x").alpha is not None


def test_errors_name_the_image() -> None:
    with pytest.raises(ImageReadError, match=r"a/b\.png"):
        decode_picture(b"no image", "a/b.png")
    flat = Picture(np.zeros((1, 17000, 3), np.uint8))
    with pytest.raises(ImageReadError, match=r"out\.webp: .*17000x1"):
        encode_picture(flat, ".webp", "out.webp")
    assert cv2.imencode(".png", flat.colour)[0]
