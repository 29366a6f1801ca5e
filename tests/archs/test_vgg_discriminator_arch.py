"""The VGG-style discriminators: figures and names of the releases, and BasicSR's own."""

from prismsr.archs.vgg_discriminator_arch import VGGDiscriminator

import pytest
import torch
from basicsr.archs.discriminator_arch import VGGStyleDiscriminator
from wave_case import assert_figures, set_waves, wave_image


@pytest.mark.parametrize(
    ("size", "width", "figures"),
    [
        (296, 64, {"sum": -0.1893405834, "first": -0.09465409306, "last": -0.09468649033}),
        (192, 8, {"sum": -0.2147971544, "first": -0.1073861538, "last": -0.1074110006}),
    ],
)
@torch.no_grad()
def test_gives_the_figures_of_the_releases(size, width, figures):
    net = set_waves(VGGDiscriminator(num_feat=width, input_size=size))
    image = torch.cat([wave_image(1, 3, size, size), wave_image(1, 3, size, size, phase=1)])
    assert_figures(net(image), (2, 1), **figures)


@pytest.mark.parametrize(
    ("size", "width", "parameters", "keys"),
    [
        (128, 64, 14_499_401, 60),
        (192, 64, 20_696_649, 72),
        (192, 32, 5_291_913, 72),
        (256, 64, 21_055_049, 72),
        (296, 64, 17_827_401, 60),
    ],
)
def test_parameters_of_the_releases(size, width, parameters, keys):
    with torch.device("meta"):
        net = VGGDiscriminator(num_feat=width, input_size=size)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    assert len(net.state_dict()) == keys


@pytest.mark.parametrize("size", [128, 256])
def test_is_the_one_of_basicsr(size):
    torch.manual_seed(0)
    theirs, ours = VGGStyleDiscriminator(3, 4, size), VGGDiscriminator(3, 4, size)
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(2, 3, size, size)
    torch.testing.assert_close(ours(image), theirs(image))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())  # running statistics


def test_other_sizes_are_errors():
    with pytest.raises(ValueError, match="input_size is 96; allowed: 128, 192, 256, 296"):
        VGGDiscriminator(input_size=96)
    with pytest.raises(ValueError, match=r"The images are \(128, 96\); input_size is 128"):
        VGGDiscriminator(num_feat=2)(torch.zeros(1, 3, 128, 96))
