import cmath

from prismsr.tools.reporting.grid import calculate_grid, measure_grid

import numpy as np
import pytest


def transform(tile, row, column):
    """Return one frequency of a tile's DFT, by its sum."""
    size = len(tile)
    terms = (
        value * cmath.exp(-2j * cmath.pi * (row * y + column * x) / size)
        for y, line in enumerate(tile)
        for x, value in enumerate(line)
    )
    return sum(terms)


def test_energy_by_sums():
    """One tile of 64 pixels and a period of 2: three frequencies, each against eight neighbours along the axes."""
    image = np.random.default_rng(0).normal(scale=9, size=(64, 64)) + 5 * (np.arange(64) % 2)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    tile = image * hann * hann[:, None]
    floor = sum((one * other) ** 2 for one in hann for other in hann)

    def energy(row, column):
        return abs(transform(tile.tolist(), row % 64, column % 64)) ** 2 + floor

    ratios = []
    for row, column in ((0, 32), (32, 0), (32, 32)):
        steps = (-4, -3, -2, 2, 3, 4)
        near = [energy(row + step, column) for step in steps] + [energy(row, column + step) for step in steps]
        ratios.append(energy(row, column) / np.mean(near))
    assert measure_grid(image, 2) == pytest.approx(10 * np.log10(np.mean(ratios)))


def test_a_grid_is_told_from_photographs(photograph):
    gt = photograph[: photograph.shape[0] // 4 * 4, : photograph.shape[1] // 4 * 4]
    lines = (np.arange(gt.shape[1]) % 4 == 0)[:, None] * 8.0
    clean, coarse, fine = (calculate_grid(gt + added, gt, crop_border=4) for added in (0, lines, lines / 2))
    assert abs(clean) < 1.5 and clean + 3 < fine < coarse - 3


def test_images_too_small():
    with pytest.raises(ValueError, match="64"):
        measure_grid(np.zeros((63, 99)))
