from prismsr.data.degradation.noise import add_gaussian_noise, add_poisson_noise, count_levels

import pytest
import torch
from basicsr.data.degradations import random_add_gaussian_noise_pt, random_add_poisson_noise_pt


@pytest.fixture
def images():
    """Of many levels, of few, of one, and beyond [0, 1]."""
    torch.manual_seed(0)
    many = torch.rand(3, 40, 33)
    return torch.stack([many, (many * 4).round() / 4, torch.full_like(many, 0.3), many * 1.2 - 0.1])


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("ours", "theirs", "bounds"),
    [
        (add_gaussian_noise, random_add_gaussian_noise_pt, (1, 30)),
        (add_poisson_noise, random_add_poisson_noise_pt, (0.05, 3)),
    ],
)
def test_same_bits_and_draws_as_basicsr(images, ours, theirs, bounds, grey):
    for seed in range(4):
        torch.manual_seed(seed)
        expected = theirs(images, bounds, gray_prob=grey, clip=True, rounds=False)
        expected_next = torch.rand(1)
        torch.manual_seed(seed)
        assert torch.equal(ours(images, bounds, grey), expected)
        assert torch.equal(torch.rand(1), expected_next)


def test_levels_are_those_of_unique(images):
    levels = (images * 255).round().clamp(0, 255)
    assert count_levels(levels).tolist() == [len(image.unique()) for image in levels]
