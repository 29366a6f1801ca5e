import io
import struct
import zlib

from prismsr.data.images.png_crop import CroppableImage, CroppableMask, find_plain_layout, undo_sub
from prismsr.utils.images import ImageReadError, decode_image, encode_png

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

FILTERS = {
    "none": cv2.IMWRITE_PNG_FILTER_NONE,
    "sub": cv2.IMWRITE_PNG_FILTER_SUB,
    "up": cv2.IMWRITE_PNG_FILTER_UP,
    "average": cv2.IMWRITE_PNG_FILTER_AVG,
    "paeth": cv2.IMWRITE_PNG_FILTER_PAETH,
    "fast": cv2.IMWRITE_PNG_FAST_FILTERS,
    "all": cv2.IMWRITE_PNG_ALL_FILTERS,
}


@pytest.fixture(scope="module")
def bgr(photograph):
    return np.ascontiguousarray(photograph[20:180, 100:301, ::-1])


def _cv2(image, *settings):
    return cv2.imencode(".png", image, settings)[1].tobytes()


def _pillow(image, mode=None, **options):
    file = io.BytesIO()
    picture = Image.fromarray(image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1]))
    (picture.convert(mode) if mode else picture).save(file, "png", **options)
    return file.getvalue()


def _annotated(image, **options):
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "cat")
    info.add_itxt("Note", "Zoë", zip=True)
    return _pillow(image, pnginfo=info, dpi=(72, 72), gamma=0.5, **options)


def _assert_crops_agree(content, count=25):
    whole = decode_image(content, "whole")
    file = CroppableImage(content, "file")
    height, width = whole.shape[:2]
    assert file.size == (height, width)
    rng = np.random.default_rng(0)
    for _ in range(count):
        top, bottom = sorted(rng.choice(height + 1, 2, replace=False))
        left, right = sorted(rng.choice(width + 1, 2, replace=False))
        crop = file.crop(int(top), int(left), int(bottom - top), int(right - left))
        assert crop.dtype == whole.dtype and np.array_equal(crop, whole[top:bottom, left:right])


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("grey", [False, True])
def test_crops_equal_those_of_the_whole_image(bgr, name, grey):
    image = bgr[..., 1] if grey else bgr
    content = _cv2(image, cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_PNG_FILTER, FILTERS[name])
    assert find_plain_layout(content)
    _assert_crops_agree(content)


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("encode", [encode_png, lambda image, level: _pillow(image, compress_level=level)])
def test_other_encoders_and_levels(bgr, encode, level):
    for image in (bgr, bgr[..., 0], bgr[:1], bgr[:, :1], bgr[:1, :1]):
        content = encode(image, level)
        assert find_plain_layout(content)
        _assert_crops_agree(content, count=10) if image.shape[0] * image.shape[1] > 1 else None


def test_texts_and_profile_do_not_matter(bgr):
    content = _annotated(bgr)
    assert find_plain_layout(content)
    _assert_crops_agree(content)


def test_turned_images_are_cropped_upright(bgr):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    content = _annotated(bgr, exif=exif)
    assert CroppableImage(content, "file").size == bgr.shape[1::-1]
    _assert_crops_agree(content)


@pytest.mark.parametrize("kind", ["16-bit", "alpha", "palette", "bilevel", "transparent colour", "jpeg", "interlaced"])
def test_other_kinds_go_the_long_way(bgr, kind):
    content = {
        "16-bit": lambda: _cv2(bgr.astype(np.uint16) * 200),
        "alpha": lambda: _cv2(np.dstack([bgr, bgr[..., 0]])),
        "palette": lambda: _pillow(bgr, "P"),
        "bilevel": lambda: _pillow(bgr, "1"),
        "transparent colour": lambda: _pillow(bgr, transparency=(0, 0, 0)),
        "jpeg": cv2.imencode(".jpg", bgr)[1].tobytes,
        "interlaced": lambda: _interlaced(bgr[:1, :1]),
    }[kind]()
    assert find_plain_layout(content) is None
    if kind == "interlaced":
        assert np.array_equal(CroppableImage(content, "x").crop(0, 0, 1, 1), bgr[:1, :1])
    else:
        _assert_crops_agree(content, count=5)


def _chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _interlaced(pixel):
    """One pixel looks the same interlaced; only the header says so."""
    data = zlib.compress(b"\0" + pixel[0, 0, ::-1].tobytes())
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


@pytest.mark.parametrize("encode", [encode_png, _cv2, _pillow])
def test_a_truncated_file_is_named_whatever_the_crop(bgr, encode):
    content = encode(bgr)
    for length in np.linspace(1, len(content) - 13, 40).astype(int):  # less than that lacks only the end mark
        with pytest.raises(ImageReadError, match=r"key 0001"):
            CroppableImage(content[:length], "x.lmdb, key 0001").crop(0, 0, 4, 4)


@pytest.mark.parametrize("encode", [encode_png, _cv2, _pillow])
def test_a_changed_byte_never_gives_wrong_pixels(bgr, encode):
    content = encode(bgr)
    rng = np.random.default_rng(1)
    named = 0
    for position in [*range(40), *rng.integers(40, len(content), 80)]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.integers(8)
        try:
            assert np.array_equal(CroppableImage(bytes(damaged), "0001.png").crop(10, 20, 30, 40), bgr[10:40, 20:60])
        except ImageReadError as error:
            assert "0001.png" in str(error)
            named += 1
    assert named > 100


@pytest.mark.parametrize("damage", ["not deflate", "too few rows", "unknown filter"])
def test_wrong_data_with_right_checksums_are_named(damage):
    rows = np.zeros((8, 25), np.uint8)
    rows[3, 0] = 9 if damage == "unknown filter" else 0
    data = zlib.compress(rows[:4].tobytes() if damage == "too few rows" else rows.tobytes())
    if damage == "not deflate":
        data = b"\xff" * 20
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    assert find_plain_layout(content)
    with pytest.raises(ImageReadError, match=r"bad\.png"):
        CroppableImage(content, "bad.png").crop(0, 0, 6, 6)


def test_masks_of_all_kinds(bgr):
    grey = np.where(bgr[..., 1] > 120, 255, 0).astype(np.uint8)
    for content in (encode_png(grey), _cv2(grey), encode_png(np.dstack([grey] * 3)), _pillow(grey, "1")):
        crop = CroppableMask(content, "mask").crop(5, 6, 70, 80)
        assert crop.dtype == bool and np.array_equal(crop, grey[5:75, 6:86] > 127)
    with pytest.raises(ImageReadError, match=r"m\.png"):
        CroppableMask(encode_png(bgr), "m.png")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (70, 5), (130, 33)])
def test_undo_sub_is_a_running_sum_of_each_row(channels, height, width):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (height, 1 + width * channels), dtype=np.uint8)
    rows[:, 0] = rng.integers(0, 2, height)
    expected = rows[:, 1:].astype(int).reshape(height, width, channels)
    for y in np.flatnonzero(rows[:, 0]):
        for x in range(1, width):
            expected[y, x] = (expected[y, x] + expected[y, x - 1]) % 256
    pixels = undo_sub(rows, channels)
    assert np.array_equal(pixels.reshape(height, width, channels)[..., ::-1], expected)
