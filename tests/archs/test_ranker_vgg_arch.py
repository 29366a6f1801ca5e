"""RankSRGAN's Ranker: figures and names of the release."""

from prismsr.archs.ranker_vgg_arch import RankerVGG

import pytest
import torch
from wave_case import assert_figures, set_waves, wave_image


@pytest.mark.parametrize(
    ("training", "figures"),
    [
        (False, {"sum": -0.08040643099, "first": -0.04020321549, "last": -0.04020321549}),
        (True, {"sum": -0.08049214029, "first": -0.04024603523, "last": -0.04024610506}),
    ],
)
@torch.no_grad()
def test_gives_the_figures_of_the_release(training, figures):
    net = set_waves(RankerVGG()).train(training)
    scores = net(wave_image(2, 3, 64, 64))
    assert_figures(scores, (2, 1), **figures)
    if training:
        assert 0.03 * torch.sigmoid(scores).sum() == pytest.approx(0.029396390420160602, rel=1e-12)


def test_parameters_and_names_of_the_release():
    with torch.device("meta"):
        state = RankerVGG().state_dict()
        net = RankerVGG()
    assert sum(parameter.numel() for parameter in net.parameters()) == 13_734_281
    assert len(state) == 69
    assert {"conv0_0.bias", "conv4_1.bias", "bn4_1.running_var", "classifier.0.weight", "classifier.2.bias"} <= {*state}
    assert "bn0_0.weight" not in state


def test_takes_any_size_from_32_pixels_on():
    net = RankerVGG(num_feat=2)
    assert net(torch.rand(2, 3, 32, 50)).shape == (2, 1)
    with pytest.raises(ValueError, match=r"\(31, 64\)"):
        net(torch.rand(2, 3, 31, 64))
