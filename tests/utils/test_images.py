import io
import zlib

from prismsr.utils.image_headers import LIMIT, ORIENTATION
from prismsr.utils.images import (
    ImageReadError,
    decode_image,
    decode_mask,
    encode_png,
    image_size,
    read_image,
    write_png_atomic,
)

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.io import savemat


@pytest.fixture(scope="module")
def bgr(photograph):
    return np.ascontiguousarray(photograph[100:140, 200:264, ::-1])


def _variants(bgr):
    alpha = np.dstack([bgr, 255 - bgr[..., 0]])
    return {"colour": bgr, "grey": bgr[..., 1], "alpha": alpha, "16-bit": bgr.astype(np.uint16) * 257 + 3}


@pytest.mark.parametrize("kind", ["colour", "grey", "alpha", "16-bit"])
def test_png_round_trip_keeps_depth_and_channels(bgr, kind, tmp_path):
    image = _variants(bgr)[kind]
    write_png_atomic(tmp_path / "new" / "x.png", image)
    result = read_image(tmp_path / "new" / "x.png")
    assert result.dtype == image.dtype and np.array_equal(result, image)
    assert image_size(tmp_path / "new" / "x.png") == (40, 64)


def test_compression_level_changes_only_the_size(bgr):
    files = [encode_png(bgr, level) for level in (0, 9)]
    assert len(files[1]) < len(files[0])
    assert np.array_equal(decode_image(files[0], "0"), decode_image(files[1], "9"))


def test_rows_do_not_refer_to_rows_above(bgr):
    data = encode_png(bgr)
    start = data.index(b"IDAT")
    length = int.from_bytes(data[start - 4 : start], "big")
    rows = np.frombuffer(zlib.decompressobj().decompress(data[start + 4 : start + 4 + length]), np.uint8)
    filters = rows[: len(rows) // 193 * 193].reshape(-1, 193)[:, 0]
    assert len(filters) > 10 and (filters <= 1).all()  # None or Sub


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "text", "truncated jpeg"])
def test_damaged_image_is_named(bgr, damage, tmp_path):
    png = encode_png(bgr)
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 1
    jpeg = cv2.imencode(".jpg", bgr)[1].tobytes()
    data = {
        "empty": b"",
        "truncated": png[: len(png) // 2],
        "flipped": bytes(flipped),
        "text": b"not an image",
        "truncated jpeg": jpeg[: len(jpeg) // 2],
    }[damage]
    (tmp_path / "bad.png").write_bytes(data)
    with pytest.raises(ImageReadError, match=r"bad\.png"):
        read_image(tmp_path / "bad.png")


def test_missing_file_and_bad_header_are_named(tmp_path):
    with pytest.raises(ImageReadError, match=r"none\.png.*No such file"):
        read_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(ImageReadError, match=r"text\.png"):
        image_size(tmp_path / "text.png")


def test_float_image_is_refused_both_ways(bgr):
    tiff = cv2.imencode(".tiff", bgr.astype(np.float32))[1].tobytes()
    with pytest.raises(ImageReadError, match=r"here: .*float32"):
        decode_image(tiff, "here")
    with pytest.raises(ValueError, match="float32"):
        encode_png(bgr.astype(np.float32))


def _mat(**variables):
    file = io.BytesIO()
    savemat(file, variables, do_compression=True)
    return file.getvalue()


def test_masks_of_all_kinds_agree(bgr):
    mask = bgr[..., 1] > 120
    grey = np.where(mask, 255, 0).astype(np.uint8)
    soft = np.where(mask, 128, 127).astype(np.uint8)
    files = [encode_png(grey), encode_png(soft), encode_png(np.dstack([grey] * 3)), _mat(mat=mask.astype(np.int64))]
    for data in files:
        result = decode_mask(data, "mask")
        assert result.dtype == bool and np.array_equal(result, mask)


@pytest.mark.parametrize("kind", ["colour", "16-bit", "wrong key", "cube", "truncated"])
def test_bad_mask_is_named(bgr, kind):
    data = {
        "colour": encode_png(bgr),
        "16-bit": encode_png(bgr[..., 0].astype(np.uint16)),
        "wrong key": _mat(mask=bgr[..., 0]),
        "cube": _mat(mat=bgr),
        "truncated": _mat(mat=bgr[..., 0])[:200],
    }[kind]
    with pytest.raises(ImageReadError, match="0001, key 7"):
        decode_mask(data, "0001, key 7")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_as_their_exif_says(photograph, kind, orientation, tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"x.{kind.lower()}"
    lossless = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(photograph[:40, :64]).save(path, kind, exif=exif, **lossless)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))[..., ::-1]
    assert image_size(path) == expected.shape[:2]
    # libjpeg of two packages may round otherwise
    assert np.abs(read_image(path).astype(int) - expected).max() <= (4 if kind == "JPEG" else 0)


def test_alpha_that_is_opaque_everywhere_is_dropped(bgr):
    opaque = np.dstack([bgr, np.full(bgr.shape[:2], 255, np.uint8)])
    assert np.array_equal(decode_image(encode_png(opaque), "x"), bgr)
    opaque[3, 5, 3] = 254
    assert np.array_equal(decode_image(encode_png(opaque), "x"), opaque)


def test_pixels_are_limited_before_they_are_decoded(bgr, monkeypatch, tmp_path):
    (tmp_path / "x.png").write_bytes(encode_png(bgr))
    monkeypatch.setenv(LIMIT, str(40 * 64))
    assert read_image(tmp_path / "x.png").shape == bgr.shape
    monkeypatch.setenv(LIMIT, str(40 * 64 - 1))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("was decoded"))
    for read in (read_image, image_size):
        with pytest.raises(ImageReadError, match=rf"x\.png.*64x40.*{LIMIT}"):
            read(tmp_path / "x.png")


def test_pillow_s_limit_does_not_apply_to_headers(bgr, monkeypatch, tmp_path):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(bgr[..., ::-1].copy()).save(tmp_path / "x.tif")
    (tmp_path / "x.png").write_bytes(encode_png(bgr))
    for name in ("x.tif", "x.png"):
        assert image_size(tmp_path / name) == (40, 64)
        assert np.array_equal(read_image(tmp_path / name), bgr)
    assert Image.MAX_IMAGE_PIXELS == 100
