from prismsr.losses.back_projection_loss import BackProjectionLoss, back_projection_loss
from prismsr.utils.resize import imresize_bicubic

import numpy as np
import pytest
import torch


def _reduced(images, scale):
    """By the sparse matrices that make LQ images; the tests of prismsr.utils.resize hold them to MATLAB's loop."""
    arrays = images.permute(0, 2, 3, 1).numpy()
    return torch.from_numpy(np.stack([imresize_bicubic(array, scale) for array in arrays])).permute(0, 3, 1, 2)


def test_figures_of_the_release(reference_images):
    sr, lq = reference_images["sr"].float(), _reduced(reference_images["gt"], 4).float()
    assert back_projection_loss(sr, lq).item() == pytest.approx(0.0594892167, rel=2e-6)  # of float32 means


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_reduces_as_lq_images_are_made(scale):
    torch.manual_seed(0)
    sr, lq = torch.rand(2, 3, 5 * scale, 6 * scale).double(), torch.rand(2, 3, 5, 6).double()
    expected = (_reduced(sr, scale) - lq).abs().mean().item()
    assert BackProjectionLoss(loss_weight=2)(sr, lq).item() == pytest.approx(2 * expected, rel=1e-12)
    assert back_projection_loss(sr, _reduced(sr, scale)).item() < 1e-14


def test_gradient():
    torch.manual_seed(0)
    sr, lq = torch.rand(1, 2, 8, 12, dtype=torch.float64), torch.rand(1, 2, 2, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: back_projection_loss(x, lq), sr.requires_grad_())


def test_is_computed_in_float32_under_autocast():
    torch.manual_seed(0)
    sr, lq = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(back_projection_loss(sr, lq), back_projection_loss(sr.float(), lq))
        value = back_projection_loss(sr, lq)
        half = back_projection_loss(sr.bfloat16(), lq)
    assert torch.equal(value, back_projection_loss(sr, lq)) and half.dtype == torch.float32


@pytest.mark.parametrize("sides", [(8, 9), (9, 12), (3, 4)])
def test_sides_that_are_no_multiple_are_told(sides):
    with pytest.raises(ValueError, match="4 x 6"):
        back_projection_loss(torch.rand(1, 3, *sides), torch.rand(1, 3, 4, 6))
