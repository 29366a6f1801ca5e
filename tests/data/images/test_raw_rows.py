import io

from prismsr.data.images.partner_names import TemplateSource
from prismsr.data.images.png_crop import CroppableImage, CroppableMask
from prismsr.data.images.raw_rows import RawRows, count_raw_bytes, encode_raw, find_raw_rows
from prismsr.data.images.source import ImageSource, open_source
from prismsr.utils.image_headers import read_header
from prismsr.utils.images import ImageReadError, decode_image, decode_mask, encode_png

import lmdb
import numpy as np
import pytest
from PIL import Image


class Value(ImageSource):
    """A set of one image, "0001", that remembers how many bytes were asked for."""

    def __init__(self, value):
        self.value, self.count = value, 0

    def keys(self):
        return ["0001"]

    def read(self, key):
        return self.read_part(key, 0, len(self.value))

    def read_part(self, key, start, stop):
        self.count += len(part := self.value[start:stop])
        return part

    def describe(self, key):
        return f"x.lmdb, key {key}"


@pytest.fixture(scope="module")
def bgr(photograph):
    return np.ascontiguousarray(photograph[20:180, 100:301, ::-1])


@pytest.fixture(scope="module")
def images(bgr):
    return [bgr, bgr[..., 0], bgr[:7, :6], bgr[:1, :2, 1], bgr[:1, :1], bgr[:3, :1, 2]]


def test_crops_equal_those_of_the_image(images):
    rng = np.random.default_rng(0)
    for image in images:
        file = CroppableImage.open(Value(encode_raw(image)), "0001")
        height, width = image.shape[:2]
        assert file.size == (height, width) and file.whole is None
        for _ in range(20):
            top, bottom = sorted(rng.choice(height + 1, 2, replace=False).tolist())
            left, right = sorted(rng.choice(width + 1, 2, replace=False).tolist())
            crop = file.crop(top, left, bottom - top, right - left)
            assert crop.dtype == np.uint8 and np.array_equal(crop, image[top:bottom, left:right])


def test_any_reader_of_bmp_reads_it(images):
    for image in images:
        value = encode_raw(image)
        assert len(value) == count_raw_bytes(*image.shape[:2], image.shape[2] if image.ndim == 3 else 1)
        assert np.array_equal(decode_image(value, "x"), image)
        rgb = image if image.ndim == 2 else image[..., ::-1]
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(value))), rgb)
        assert read_header(value, "x").upright_size == image.shape[:2]


def test_a_crop_reads_its_rows_only(bgr):
    source = Value(encode_raw(bgr))
    CroppableImage.open(source, "0001").crop(30, 40, 16, 20)
    assert 16 * 201 * 3 < source.count < 17 * (201 * 3 + 8)


def test_masks(bgr):
    grey = np.where(bgr[..., 1] > 120, 255, 0).astype(np.uint8)
    for image in (grey, np.dstack([grey] * 3)):
        crop = CroppableMask.open(Value(encode_raw(image)), "0001").crop(5, 6, 70, 80)
        assert crop.dtype == bool and np.array_equal(crop, grey[5:75, 6:86] > 127)
        assert np.array_equal(decode_mask(encode_raw(image), "x"), grey > 127)
    with pytest.raises(ImageReadError, match="key 0001"):
        CroppableMask.open(Value(encode_raw(bgr)), "0001")


def test_lq_images_by_a_template(tmp_path, bgr):
    with lmdb.open(str(tmp_path / "x.lmdb"), map_size=1 << 20) as environment, environment.begin(write=True) as change:
        change.put(b"0001x4", encode_raw(bgr))
    source = TemplateSource(open_source(tmp_path / "x.lmdb"), "{}x4")
    assert isinstance(find_raw_rows(source, "0001"), RawRows)
    assert np.array_equal(CroppableImage.open(source, "0001").crop(1, 2, 3, 4), bgr[1:4, 2:6])
    with pytest.raises(ImageReadError, match="key 0002x4"):
        CroppableImage.open(source, "0002")


def test_others_are_read_as_before(tmp_path, bgr):
    (tmp_path / "0001.bmp").write_bytes(encode_raw(bgr))  # of a folder the whole file is read
    for source in (Value(encode_png(bgr)), open_source(tmp_path)):
        assert find_raw_rows(source, "0001") is None
        assert np.array_equal(CroppableImage.open(source, "0001").crop(1, 2, 3, 4), bgr[1:4, 2:6])


@pytest.mark.parametrize("grey", [False, True])
def test_a_changed_byte_never_gives_wrong_pixels(bgr, grey):
    image = bgr[..., 1] if grey else bgr
    value = encode_raw(image)
    rng = np.random.default_rng(1)
    named = 0
    for bit in [*range(54 * 8), *rng.integers(54 * 8, len(value) * 8, 300).tolist()]:  # each of the header's
        damaged = bytearray(value)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            file = CroppableImage.open(Value(bytes(damaged)), "0001")
            assert file.size == image.shape[:2]
            assert np.array_equal(file.crop(10, 20, 130, 40), image[10:140, 20:60])
        except ImageReadError as error:
            assert "key 0001" in str(error)
            named += 1
    assert named > 550


def test_the_damaged_row_is_named(bgr):
    damaged = bytearray(encode_raw(bgr))
    damaged[54 + (len(bgr) - 1 - 25) * 604 + 3] ^= 1  # rows of 604 bytes, the lowest first
    file = CroppableImage.open(Value(bytes(damaged)), "0001")
    with pytest.raises(ImageReadError, match=r"key 0001.* row 25 "):
        file.crop(20, 20, 30, 40)
    assert np.array_equal(file.crop(26, 20, 30, 40), bgr[26:56, 20:60])


def test_a_truncated_value_is_named(bgr):
    value = encode_raw(bgr)
    for length in (1, 30, 54, 60, 5000, len(value) - 1):
        with pytest.raises(ImageReadError, match="key 0001"):
            CroppableImage.open(Value(value[:length]), "0001").crop(0, 0, 160, 4)
