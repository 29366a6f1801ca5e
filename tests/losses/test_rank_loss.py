from copy import deepcopy

from prismsr.archs.ranker_vgg_arch import RankerVGG
from prismsr.losses.rank_loss import RankLoss
from prismsr.utils.errors import UserError
from prismsr.utils.weights.needs import needs_of

import pytest
import torch
from basicsr.losses import build_loss
from torch import nn
from wave_case import set_waves, wave_image

FIGURE = 0.029396390420160602


@pytest.fixture
def ranker(tmp_path):
    torch.manual_seed(0)
    net = RankerVGG(num_feat=2)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, 0.2)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    torch.save(net.state_dict(), tmp_path / "ranker.pth")
    return net, str(tmp_path / "ranker.pth")


def test_figure_of_the_release(tmp_path):
    torch.save(set_waves(RankerVGG()).state_dict(), tmp_path / "ranker.pth")
    loss = RankLoss(str(tmp_path / "ranker.pth")).double()
    assert loss(wave_image(2, 3, 64, 64)).item() == pytest.approx(FIGURE, rel=1e-6)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_sum_over_the_batch_in_either_mode_of_batch_norm(ranker, mode):
    net, weights = ranker
    loss = build_loss({"type": "RankLoss", "weights": weights, "mode": mode, "loss_weight": 2.0, "num_feat": 2})
    nn.ModuleDict({"l": loss}).train(mode == "eval")  # what the owner does is no matter
    sr = torch.rand(3, 3, 40, 40)
    reference = deepcopy(net).train(mode == "train")
    expected = 2 * sum(1 / (1 + torch.exp(-score)) for score in reference(sr))
    torch.testing.assert_close(loss(sr), expected.squeeze())
    torch.testing.assert_close(loss(sr), expected.squeeze())  # running statistics, which it updates, do not count
    assert loss(sr[:2]).item() != pytest.approx(loss(sr[1:]).item(), rel=1e-6)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_gradient_goes_through_the_frozen_ranker(ranker, mode):
    torch.manual_seed(1)
    loss = RankLoss(ranker[1], mode=mode, num_feat=2, loss_weight=1.0).double()
    sr = torch.rand(2, 3, 32, 32, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(sr), sr)
    direction = torch.randn_like(sr)
    with torch.no_grad():
        slope = (loss(sr + 1e-6 * direction) - loss(sr - 1e-6 * direction)) / 2e-6
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=1e-4)
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_without_gradient_it_is_a_figure_for_the_log(ranker):
    sr = torch.rand(2, 3, 32, 32).requires_grad_()
    with_gradient, without = (RankLoss(ranker[1], num_feat=2, gradient=gradient)(sr) for gradient in (True, False))
    assert with_gradient.requires_grad and not without.requires_grad
    assert with_gradient.item() == without.item() > 0


def test_the_file_is_told_and_has_to_fit(ranker):
    entry = {"type": "RankLoss", "weights": ranker[1]}
    needs = needs_of({"train": {"losses": {"l_g_rank": entry}}})
    assert [(need.what, need.where) for need in needs] == [(f"file:{ranker[1]}", "train.losses.l_g_rank.weights")]
    with pytest.raises(UserError, match="conv0_0"):
        build_loss(entry)
