"""HGGT's patch rule against a slow reading of it, and on made-up patches that meet or miss each of its conditions."""

from prismsr.data.prepare.versions.patch_selection import (
    PatchRule,
    is_kept,
    make_image_rng,
    measure_patch,
    place_patches,
    start_limit,
)

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("side", "crop", "limit"), [(2400, 512, 128), (2399, 512, 64), (1200, 512, 64), (1199, 512, 32), (530, 512, 18)]
)
def test_start_of_the_grid_by_side(side, crop, limit):
    assert start_limit(side, crop) == limit


@pytest.mark.parametrize(("height", "width"), [(1404, 2040), (700, 2500), (530, 600)])
def test_corners_lie_on_a_jittered_grid(height, width):
    rule = PatchRule()
    seen = set()
    for seed in range(40):
        corners = place_patches(height, width, rule, make_image_rng(seed, "a"))
        rng = make_image_rng(seed, "a")
        top = int(rng.integers(start_limit(height, 512) + 1))
        left = int(rng.integers(start_limit(width, 512) + 1))
        places = []
        for row in range(top, height, 288):
            for column in range(left, width, 288):
                down, right = rng.integers(-16, 17, size=2).tolist()
                place = max(row + down, 0), max(column + right, 0)
                if place[0] + 512 <= height and place[1] + 512 <= width:
                    places.append(place)
        assert corners == places
        seen.update(corners)
    assert all(0 <= row <= height - 512 and 0 <= column <= width - 512 for row, column in seen)
    assert len(seen) > 20  # other seeds, other places


def test_draws_depend_on_seed_and_image_alone():
    rule = PatchRule(crop=64, step=32)
    first = place_patches(300, 300, rule, make_image_rng(1, "a"))
    assert first == place_patches(300, 300, rule, make_image_rng(1, "a"))
    assert first != place_patches(300, 300, rule, make_image_rng(1, "b"))
    assert first != place_patches(300, 300, rule, make_image_rng(2, "a"))


def test_without_jitter_and_start_it_is_a_plain_grid_and_no_place_comes_twice():
    assert place_patches(64, 64, PatchRule(crop=64, step=32, jitter=0), make_image_rng(0, "a")) == [(0, 0)]
    many = place_patches(60, 60, PatchRule(crop=50, step=1), make_image_rng(0, "a"))
    assert len(many) == len(set(many)) > 20


def figures_by_hand(images):
    """PIL's grey levels, deviation and 4-neighbour Laplacian (mirrored border, cut to 0..255), pixel by pixel."""
    stds, laplacians = [], []
    for image in images:
        blue, green, red = (image[..., channel].astype(int) for channel in range(3))
        grey = (red * 19595 + green * 38470 + blue * 7471 + 32768) // 65536
        height, width = grey.shape
        values = []
        for row in range(height):
            for column in range(width):
                total = -4 * grey[row, column]
                for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                    near = [abs(row + down), abs(column + right)]
                    near = [
                        2 * (side - 1) - place if place >= side else place
                        for place, side in zip(near, grey.shape, strict=True)
                    ]
                    total += grey[near[0], near[1]]
                values.append(min(max(total, 0), 255))
        stds.append(np.sqrt(((grey - grey.mean()) ** 2).mean()))
        laplacians.append(np.mean((np.array(values) - np.mean(values)) ** 2))
    return stds, laplacians


def test_figures_of_a_patch():
    rng = np.random.default_rng(0)
    versions = [rng.integers(0, 256, (12, 15, 3), np.uint8) for _ in range(3)]
    found = measure_patch(versions)
    stds, laplacians = figures_by_hand(versions)
    np.testing.assert_allclose(found.stds, stds)
    np.testing.assert_allclose(found.laplacians, laplacians)
    means = [version.mean() for version in versions]
    assert found.difference == pytest.approx(max(abs(means[0] - means[1]), abs(means[0] - means[2])))
    assert measure_patch(versions[:1]).difference == 0.0


def test_mean_is_taken_before_the_absolute_value():
    flat = np.full((4, 4, 3), 100, np.uint8)
    up_and_down = flat.copy()
    up_and_down[:2] += 50
    up_and_down[2:] -= 50
    assert measure_patch([flat, up_and_down, flat + 3]).difference == pytest.approx(3)


def contrast(amplitude):
    """A smooth ramp: contrast, no detail."""
    ramp = np.linspace(128 - amplitude, 128 + amplitude, 64).astype(np.uint8)
    return np.repeat(np.repeat(ramp[None, :, None], 64, axis=0), 3, axis=2)


def detail(amplitude):
    """A chessboard of single pixels around 128: detail, and as much contrast as its amplitude."""
    board = 128 + amplitude * (1 - 2 * (np.indices((64, 64)).sum(axis=0) % 2))
    return np.repeat(board.astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("versions", "kept"),
    [
        ([contrast(100), contrast(100)], False),  # no detail
        ([detail(20), detail(20)], False),  # too little contrast
        ([contrast(100), detail(20)], False),  # both, but not in one version
        ([detail(60), detail(20)], True),  # the original alone
        ([contrast(100), detail(60)], True),  # an enhanced version alone
    ],
)
def test_one_version_needs_contrast_and_detail(versions, kept):
    assert is_kept(measure_patch(versions), PatchRule()) is kept
    assert is_kept(measure_patch(versions), PatchRule(keep_all=True))


def test_thresholds_are_met_by_equality():
    found = measure_patch([detail(60)])
    exact = PatchRule(std=found.stds[0], laplacian=found.laplacians[0])
    assert is_kept(found, exact)
    assert not is_kept(found, PatchRule(std=found.stds[0] + 1e-9, laplacian=found.laplacians[0]))
    assert not is_kept(found, PatchRule(std=found.stds[0], laplacian=found.laplacians[0] + 1e-9))
