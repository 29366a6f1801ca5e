from prismsr.utils.colour_fix import adain, colour_fixed, low_frequencies, wavelet

import pytest
import torch
from torch.nn import functional as F


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(2, 3, 40, 56, generator=generator, dtype=torch.float64) for _ in range(2)]


def test_adain_has_the_mean_and_deviation_of_the_source(images):
    image, source = images
    result = adain(image * 0.3 + 0.5, source, eps=0)
    for own, wanted in zip(torch.std_mean(result, (2, 3)), torch.std_mean(source, (2, 3)), strict=True):
        assert torch.allclose(own, wanted)


def test_a_flat_image_is_no_division_by_zero():
    assert torch.isfinite(adain(torch.zeros(1, 3, 8, 8), torch.rand(1, 3, 8, 8))).all()


def test_wavelet_of_an_image_with_itself_is_the_image(images):
    assert torch.allclose(wavelet(images[0], images[0]), images[0])


def test_wavelet_takes_a_shift_of_colour_away(images):
    image = images[0]
    assert torch.allclose(wavelet(image + 0.2, image), image)


def test_low_frequencies_equal_the_two_dimensional_kernel(images):
    line = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64) / 4
    kernel = torch.outer(line, line).expand(3, 1, 3, 3)
    expected = images[0]
    for step in (1, 2, 4):
        padded = F.pad(expected, (step,) * 4, mode="replicate")
        expected = F.conv2d(padded, kernel, dilation=step, groups=3)
    assert torch.allclose(low_frequencies(images[0], 3), expected)


def test_none_leaves_the_image(images):
    assert colour_fixed(images[0], images[1], "none") is images[0]
    assert not torch.equal(colour_fixed(images[0], images[1], "wavelet"), images[0])
