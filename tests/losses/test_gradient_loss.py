import math

from prismsr.losses.branch_loss import BranchLoss
from prismsr.losses.gradient_loss import GradientLoss, gradient_loss, gradient_map

import numpy as np
import pytest
import torch


def _slow_map(image):
    """SPSR's operator on one channel, pixel by pixel, zeros beyond the border."""
    height, width = image.shape
    padded = np.pad(image, 1)
    result = np.empty_like(image)
    for y, x in np.ndindex(height, width):
        v = padded[y + 2, x + 1] - padded[y, x + 1]
        h = padded[y + 1, x + 2] - padded[y + 1, x]
        result[y, x] = math.sqrt(v * v + h * h + 1e-6)
    return result


def test_figures_of_the_release(reference_images):
    sr, gt = reference_images["sr"], reference_images["gt"]
    assert gradient_map(gt).sum().item() == pytest.approx(3294.3318678765, rel=1e-6)
    assert gradient_map(sr).sum().item() == pytest.approx(4585.5153228637, rel=1e-6)
    assert gradient_map(gt)[0, 0, 0, 0].item() == pytest.approx(0.7071074883, rel=1e-6)
    assert gradient_loss(sr, gt).item() == pytest.approx(0.0162657979628, rel=1e-6)


def test_against_loops():
    sr, gt = np.random.default_rng(0).random((2, 2, 3, 5, 6))
    maps = [np.stack([[_slow_map(channel) for channel in image] for image in images]) for images in (sr, gt)]
    both = torch.from_numpy(sr), torch.from_numpy(gt)
    np.testing.assert_allclose(gradient_map(both[0]).numpy(), maps[0], rtol=1e-12)
    squared, absolute = ((maps[0] - maps[1]) ** 2).mean(), np.abs(maps[0] - maps[1]).mean()
    assert GradientLoss(loss_weight=0.01)(*both).item() == pytest.approx(0.01 * squared, rel=1e-12)
    assert GradientLoss(criterion="l1")(*both).item() == pytest.approx(absolute, rel=1e-12)
    of_branch = np.abs(sr - maps[1]).mean()
    assert BranchLoss(loss_weight=0.5)(*both).item() == pytest.approx(0.5 * of_branch, rel=1e-12)
    with pytest.raises(ValueError, match="criterion"):
        gradient_loss(*both, criterion="huber")


@pytest.mark.parametrize("criterion", ["mse", "l1"])
def test_gradient(criterion):
    torch.manual_seed(0)
    sr, gt = torch.rand(2, 1, 2, 4, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: gradient_loss(x, gt, criterion), sr.requires_grad_())


def test_an_even_image_has_a_finite_gradient():
    sr = torch.full((1, 3, 6, 6), 0.5, requires_grad=True)
    gradient_loss(sr, torch.rand(1, 3, 6, 6)).backward()
    assert sr.grad.isfinite().all()
