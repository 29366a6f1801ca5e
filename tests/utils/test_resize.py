import math

from prismsr.utils.resize import imresize_bicubic

import numpy as np
import pytest
from basicsr.utils.matlab_functions import imresize


def _keys_cubic(x):
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def _matlab_1d(signal, scale):
    """MATLAB's imresize of one line by 1/scale, one output pixel after the other, in 1-based coordinates as it does."""
    length = len(signal)
    mirrored = [*range(length), *reversed(range(length))]
    outputs = []
    for x in range(1, math.ceil(length / scale) + 1):
        centre = x * scale + 0.5 * (1 - scale)
        left = math.floor(centre - 2 * scale)
        indices = range(left, left + 4 * scale + 2)
        weights = [_keys_cubic((centre - index) / scale) for index in indices]
        values = [signal[mirrored[(index - 1) % (2 * length)]] for index in indices]
        outputs.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return outputs


def _matlab(image, scale):
    rows = np.apply_along_axis(_matlab_1d, 0, image.astype(np.float64), scale)
    return np.apply_along_axis(_matlab_1d, 1, rows, scale)


@pytest.fixture(scope="module")
def image(photograph):
    return photograph[80:143, 150:234] / 255.0  # 63 x 84


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("size", [(63, 84), (24, 48), (7, 5), (1, 30)])
def test_equals_a_loop_over_pixels(image, scale, size):
    part = image[: size[0], : size[1]]
    assert imresize_bicubic(part, scale) == pytest.approx(_matlab(part, scale), abs=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(300, 451), (299, 448), (96, 97)])
def test_equals_basicsr(photograph, scale, size):
    part = (photograph / 255.0).astype(np.float32)[: size[0], : size[1]]
    ours, theirs = imresize_bicubic(part, scale), imresize(part, 1 / scale)
    assert ours.dtype == np.float32 and ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-6
    assert np.abs(imresize_bicubic(part[..., 0], scale) - imresize(part[..., 0], 1 / scale)).max() < 1e-6


def test_long_axis_equals_basicsr(photograph):
    line = np.tile((photograph[:24, :, :] / 255.0).astype(np.float32), (1, 5, 1))
    assert np.abs(imresize_bicubic(line, 3) - imresize(line, 1 / 3)).max() < 1e-6


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_integers_are_rounded_once_and_clipped(dtype, top):
    image = np.zeros((32, 32), dtype)
    image[:, 16:] = top  # a step: the cubic overshoots on both sides
    image[20::3] = top // 3
    exact = _matlab(image, 4)
    assert exact.min() < 0 and exact.max() > top
    result = imresize_bicubic(image, 4)
    assert result.dtype == dtype
    assert np.array_equal(result, np.floor(exact + 0.5).clip(0, top))


def test_halves_are_rounded_up():
    image = np.tile(np.array([[10, 11], [10, 11]], np.uint8), (8, 8))
    assert imresize_bicubic(image, 2)[4, 4] == 11  # the mean is 10.5; rounding to even would give 10


def test_non_contiguous_image(image):
    view = image[::-1, ::-1, ::-1]
    assert np.array_equal(imresize_bicubic(view, 4), imresize_bicubic(view.copy(), 4))


def test_constant_stays_constant():
    assert imresize_bicubic(np.full((17, 23, 3), 0.25), 4) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("shape", "dtype", "scale", "message"),
    [
        ((8, 8), np.float32, 0, "scale"),
        ((8, 8), np.float32, 0.25, "whole number"),
        ((8,), np.float32, 2, r"\(8,\)"),
        ((8, 8), np.int32, 2, "int32"),
        ((0, 8), np.uint8, 2, "shape"),
    ],
)
def test_wrong_arguments(shape, dtype, scale, message):
    with pytest.raises(ValueError, match=message):
        imresize_bicubic(np.zeros(shape, dtype), scale)
