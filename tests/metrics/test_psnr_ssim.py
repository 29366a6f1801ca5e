import math

from prismsr.metrics import psnr_ssim
from prismsr.metrics.psnr_ssim import compute_luma, planes, psnr, ssim

import cv2
import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_psnr, calculate_ssim
from basicsr.metrics.metric_util import to_y_channel


@pytest.fixture(scope="module")
def pairs(photograph):
    """BGR pairs: noisy, one value off by one, darker, equal, of pure noise, and of a small odd size."""
    image = np.ascontiguousarray(photograph[40:181, 60:233, ::-1])
    rng = np.random.default_rng(0)
    noisy = np.clip(image + rng.integers(-9, 10, image.shape), 0, 255).astype(np.uint8)
    nearly = image.copy()
    nearly[70, 80, 1] ^= 1
    noise = rng.integers(0, 256, (2, 60, 45, 3), np.uint8)
    small = image[:19, :23]
    return [(noisy, image), (nearly, image), (image // 2, image), (image, image), tuple(noise), (small[::-1], small)]


@pytest.mark.parametrize("border", [0, 4])
@pytest.mark.parametrize("y_channel", [False, True])
@pytest.mark.parametrize("strip", [1 << 16, 700])
def test_equal_basicsr(pairs, border, y_channel, strip, monkeypatch):
    monkeypatch.setattr(psnr_ssim, "_STRIP", strip)
    for one, other in pairs:
        sides = [planes(np.ascontiguousarray(image), border, y_channel) for image in (one, other)]
        expected = [
            function(one, other, border, test_y_channel=y_channel) for function in (calculate_psnr, calculate_ssim)
        ]
        assert psnr(*sides) == pytest.approx(expected[0], abs=1e-6)
        assert ssim(*sides) == pytest.approx(expected[1], abs=1e-6)


def test_luma_is_basicsrs_to_the_bit(photograph):
    image = np.ascontiguousarray(photograph[:50, :60])
    np.testing.assert_array_equal(compute_luma(image), to_y_channel(image)[..., 0].astype(np.float64))


def test_rounding_luma_costs_a_sixth_of_squared_error(photograph):
    """Why Set5 by bicubic reads 28.42 dB with Y of 8 bits and 28.43 without: docs/guide/evaluation.md."""
    rgb = photograph[:288, :444].astype(np.float64)
    large = cv2.resize(cv2.resize(photograph[:288, :444], (111, 72), interpolation=cv2.INTER_AREA), (444, 288))
    lumas = [side @ [65.481, 128.553, 24.966] / 255 + 16 for side in (rgb, large.astype(np.float64))]
    error = np.mean((lumas[0] - lumas[1])[4:-4, 4:-4] ** 2)
    bgr = [np.ascontiguousarray(side[..., ::-1]) for side in (photograph[:288, :444], large)]
    exact, rounded = (psnr(*(planes(side, 4, True, rounded) for side in bgr)) for rounded in (False, True))
    assert exact == pytest.approx(10 * math.log10(255**2 / error), abs=1e-4)
    assert exact - rounded == pytest.approx(10 * math.log10(1 + 1 / 6 / error), rel=0.2)
    assert 10 * math.log10(1 + 1 / 6 / (255**2 / 10**2.84)) == pytest.approx(0.008, abs=5e-4)


def test_equal_images_are_infinitely_good(pairs):
    same = planes(pairs[3][0])
    assert psnr(same, same) == math.inf
    assert ssim(same, same) == pytest.approx(1, abs=1e-12)


def test_too_small():
    image = np.zeros((10, 30, 3), np.uint8)
    with pytest.raises(ValueError, match="30 x 10"):
        ssim(planes(image), planes(image))
    with pytest.raises(ValueError, match="crop_border 5"):
        planes(image, 5)


@pytest.mark.parametrize("y_channel", [False, True])
def test_pyiqas_variant(pairs, y_channel):
    """SeeSR and OSEDiff measure with pyiqa."""
    archs = pytest.importorskip("pyiqa.archs.psnr_arch"), pytest.importorskip("pyiqa.archs.ssim_arch")
    negative = (255 - pairs[4][0], pairs[4][0])  # structure below 0
    for one, other in (*pairs[:3], negative):
        # in float64, but for pyiqa's window and colour matrix: what these constants lose is alike on every CPU
        tensors = [
            torch.from_numpy(np.moveaxis(image, 2, 0)[None, ::-1].copy()).double() / 255 for image in (one, other)
        ]
        theirs = archs[0].psnr(*tensors, test_y_channel=y_channel, color_space="ycbcr").item()
        sides = [planes(image, 0, y_channel) for image in (one, other)]
        assert psnr(*sides, offset=1e-8) == pytest.approx(theirs, abs=1e-4)
        theirs = archs[1].SSIM(test_y_channel=y_channel, color_space="ycbcr")(*tensors).item()
        sides = [planes(image, 0, y_channel, rounded=True) for image in (one, other)]
        assert ssim(*sides, clipped=True) == pytest.approx(theirs, abs=1e-6)
