import math

from prismsr.losses.adversarial_loss import AdversarialLoss

import pytest
import torch
from torch import nn


@pytest.fixture
def game():
    torch.manual_seed(1)
    net_d = nn.Conv2d(3, 1, 3)
    return torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), net_d


def _bce(logits, target):
    total = 0.0
    for logit in logits.flatten().tolist():
        probability = 1 / (1 + math.exp(-logit))
        total -= math.log(probability if target else 1 - probability)
    return total / logits.numel()


def test_standard_gan(game):
    sr, gt, net_d = game
    loss = AdversarialLoss(loss_weight=0.1)
    assert loss(sr, gt, {"d": net_d}).item() == pytest.approx(0.1 * _bce(net_d(sr), True), rel=1e-5)
    figures = loss.discriminator_backward(sr, gt, net_d)
    assert figures["real"].item() == pytest.approx(_bce(net_d(gt), True), rel=1e-5)
    assert figures["fake"].item() == pytest.approx(_bce(net_d(sr), False), rel=1e-5)


def test_relativistic_average_gan(game):
    sr, gt, net_d = game
    loss = AdversarialLoss(relativistic=True, loss_weight=5e-3)
    real, fake = net_d(gt).detach(), net_d(sr).detach()
    expected = 5e-3 * 0.5 * (_bce(real - fake.mean(), False) + _bce(fake - real.mean(), True))
    assert loss(sr, gt, {"d": net_d}).item() == pytest.approx(expected, rel=1e-5)
    figures = loss.discriminator_backward(sr, gt, net_d)
    assert figures["real"].item() == pytest.approx(0.5 * _bce(real - fake.mean(), True), rel=1e-5)
    assert figures["fake"].item() == pytest.approx(0.5 * _bce(fake - real.mean(), False), rel=1e-5)


def test_discriminator_side_leaves_the_generator_alone(game):
    sr, gt, net_d = game
    sr.requires_grad_()
    AdversarialLoss(relativistic=True).discriminator_backward(sr, gt, net_d)
    assert sr.grad is None
    assert net_d.weight.grad.abs().sum() > 0


def test_names_its_discriminator(game):
    sr, gt, net_d = game
    with pytest.raises(KeyError, match="d_grad"):
        AdversarialLoss(discriminator="d_grad")(sr, gt, {"d": net_d})
