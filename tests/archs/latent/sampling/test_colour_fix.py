from prismsr.archs.latent.sampling import colour_fix
from prismsr.archs.latent.sampling.colour_fix import adain, fix_colours, low_frequencies, moments

import pytest
import torch
from torch.nn import functional as F


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(2, 3, 150, 56, generator=generator, dtype=torch.float64) for _ in range(2)]


def rows_of(image):
    return lambda top, bottom: image[..., top:bottom, :]


def fixed(image, source, kind):
    result = image.clone()
    fix_colours(result, rows_of(source), kind)
    return result


def test_adain_has_the_mean_and_deviation_of_the_source(images):
    image, source = images
    result = image * 0.3 + 0.5
    adain(result, rows_of(source), eps=0)
    for own, wanted in zip(torch.std_mean(result, (2, 3)), torch.std_mean(source, (2, 3)), strict=True):
        assert torch.allclose(own, wanted)


def test_adain_adds_its_small_number_to_both_variances(images):
    image, source = images[0] / 1000, images[1] / 200
    (variance, mean), (wanted, centre) = (torch.var_mean(part, (2, 3), keepdim=True) for part in (image, source))
    expected = (image - mean) * ((wanted + 1e-5) / (variance + 1e-5)).sqrt() + centre
    torch.testing.assert_close(fixed(image, source, "adain"), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [(8, 8), (1, 1)])
def test_a_flat_image_is_no_division_by_zero(size):
    image, source = torch.zeros(1, 3, *size), torch.rand(1, 3, *size)
    fix_colours(image, rows_of(source), "adain")
    assert torch.isfinite(image).all()
    if size == (1, 1):
        assert torch.allclose(image, source)


def test_moments_are_those_of_the_whole(images):
    mean, variance = moments(rows_of(images[0]), images[0].shape[-2])
    expected = torch.var_mean(images[0], (2, 3), keepdim=True)
    assert torch.allclose(variance, expected[0]) and torch.allclose(mean, expected[1])


def test_wavelet_of_an_image_with_itself_is_the_image(images):
    assert torch.allclose(fixed(images[0], images[0], "wavelet"), images[0])


def test_wavelet_takes_a_shift_of_colour_away(images):
    assert torch.allclose(fixed(images[0] + 0.2, images[0], "wavelet"), images[0])


@pytest.mark.parametrize("band", [7, 64, 1000])
def test_wavelet_in_bands_is_that_of_the_whole(images, band, monkeypatch):
    monkeypatch.setattr(colour_fix, "BAND", band)
    image, source = images
    expected = image - low_frequencies(image) + low_frequencies(source)
    assert torch.allclose(fixed(image, source, "wavelet"), expected)


def blurred(image, steps):
    """Blur by (1, 2, 1) x (1, 2, 1) / 16 with these dilations, as a convolution."""
    line = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64) / 4
    kernel = torch.outer(line, line).expand(3, 1, 3, 3)
    for step in steps:
        padded = F.pad(image, (step,) * 4, mode="replicate")
        image = F.conv2d(padded, kernel, dilation=step, groups=3)
    return image


def test_low_frequencies_equal_the_two_dimensional_kernel(images):
    assert torch.allclose(low_frequencies(images[0], 3), blurred(images[0], (1, 2, 4)))


def test_wavelet_has_the_five_levels_of_diffbir(images):
    image, source = images
    steps = (1, 2, 4, 8, 16)
    assert torch.allclose(fixed(image, source, "wavelet"), image - blurred(image, steps) + blurred(source, steps))


def test_none_leaves_the_image(images):
    assert torch.equal(fixed(*images, "none"), images[0])
    assert not torch.equal(fixed(*images, "wavelet"), images[0])
