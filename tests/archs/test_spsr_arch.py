"""SPSRNet: figures and names of the release, its two outputs, its shared convolution."""

from prismsr.archs.spsr_arch import GradientOperator, SPSRNet
from prismsr.losses.gradient_loss import gradient_map
from prismsr.utils.weights.files import WeightsError, load_strictly

import pytest
import torch
from wave_case import assert_figures, set_waves, wave_image

TINY = {"num_feat": 4, "num_block": 20}


@pytest.fixture(scope="module")
def net():
    return set_waves(SPSRNet(**TINY))


@torch.no_grad()
def test_gives_the_figures_of_the_release(net):
    sr, branch = net.train()(wave_image(1, 3, 6, 8))
    figures = {"sum": -73.21335189, "sum_abs": 73.21335189, "first": -0.01723784493, "last": -0.04450563944}
    assert_figures(sr, (1, 3, 24, 32), **figures)
    figures = {"sum": -19.11459446, "sum_abs": 44.8726626, "first": -0.03110006856, "last": 0.01728337249}
    assert_figures(branch, (1, 3, 24, 32), **figures)


def test_gradient_gives_the_figures_of_the_release():
    image = wave_image(1, 3, 6, 8)
    gradient = GradientOperator().double()(image)
    assert_figures(gradient, (1, 3, 6, 8), sum=67.16645092, first=0.74256675, last=1.412900367)
    torch.testing.assert_close(gradient, gradient_map(image))  # what the losses compare


@torch.no_grad()
def test_returns_sr_alone_in_evaluation(net):
    image = wave_image(1, 3, 5, 7)
    sr, branch = net.train()(image)
    assert SPSRNet.OUTPUTS == ("sr", "sr_branch")
    assert branch.shape == sr.shape
    assert torch.equal(net.eval()(image), sr)


def test_parameters_and_names_of_the_release():
    with torch.device("meta"):
        net = SPSRNet()
    state, parameters = net.state_dict(), list(net.parameters())
    assert len(state) == 884
    assert sum(parameter.numel() for parameter in parameters) == 24_796_248
    assert sum(parameter.numel() for parameter in parameters if parameter.requires_grad) == 24_796_230
    of_parts = {"model": 16_696_256, "b_block_1": 1_493_760, "b_concat_4": 73_792, "b_module": 147_712, "conv_w": 195}
    for name, number in of_parts.items():
        assert sum(parameter.numel() for parameter in getattr(net, name).parameters()) == number
    names = ["model.0.weight", "model.1.sub.22.RDB3.conv5.0.bias", "model.1.sub.23.weight", "model.3.bias"]
    names += ["model.6.bias", "model.8.weight", "HR_conv0_new.0.weight", "HR_conv1_new.0.bias", "b_fea_conv.0.weight"]
    names += ["b_module.1.weight", "b_module.4.weight", "b_module.6.weight", "b_module.8.bias", "b_LR_conv.0.bias"]
    names += ["get_g_nopadding.weight_h", "get_g_nopadding.weight_v", "f_concat.0.weight", "f_HR_conv1.0.weight"]
    assert {*names} <= {*state}


@pytest.mark.parametrize("missing", ["HR_conv0_new.0.", "model.8."])
def test_shared_convolution_loads_from_one_name_and_is_saved_under_both(net, missing):
    state = {key: value for key, value in net.state_dict().items() if not key.startswith(missing)}
    loaded = SPSRNet(**TINY).double()
    load_strictly(loaded, state, "x.pth")
    assert len(state) == len(net.state_dict()) - 2
    torch.testing.assert_close(loaded.state_dict(), net.state_dict())
    assert loaded.HR_conv0_new[0] is loaded.model[8]


def test_other_missing_weights_are_errors(net):
    state = net.state_dict()
    del state["conv_w.0.bias"]
    with pytest.raises(WeightsError, match=r"missing: conv_w\.0\.bias"):
        load_strictly(SPSRNet(**TINY), state, "x.pth")


@pytest.mark.parametrize("upscale", [2, 3])
def test_other_scales(upscale):
    net = SPSRNet(1, 2, num_feat=2, num_block=20, upscale=upscale)
    sr, branch = net(torch.rand(1, 1, 5, 3))
    assert sr.shape == branch.shape == (1, 2, 5 * upscale, 3 * upscale)
    assert net.HR_conv0_new[0] is net.model[5]


def test_every_trainable_weight_learns(net):
    net.train().zero_grad()
    sr, branch = net(wave_image(1, 3, 6, 4))
    (sr.square().mean() + branch.square().mean()).backward()
    assert all((parameter.grad is not None) == parameter.requires_grad for parameter in net.parameters())


def test_too_few_blocks_are_an_error():
    with pytest.raises(ValueError, match=r"num_block 19 \(at least 20\)"):
        SPSRNet(num_block=19)
