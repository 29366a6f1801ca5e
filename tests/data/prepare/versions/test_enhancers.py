"""The classical enhancers do what their names say."""

from prismsr.data.prepare.versions.filters import (
    CLASSICAL,
    denoise_sharpen,
    list_parameters,
    local_contrast,
    unsharp,
)

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

LUMA = np.array([0.114, 0.587, 0.299])


@pytest.fixture
def image(photograph):
    return np.ascontiguousarray(photograph[40:200, 100:300, ::-1])


def gradient_energy(image):
    luma = image @ LUMA
    return (np.diff(luma, axis=0) ** 2).mean() + (np.diff(luma, axis=1) ** 2).mean()


@pytest.mark.parametrize("name", CLASSICAL)
def test_shape_depth_and_repeatability(name, image):
    before = image.copy()
    result = CLASSICAL[name](image)
    assert result.shape == image.shape and result.dtype == np.uint8
    assert np.array_equal(result, CLASSICAL[name](image))
    assert np.array_equal(image, before)  # the input stays
    assert np.abs(result.astype(int) - image).mean() > 0.5
    assert abs(float(result.mean()) - image.mean()) < 2  # brightness stays


@pytest.mark.parametrize("level", [0, 100, 255])
@pytest.mark.parametrize("name", CLASSICAL)
def test_flat_images_stay(name, level):
    flat = np.full((40, 50, 3), level, np.uint8)
    assert np.array_equal(CLASSICAL[name](flat), flat)


def test_parameters_for_the_record():
    assert len(CLASSICAL) == 4
    assert list_parameters("unsharp") == {"name": "unsharp", "amount": 0.7, "sigma": 1.0}


def test_unsharp_is_its_formula_in_the_luma(image):
    inner = image // 4 + 96  # nothing is cut off at 0 or 255
    luma = inner @ LUMA
    change = 0.7 * (luma - gaussian_filter(luma, 1.0, mode="mirror", truncate=4))
    expected = inner + change[..., None]
    assert np.abs(unsharp(inner, 0.7, 1.0) - expected).max() < 0.6  # rounding, and the reach of OpenCV's kernel


def test_unsharp_raises_gradients_and_more_so_when_strong(image):
    plain, some, strong = (
        gradient_energy(each) for each in (image, CLASSICAL["unsharp"](image), CLASSICAL["unsharp-strong"](image))
    )
    assert plain * 1.2 < some < strong / 1.2
    assert np.array_equal(unsharp(image, 0.0, 1.0), image)


def test_denoise_sharpen_lowers_noise_and_keeps_edges():
    noise = np.random.default_rng(0).normal(0, 6, (64, 64, 3))
    step = np.repeat(np.where(np.arange(64) < 32, 60, 190)[None, :, None], 64, axis=0)
    noisy = np.rint(step + noise).clip(0, 255).astype(np.uint8)
    result = CLASSICAL["denoise-sharpen"](noisy)
    assert result[:, 4:28].std() < 0.75 * noisy[:, 4:28].std()
    assert result[:, 32].mean() - result[:, 31].mean() > 120
    sharpened = unsharp(noisy, 1.0, 1.2)
    assert result[:, 4:28].std() < 0.6 * sharpened[:, 4:28].std()
    assert np.array_equal(denoise_sharpen(noisy, 18, 2, 0, 1), denoise_sharpen(noisy, 18, 2, 0, 3))  # amount 0


def test_local_contrast_raises_local_deviation_without_halo(image):
    result = CLASSICAL["local-contrast"](image)
    blocks = [(top, left) for top in range(0, 160, 16) for left in range(0, 192, 16)]
    before, after = (
        np.mean([(each[top : top + 16, left : left + 16] @ LUMA).std() for top, left in blocks])
        for each in (image, result)
    )
    assert after > 1.1 * before
    step = np.repeat(np.repeat(np.where(np.arange(64) < 32, 40, 210)[None, :, None], 64, axis=0), 3, axis=2)
    overshoot = local_contrast(step.astype(np.uint8), 1.7, 8, 25.0).astype(int).max() - 210
    assert overshoot < 0.4 * (int(unsharp(step.astype(np.uint8), 0.7, 8.0).max()) - 210)
    assert np.array_equal(local_contrast(image, 1.0, 8, 25.0), image)
