"""The crop of latent diffusion: its squares, where they lie, how they are resized, and from which files."""

import random

from prismsr.data.images.augmentation import Patch, random_patch, resize_area
from prismsr.data.images.png_crop import CroppableImage

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import kstest


def _area_weights(before, after):
    """(after, before): the share of each source pixel in each target pixel, from where their edges lie."""
    edges = np.linspace(0, before, after + 1)
    first, last = np.maximum.outer(edges[:-1], np.arange(before)), np.minimum.outer(edges[1:], np.arange(before) + 1)
    overlap = np.clip(last - first, 0, None)
    return overlap / overlap.sum(1, keepdims=True)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("side", [1, 2, 5, 13, 31, 32, 33, 50, 64, 101])
def test_resized_pixels_are_means_of_their_areas(kind, side):
    """Against the definition, for reducing and for enlarging (to 32): no more than a level from the exact mean."""
    image = np.random.default_rng(side).integers(0, np.iinfo(kind).max + 1, (side, side, 3)).astype(kind)
    weights = _area_weights(side, 32)
    exact = np.einsum("ai,ijc->ajc", weights, np.einsum("bj,ijc->ibc", weights, image.astype(float)))
    found = resize_area(image, 32)
    assert found.dtype == kind and found.shape == (32, 32, 3)
    assert np.abs(found - exact).max() < 1
    if 32 % side == 0:
        assert np.array_equal(found, image.repeat(32 // side, 0).repeat(32 // side, 1))


def _ldm(shape, flips=False):
    return random_patch(shape, use_hflip=flips, use_rot=flips, crop_pad_size=64, crop="ldm")


@pytest.mark.parametrize("shape", [(300, 451), (451, 300), (300, 300)])
def test_sides_and_places_are_uniform(shape):
    random.seed(5)
    regions = np.array([_ldm(shape, flips=True).region for _ in range(4000)])
    top, left, height, width = regions.T
    assert np.array_equal(height, width)
    assert height.min() == 150 and height.max() == 299  # int(u * 300), u in [0.5, 1)
    assert kstest((height - 150 + 0.5) / 150, "uniform").statistic < 0.025
    for place, whole in ((top, shape[0]), (left, shape[1])):
        room = whole - height
        assert place.min() == 0 and (place <= room).all() and (place == room).any()
        assert kstest((place + 0.5) / (room + 1), "uniform").statistic < 0.03


def test_plain_draws_what_it_drew_before():
    """Left out, the crop is BasicSR's: the same draws, and nothing drawn beside them."""
    for shape in ((300, 451), (100, 30)):
        random.seed(3)
        patch = random_patch(shape, use_hflip=True, use_rot=False, crop_pad_size=64)
        after = random.random()
        random.seed(3)
        flip, top = random.random() < 0.5, random.randint(0, shape[0] - 64)
        left = random.randint(0, max(shape[1], 64) - 64)
        size = min(shape[0], 64), min(shape[1], 64)
        assert patch == Patch((flip, False, False), (top, shape[1] - left - size[1] if flip else left, *size), 64)
        assert random.random() == after


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (2, 3), (7, 3)])
def test_tiny_images_are_enlarged(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    file = CroppableImage(cv2.imencode(".png", image)[1].tobytes(), "tiny")
    random.seed(0)
    values = set((image[..., ::-1].astype(np.float32) / 255).ravel().tolist())
    for _ in range(20):
        patch = _ldm(shape, flips=True)
        found = patch.of(file)
        assert found.shape == (3, 64, 64) and bool(torch.isfinite(found).all())
        if patch.region[2] in (1, 2):  # 64 is a multiple: pixels repeated
            assert set(found.unique().tolist()) <= values
