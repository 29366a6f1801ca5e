"""RankSRGAN's SRResNet: figures and names of the release."""

from prismsr.archs.srresnet_arch import SRResNet

import pytest
import torch
from torch.nn import functional as F
from wave_case import assert_figures, set_waves, wave_image


def test_gives_the_figures_of_the_release():
    net = set_waves(SRResNet(num_feat=8, num_block=2)).eval()
    figures = {"sum": 18.48954901, "sum_abs": 54.77291374, "first": -0.01295311315, "last": 0.02320239727}
    assert_figures(net(wave_image(1, 3, 8, 10)), (1, 3, 32, 40), **figures)


def test_parameters_and_names_of_the_release():
    with torch.device("meta"):
        state = SRResNet().state_dict()
    layers = [f"recon_trunk.{block}.conv{conv}" for block in range(16) for conv in (1, 2)]
    layers += ["conv_first", "LRconv", "upconv1", "upconv2", "HRconv", "conv_last"]
    assert state.keys() == {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    assert sum(value.numel() for value in state.values()) == 1_554_499


@pytest.mark.parametrize("upscale", [2, 3])
def test_smaller_scales_have_one_shuffle(upscale):
    net = set_waves(SRResNet(1, 2, num_feat=4, num_block=1, upscale=upscale))
    image, conv = wave_image(1, 1, 5, 3), dict(net.named_modules())
    x = conv["conv_first"](image)
    x = x + net.LRconv(x + net.recon_trunk[0].conv2(net.recon_trunk[0].conv1(x).clamp(min=0)))
    x = net.HRconv(F.pixel_shuffle(net.upconv1(x), upscale).clamp(min=0))
    torch.testing.assert_close(net(image), net.conv_last(x.clamp(min=0)))
    assert "upconv2.weight" not in net.state_dict()


def test_begins_with_small_weights():
    torch.manual_seed(0)
    net = SRResNet(num_feat=32, num_block=1)
    assert net.HRconv.weight.detach().std() == pytest.approx(0.1 * (2 / (32 * 9)) ** 0.5, rel=0.05)
    assert not net.conv_last.bias.any()
    assert net.LRconv.bias.any()  # torch's own


def test_another_scale_is_an_error():
    with pytest.raises(ValueError, match="upscale is 8; allowed: 2, 3, 4"):
        SRResNet(upscale=8)
