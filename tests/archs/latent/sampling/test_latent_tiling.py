from prismsr.archs.latent.sampling.latent_tiling import blend_windows, split_cores, split_map

import pytest
import torch
from torch.nn import functional as F

ROUNDING = 16 * 2**-24  # of a sum of 4 tiles, each below 1 and weighed by two shares in float32


def test_blending_is_the_mean_by_products_of_weights():
    """Against sums and weights of the whole map, pixel by pixel."""
    generator = torch.Generator().manual_seed(0)
    parts = {
        (w.rows.start, w.columns.start): torch.rand(1, 2, 30, 30, generator=generator) for w in split_map(40, 50, 16, 6)
    }
    result = blend_windows(lambda w: parts[w.rows.start, w.columns.start], 40, 50, 16, 6, factor=2)
    axis = torch.exp(-(((torch.arange(30).double() + 0.5) / 30 - 0.5) ** 2) / 0.02)  # tiles of 15, twice as large
    weights = torch.outer(axis, axis)
    total, norm = torch.zeros(1, 2, 80, 100, dtype=torch.float64), torch.zeros(80, 100, dtype=torch.float64)
    for (row, column), part in parts.items():
        for y in range(30):
            for x in range(30):
                total[..., 2 * row + y, 2 * column + x] += weights[y, x] * part[..., y, x]
                norm[2 * row + y, 2 * column + x] += weights[y, x]
    assert len(parts) == 4 * 5 and torch.allclose(result.double(), total / norm, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(40, 70, (16, 15)), (16, 33, (16, 14)), (10, 12, (10, 12))]
)  # (70 + 5 * 4) / 6 and (33 + 2 * 4) / 3
def test_windows_cover_the_map_and_end_at_its_border(height, width, size):
    seen = torch.zeros(height, width)
    for window in split_map(height, width, 16, 4):
        part = window.of(seen)
        assert part.shape == size
        part += 1
    assert seen.min() >= 1


@pytest.mark.parametrize(("height", "width"), [(40, 70), (16, 33), (10, 12)])
def test_cores_cover_the_map_once_and_lie_in_the_middle_of_their_tiles(height, width):
    seen = torch.zeros(height, width)
    for window, core in zip(split_map(height, width, 16, 4), split_cores(height, width, 16, 4), strict=True):
        core.of(window.of(seen)).add_(1)
        for part, place, length in zip(core, window, (height, width), strict=True):
            assert part.start >= 2 or place.start == 0
            assert place.start + part.stop <= place.stop - 2 or place.stop == length
    assert (seen == 1).all()


def test_blending_what_does_not_depend_on_the_tile_gives_it_back():
    maps = torch.rand(2, 3, 40, 50)
    assert torch.allclose(blend_windows(lambda window: window.of(maps), 40, 50, 16, 4), maps, rtol=0, atol=ROUNDING)


def test_one_tile_is_the_whole_map_itself():
    maps = torch.rand(1, 3, 16, 12)
    assert blend_windows(lambda window: window.of(maps) * 2, 16, 12, 16, 8).equal(maps * 2)


def test_a_local_operation_in_tiles_is_that_of_the_whole_away_from_their_borders():
    maps = torch.rand(1, 1, 48, 48)

    def blurred(image):
        return F.avg_pool2d(F.pad(image, (1,) * 4), 3, stride=1)

    result = blend_windows(lambda window: blurred(window.of(maps)), 48, 48, 24, 12)
    difference = (result - blurred(maps)).abs()
    inner = torch.zeros(48, dtype=torch.bool)
    inner[13:23] = inner[25:35] = True  # no tile of 0-24, 12-36 or 24-48 ends here
    assert difference[0, 0][inner][:, inner].max() < 1e-6
    assert difference.max() < 0.05  # at the borders a Gaussian weight makes the wrong value small


def test_wrong_overlap_is_refused():
    with pytest.raises(ValueError, match="at most half"):
        split_map(64, 64, 16, 9)
