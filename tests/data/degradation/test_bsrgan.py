"""BSRGAN's degradation beside its steps written plainly, and factor, side and shape beside the description's values."""

import math

from prismsr.data.degradation import bsrgan
from prismsr.data.degradation.bsrgan import degrade_bsrgan, draw_noise, gaussian_kernel, shifted_kernel
from prismsr.data.degradation.bsrgan_options import BSRGANRanges
from prismsr.data.prepare.testsets.degrade import SSL_BSRGAN as TEST
from prismsr.utils.options.files import load_options
from prismsr.utils.places import OPTIONS

import cv2
import numpy as np
import pytest
from bsrgan_reference import degrade_plainly
from pydantic import ValidationError


def _read(name):
    section = load_options(OPTIONS / "_base_" / f"{name}.yml")["datasets"]["train"]
    return BSRGANRanges.read(section)


ORIGINAL, WEAK = _read("degradation_bsrgan"), _read("degradation_bsrgan_hggt")


def _smooth_jpeg(image, quality):
    """A stand-in without steps: a value beside a half, rounded either way, would change a whole block of a JPEG."""
    return image * (0.9 + quality / 1000)


@pytest.mark.parametrize(("form", "ranges"), [("original", ORIGINAL), ("weak", WEAK), ("test", TEST)])
@pytest.mark.parametrize("scale", [4, 2])
def test_same_as_the_steps_written_plainly(form, ranges, scale, photograph, monkeypatch):
    def compress(image, rng, qualities):
        return _smooth_jpeg(image, int(rng.integers(qualities[0], qualities[1] + 1)))

    monkeypatch.setattr(bsrgan, "_compress", compress)
    image = photograph[40:104, 60:140].astype(np.float64) / 255
    for seed in range(12):
        ours = degrade_bsrgan(image, scale, np.random.default_rng(seed), ranges)
        plain = degrade_plainly(image, scale, np.random.default_rng(seed), form, _smooth_jpeg)
        assert ours.shape == (64 // scale, 80 // scale, 3)
        # float64; cv2's resize works with float32 weights, in both alike
        assert np.allclose(ours, plain, rtol=0, atol=1e-10), seed


def test_ends_with_a_jpeg_of_eight_bits(photograph, monkeypatch):
    monkeypatch.setattr(bsrgan, "_STEPS", ("resize", "fit"))
    ranges = BSRGANRanges(half_first_prob=0.0, resize_prob=1.0, resize_factor=[1.0, 1.0], jpeg_range=[40, 40])
    image = photograph[:64, :64].astype(np.float64) / 255
    lq = degrade_bsrgan(image, 4, np.random.default_rng(0), ranges)
    expected = []
    for method in (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA):
        levels = (cv2.resize(image, (16, 16), interpolation=method).clip(0, 1) * 255).round().astype(np.uint8)
        data = cv2.imencode(".jpg", levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
        expected.append(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1] / 255)
    assert any(np.array_equal(lq, one) for one in expected)


def test_float32_is_the_same_but_for_its_noise(photograph):
    image = photograph[40:104, 60:140].astype(np.float32) / 255
    lq = degrade_bsrgan(image, 4, np.random.default_rng(0), WEAK)
    assert lq.dtype == np.float32 and np.array_equal((lq * 255).round() / np.float32(255), lq)


def test_kernels_have_the_described_values():
    t = 0.5
    v = np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]])
    kernel = gaussian_kernel(7, v @ np.diag([0.9, 0.3]) @ v.T)
    expected = {(3, 3): 0.3061928306, (3, 4): 0.1360839406, (2, 2): 0.0845176685}
    for place, value in expected.items():
        assert kernel[place] == pytest.approx(value, abs=1e-10)
    assert [kernel[2, 3], kernel[2, 4]] == pytest.approx([0.0746593681, 0.0130270125], abs=1e-10)
    round_kernel = gaussian_kernel(5, np.eye(2) * 0.8**2)
    assert [round_kernel[2, 2], round_kernel[0, 0]] == pytest.approx([0.2491171972, 0.0004809093], abs=1e-10)


@pytest.mark.parametrize(
    ("side", "sigma", "scale", "row"),
    [
        (3, 0.8, 4, [0.44322, 0.27839, 0.27839]),
        (7, 0.8, 4, [0.12647, 0.36744, 0.36744, 0.12647, 0.0113, 0.00045, 0.00045]),
        (7, 0.4, 2, [0, 0.0202, 0.4798, 0.4798, 0.0202, 0, 0]),
    ],
)
def test_shifted_kernels_are_broad_where_they_are_small(side, sigma, scale, row):
    kernel = shifted_kernel(side, sigma, scale)
    assert kernel.shape == (side, side) and kernel.sum() == pytest.approx(1)
    assert np.allclose(kernel, kernel.T)
    assert kernel.sum(0)[::-1] == pytest.approx(row, abs=5e-5)  # the description's kernel is convolved, ours correlated


def _factors_and_sides(monkeypatch, ranges):
    """Run 800 degradations of two steps; return the factors of the resizes and the sides of the shifted kernels."""
    factors, sides = [], []
    resize, kernel = cv2.resize, bsrgan.shifted_kernel

    def resized(image, size, interpolation):
        factors.append(size[0] / image.shape[1])
        return resize(image, size, interpolation=interpolation)

    def shifted(side, sigma, scale):
        sides.append(side)
        return kernel(side, sigma, scale)

    monkeypatch.setattr(bsrgan.cv2, "resize", resized)
    monkeypatch.setattr(bsrgan, "shifted_kernel", shifted)
    monkeypatch.setattr(bsrgan, "_STEPS", ("resize", "fit"))
    image = np.zeros((2, 4000, 3))
    for seed in range(800):
        degrade_bsrgan(image, 2, np.random.default_rng(seed), ranges)
    return np.array(factors), set(sides)


def test_factor_and_side_of_the_test_sets(monkeypatch):
    factors, sides = _factors_and_sides(monkeypatch, TEST)
    drawn = factors[(factors > 0.7) & (factors < 1)]
    # U(0.75, 1): mean 0.875, standard error 0.0722 / sqrt(600) = 0.003; a uniform inverse would have 0.863
    assert drawn.mean() == pytest.approx(0.875, abs=0.009)
    assert drawn.min() < 0.76 and drawn.max() > 0.99
    assert sides == {3, 5, 7, 9, 11}


def test_factor_and_side_of_the_training_sets(monkeypatch):
    factors, sides = _factors_and_sides(monkeypatch, WEAK)
    inverse = 1 / factors[(factors > 0.84) & (factors < 1)]
    # U(1, 1.176): mean 1.088, standard error 0.0509 / sqrt(600) = 0.0021
    assert inverse.mean() == pytest.approx(1.088, abs=0.0063)
    assert sides == {3, 5, 7, 9}


def test_noise_of_the_three_kinds():
    seen = {"grey": 0, "colour": 0, "mixed": 0}
    for seed in range(300):
        noise = draw_noise((40, 40, 3), np.random.default_rng(seed), (2, 25)).reshape(-1, 3)
        correlation = np.corrcoef(noise.T)[np.triu_indices(3, 1)]
        kind = "grey" if correlation.min() > 0.999 else "colour" if abs(correlation).max() < 0.12 else "mixed"
        seen[kind] += 1
        assert kind == "mixed" or 1.8 / 255 < noise.std() < 27 / 255
    # 0.4, 0.4 and 0.2 of 300, three standard errors of 8.5 and 6.9
    assert abs(seen["grey"] - 120) < 26 and abs(seen["colour"] - 120) < 26 and abs(seen["mixed"] - 60) < 21


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("blur_sizes", [4, 8]),
        ("jpeg_range", [30, 120]),
        ("noise_levels", [9, 3]),
        ("iso_sigma", [0, 0]),
        ("resize_factor", [0.5, 2]),
    ],
)
def test_ranges_that_cannot_be_are_refused(key, value):
    with pytest.raises(ValidationError, match=key):
        BSRGANRanges.model_validate({key: value})
