"""The release's BSRGAN test degradation: factor, side and shape, beside the values of its description."""

from prismsr.data.prepare.testsets import bsrgan
from prismsr.data.prepare.testsets.bsrgan import degrade_bsrgan, shifted_kernel

import cv2
import numpy as np
import pytest


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


@pytest.fixture
def drawn(monkeypatch):
    """Run 800 degradations; return the factors of the resizes and the sides of the shifted kernels."""
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
    monkeypatch.setattr(bsrgan, "HALF_FIRST", 0)
    monkeypatch.setattr(bsrgan, "_STEPS", ("resize", "fit"))
    image = np.zeros((2, 4000, 3))
    for seed in range(800):
        degrade_bsrgan(image, 2, np.random.default_rng(seed))
    return np.array([factor for factor in factors if factor > 0.7 and factor < 1]), sides


def test_resize_factor_and_kernel_side(drawn):
    factors, sides = drawn
    # U(0.75, 1): mean 0.875, standard error 0.0722 / sqrt(600) = 0.003; a uniform inverse would have 0.863
    assert factors.mean() == pytest.approx(0.875, abs=0.009)
    assert factors.min() < 0.76 and factors.max() > 0.99
    assert set(sides) == {3, 5, 7, 9, 11}
