from prismsr.archs.latent.sampling.enlarged_image import EnlargedImage, enlarge
from prismsr.archs.latent.sampling.latent_tiling import Window
from prismsr.utils.padding import pad_to_windows

import pytest
import torch

SIZES = [
    ((13, 17), (52, 68)),
    ((40, 30), (120, 90)),
    ((20, 21), (20, 21)),
    ((6, 9), (64, 96)),
    ((128, 100), (1024, 800)),
    ((2, 2), (2, 2)),
    ((2, 9), (3, 18)),
]


@pytest.mark.parametrize(("small", "size"), SIZES)
def test_windows_are_parts_of_the_whole_mirrored_to_multiples(small, size):
    lq = torch.rand(2, 3, *small, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    source = EnlargedImage(lq, size, 8)
    whole = pad_to_windows(enlarge(lq, size), 8)
    assert source.padded == whole.shape[-2:] and source.size == size
    height, width = source.padded
    for window in (
        Window(slice(0, height), slice(0, width)),
        Window(slice(height // 3, height), slice(width // 2, width - 1)),
    ):
        assert torch.allclose(source.window(window), window.of(whole))
    assert torch.equal(source.rows(1, size[0]), source.window(Window(slice(1, size[0]), slice(0, size[1]))))


def test_a_single_pixel_is_repeated():
    source = EnlargedImage(torch.full((1, 3, 1, 1), 0.25), (1, 1), 8)
    assert torch.allclose(source.window(Window(slice(0, 8), slice(0, 8))), torch.full((1, 3, 8, 8), 0.25))
