from prismsr.losses.best_buddy_loss import BestBuddyLoss, best_buddy_loss, choose_buddies

import numpy as np
import pytest
import torch
from torch.nn import functional as F


def _patches(image):
    """The 3 x 3 patches of one image (C, H, W), side by side, row by row."""
    _, height, width = image.shape
    return [image[:, y : y + 3, x : x + 3].reshape(-1) for y in range(0, height - 2, 3) for x in range(0, width - 2, 3)]


def _slow_loss(sr, gt):
    """The loss with plain squared distances, patch by patch."""
    each = []
    for one, other in zip(sr, gt, strict=True):
        smaller = [F.interpolate(other[None], scale_factor=scale, mode="bicubic")[0] for scale in (0.5, 0.25)]
        candidates = torch.stack([patch for image in (other, *smaller) for patch in _patches(image)])
        for patch, aligned in zip(_patches(one), _patches(other), strict=True):
            distances = ((candidates - patch) ** 2).sum(1) + ((candidates - aligned) ** 2).sum(1)
            each.append((patch - candidates[distances.detach().argmin()]).abs())
    return torch.cat(each).mean()


def test_figures_of_the_release(reference_images):
    gt, sr = reference_images["gt"], reference_images["sr"].clone().requires_grad_()
    loss = best_buddy_loss(sr, gt)
    assert loss.item() == pytest.approx(0.0892837324303, rel=1e-6)
    loss.backward()
    assert sr.grad.abs().sum().item() == pytest.approx(0.9997685185, rel=1e-6)
    aligned = F.unfold(gt, 3, stride=3).transpose(1, 2)
    buddies = choose_buddies(F.unfold(sr.detach(), 3, stride=3).transpose(1, 2), gt)
    assert (buddies == aligned).all(2).double().mean().item() == pytest.approx(0.714063, abs=1e-6)


@pytest.mark.parametrize("chunk_bytes", [1, 4000, 2**25])
def test_against_loops(photograph_tensor, monkeypatch, chunk_bytes):
    """Whatever the size of the pieces; sides of 26 and 32 leave 2 pixels over."""
    monkeypatch.setattr("prismsr.losses.best_buddy_loss.CHUNK_BYTES", chunk_bytes)
    gt = torch.cat([photograph_tensor[:, :, 40:66, 100:132], photograph_tensor[:, :, 90:116, 200:232]]).double()
    torch.manual_seed(0)
    ours, slow = ((gt + 0.1 * torch.randn_like(gt)).requires_grad_() for _ in range(2))
    slow.data.copy_(ours.data)
    loss, expected = BestBuddyLoss(loss_weight=2)(ours, gt), 2 * _slow_loss(slow, gt)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, slow.grad, rtol=0, atol=1e-15)
    assert not ours.grad[..., 24:, :].any() and not ours.grad[..., 30:].any()


def test_gradient_without_that_of_the_choice():
    torch.manual_seed(0)
    sr, gt = torch.rand(2, 1, 2, 12, 12, dtype=torch.float64)
    gt.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: best_buddy_loss(x, gt), sr.requires_grad_())
    best_buddy_loss(sr, gt).backward()
    assert gt.grad is None


def test_half_precision_is_widened(photograph_tensor):
    gt = photograph_tensor[:, :, 40:64, 100:124]
    sr = gt.flip(-1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(best_buddy_loss(sr, gt), best_buddy_loss(sr.float(), gt))
        assert best_buddy_loss(sr.bfloat16(), gt.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("shape", [(11, 20), (20, 11)])
def test_too_small_images_are_told(shape):
    with pytest.raises(ValueError, match="12 or more"):
        best_buddy_loss(torch.from_numpy(np.ones((1, 3, *shape))), torch.ones(1, 3, *shape))
