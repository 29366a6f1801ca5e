import math

from prismsr.losses.psnr_loss import PSNRLoss, psnr_loss

import pytest
import torch
from basicsr.metrics.psnr_ssim import calculate_psnr_pt


@pytest.fixture
def pair(photograph_tensor):
    gt = torch.cat([photograph_tensor[:, :, 40:72, 100:148], photograph_tensor[:, :, 90:122, 200:248]]).double()
    torch.manual_seed(0)
    noise = torch.randn_like(gt) * torch.tensor([0.02, 0.1]).view(2, 1, 1, 1)  # images of unlike quality
    return gt + noise, gt


def test_equals_a_loop_over_images(pair):
    sr, gt = pair
    expected = 0.0
    for one, other in zip(sr, gt, strict=True):
        differences = (one - other).flatten().tolist()
        expected += 10 * math.log10(sum(d * d for d in differences) / len(differences) + 1e-8) / 2
    assert psnr_loss(sr, gt).item() == pytest.approx(expected, rel=1e-10)
    assert PSNRLoss(loss_weight=0.5)(sr, gt).item() == pytest.approx(0.5 * expected, rel=1e-10)


def test_is_the_negative_psnr(pair):
    sr, gt = pair
    psnr = calculate_psnr_pt(sr, gt, crop_border=0).mean().item()
    assert psnr_loss(sr, gt).item() == pytest.approx(-psnr, abs=1e-3)


def test_gradient():
    torch.manual_seed(0)
    sr, gt = (
        torch.rand(2, 1, 3, 3, dtype=torch.float64, requires_grad=True),
        torch.rand(2, 1, 3, 3, dtype=torch.float64),
    )
    assert torch.autograd.gradcheck(lambda x: PSNRLoss(2.0)(x, gt), [sr])


def test_equal_images_have_a_bound_and_a_finite_gradient(pair):
    gt = pair[1]
    sr = gt.clone().requires_grad_()
    value = psnr_loss(sr, gt)
    value.backward()
    assert value.item() == pytest.approx(-80, abs=1e-3)
    assert torch.equal(sr.grad, torch.zeros_like(gt))
