import math

from prismsr.losses.adversarial_loss import AdversarialLoss
from prismsr.losses.views import show_gradients, show_textured

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


@pytest.mark.usefixtures("double")
def test_standard_gan(game):
    sr, gt, net_d = game
    loss = AdversarialLoss(loss_weight=0.1)
    assert loss(sr, gt, {"d": net_d}).item() == pytest.approx(0.1 * _bce(net_d(sr), True), rel=1e-10)
    figures = loss.discriminator_backward(sr, gt, net_d)
    assert figures["real"].item() == pytest.approx(_bce(net_d(gt), True), rel=1e-10)
    assert figures["fake"].item() == pytest.approx(_bce(net_d(sr), False), rel=1e-10)


@pytest.mark.usefixtures("double")
def test_relativistic_average_gan(game):
    sr, gt, net_d = game
    loss = AdversarialLoss(relativistic=True, loss_weight=5e-3)
    real, fake = net_d(gt).detach(), net_d(sr).detach()
    expected = 5e-3 * 0.5 * (_bce(real - fake.mean(), False) + _bce(fake - real.mean(), True))
    assert loss(sr, gt, {"d": net_d}).item() == pytest.approx(expected, rel=1e-10)
    figures = loss.discriminator_backward(sr, gt, net_d)
    assert figures["real"].item() == pytest.approx(0.5 * _bce(real - fake.mean(), True), rel=1e-10)
    assert figures["fake"].item() == pytest.approx(0.5 * _bce(fake - real.mean(), False), rel=1e-10)


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


@pytest.mark.parametrize("relativistic", [False, True])
def test_the_caller_may_run_the_backward_pass(game, relativistic):
    sr, gt, net_d = game
    loss = AdversarialLoss(relativistic=relativistic)
    loss.discriminator_backward(sr, gt, net_d)
    expected = net_d.weight.grad
    net_d.weight.grad = None
    seen = []

    def backward(value):
        seen.append(value.item())
        (4 * value).backward()

    figures = loss.discriminator_backward(sr, gt, net_d, backward)
    assert seen == [figures["real"].item(), figures["fake"].item()]
    torch.testing.assert_close(net_d.weight.grad, 4 * expected)


@pytest.mark.parametrize("relativistic", [False, True])
def test_logits_are_compared_in_float32(game, relativistic):
    sr, gt, net_d = game
    loss = AdversarialLoss(relativistic=relativistic)
    exact, exact_figures = loss(sr, gt, {"d": net_d}), loss.discriminator_backward(sr, gt, net_d)
    gradient = net_d.weight.grad.clone()
    net_d.weight.grad = None
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        value, figures = loss(sr, gt, {"d": net_d}), loss.discriminator_backward(sr, gt, net_d)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=0.01)
    for name, figure in figures.items():
        assert figure.dtype == torch.float32
        assert figure.item() == pytest.approx(exact_figures[name].item(), rel=0.03, abs=0.003)
    torch.testing.assert_close(net_d.weight.grad, gradient, rtol=0.1, atol=0.02)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("relativistic", [False, True])
@pytest.mark.parametrize(
    ("view", "options", "show"),
    [
        ("gradient", None, show_gradients),
        ("textured", {"size": 3, "std": 0.25}, lambda sr, gt: show_textured(sr, gt, size=3, std=0.25)),
    ],
)
def test_a_view_is_what_both_sides_see(game, view, options, show, relativistic):
    sr, gt, net_d = game
    gt[..., :4] = 0.5  # flat
    loss = AdversarialLoss(relativistic=relativistic, view=view, view_options=options)
    whole = AdversarialLoss(relativistic=relativistic)
    assert loss(sr, gt, {"d": net_d}) == whole(*show(sr, gt), {"d": net_d}) != whole(sr, gt, {"d": net_d})
    found = []
    for term, images in ((loss, (sr, gt)), (whole, show(sr, gt))):
        figures = term.discriminator_backward(*images, net_d)
        found.append((figures, net_d.weight.grad))
        net_d.weight.grad = None
    assert found[0][0] == found[1][0] and torch.equal(found[0][1], found[1][1])


def test_views_are_computed_in_float32(game):
    sr, gt, net_d = game
    seen = []
    net_d.register_forward_pre_hook(lambda net, images: seen.append(images[0].dtype))
    loss = AdversarialLoss(view="textured")
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        loss(sr.bfloat16(), gt, {"d": net_d})
        loss.discriminator_backward(sr, gt, net_d)
    assert set(seen) == {torch.float32}
