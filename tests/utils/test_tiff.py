"""TIFFs of all kinds, written by Pillow and tifffile: values are read right, or the file is refused by name."""

import io

from prismsr.utils.images import ImageReadError, decode_image, encode_png

import numpy as np
import pytest
import tifffile
from PIL import Image

HEIGHT, WIDTH = 6, 8


def values(dtype, channels):
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(0).integers(0, top, (HEIGHT, WIDTH, channels), dtype=dtype)
    if channels in (2, 4):
        pixels[..., -1] = top // 4
    return pixels


def by_pillow(image, **options):
    file = io.BytesIO()
    image.save(file, "TIFF", **options)
    return file.getvalue()


def by_tifffile(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def as_bgr(pixels):
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_eight_bits_by_pillow(mode, orientation):
    pixels = values(np.uint8, len(mode))
    data = by_pillow(Image.fromarray(pixels[..., 0] if mode == "L" else pixels), tiffinfo={274: orientation})
    stored = pixels[..., {"L": 0, "LA": [0, 0, 0, 1], "RGB": [2, 1, 0], "RGBA": [2, 1, 0, 3]}[mode]]
    expected = {1: stored, 3: stored[::-1, ::-1], 6: np.rot90(stored, -1)}[orientation]
    assert np.array_equal(decode_image(data, "x"), expected)


def test_tiff_with_alpha_is_the_png_of_the_same_pixels():
    pixels = values(np.uint8, 4)
    assert np.array_equal(
        decode_image(by_pillow(Image.fromarray(pixels)), "x"), decode_image(encode_png(as_bgr(pixels)), "x")
    )


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planes_and_depths_by_tifffile(dtype, planar, compression):
    pixels = values(dtype, 3)
    stored = np.ascontiguousarray(pixels.transpose(2, 0, 1)) if planar == "separate" else pixels
    data = by_tifffile(stored, photometric="rgb", planarconfig=planar, compression=compression)
    assert np.array_equal(decode_image(data, "x"), as_bgr(pixels))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero(dtype):
    grey = values(dtype, 1)[..., 0]
    assert np.array_equal(decode_image(by_tifffile(grey, photometric="miniswhite"), "x"), np.iinfo(dtype).max - grey)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_associated_alpha_is_divided_out(dtype):
    pixels, top = values(dtype, 4), np.iinfo(dtype).max
    premultiplied = pixels.copy()
    premultiplied[..., :3] = np.rint(pixels[..., :3] * (pixels[..., 3:] / top))
    read = decode_image(by_tifffile(premultiplied, photometric="rgb", extrasamples=["assocalpha"]), "x")
    assert np.array_equal(read[..., 3], pixels[..., 3])
    error = np.abs(read[..., :3].astype(int) - as_bgr(pixels)[..., :3])
    assert error.max() <= 4  # a rounding of 1 at most, multiplied by top / alpha = 4


def test_grey_with_alpha_of_sixteen_bits():
    pixels = values(np.uint16, 2)
    data = by_tifffile(pixels, photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig")
    assert np.array_equal(decode_image(data, "x"), pixels[..., [0, 0, 0, 1]])


@pytest.mark.parametrize("orientation", [1, 6])
def test_sixteen_bits_are_turned(orientation):
    pixels = values(np.uint16, 3)
    data = by_tifffile(pixels, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    expected = as_bgr(pixels) if orientation == 1 else np.rot90(as_bgr(pixels), -1)
    assert np.array_equal(decode_image(data, "x"), expected)


def test_palette_and_cmyk_are_pillow_s():
    image = Image.fromarray(values(np.uint8, 3))
    for other in (image.quantize(16), image.convert("CMYK"), image.convert("1")):
        expected = np.asarray(other.convert("L" if other.mode == "1" else "RGB"))
        expected = expected if expected.ndim == 2 else as_bgr(expected)
        assert np.array_equal(decode_image(by_pillow(other), "x"), expected)


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (values(np.uint16, 4), {"photometric": "separated"}),
        (values(np.uint16, 3).astype(np.float32), {"photometric": "rgb"}),
        (values(np.uint16, 1)[..., 0].astype(np.uint32), {"photometric": "minisblack"}),
        (values(np.uint16, 3), {"photometric": "cielab"}),
    ],
)
def test_others_are_refused_by_name(pixels, options):
    with pytest.raises(ImageReadError, match=r"^here: "):
        decode_image(by_tifffile(pixels, **options), "here")


def test_damaged_files_are_named():
    data = by_tifffile(values(np.uint16, 3), photometric="rgb")
    for length in range(4, len(data), 7):
        with pytest.raises(ImageReadError, match=r"^here: "):
            decode_image(data[:length], "here")
