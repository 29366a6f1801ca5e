import math

from prismsr.losses.gradient_loss import gradient_map
from prismsr.losses.views import flat_mask, show_gradients, show_textured

import numpy as np
import pytest
import torch


def _slow_mask(image, size, std):
    """Flat pixels of one image (3, H, W), pixel by pixel."""
    luma = 0.2989 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    padded = np.pad(luma, size // 2, mode="reflect")
    result = np.empty(luma.shape, bool)
    for y, x in np.ndindex(luma.shape):
        window = [padded[y + i, x + j] for i in range(size) for j in range(size)]
        mean = sum(window) / len(window)
        result[y, x] = math.sqrt(sum((value - mean) ** 2 for value in window) / (len(window) - 1)) < std
    return result


def test_figures_of_the_release(reference_images):
    gt = reference_images["gt"]
    flat = flat_mask(gt)
    assert flat.sum((1, 2, 3)).tolist() == [188, 160]
    assert show_textured(reference_images["sr"], gt)[1].sum().item() == pytest.approx(8069.4413588186, rel=1e-6)


def test_flat_pixels_against_loops(photograph_tensor):
    gt = torch.cat([photograph_tensor[:, :, 40:60, 100:124], photograph_tensor[:, :, 90:110, 0:24]]).double()
    expected = np.stack([_slow_mask(image.numpy(), 7, 0.05) for image in gt])[:, None]
    assert 0 < expected.mean() < 1
    assert np.array_equal(flat_mask(gt, 7, 0.05).numpy(), expected)
    sr = torch.rand_like(gt)
    shown = show_textured(sr, gt, size=7, std=0.05)
    for seen, image in zip(shown, (sr, gt), strict=True):
        assert np.array_equal(seen.numpy(), image.numpy() * ~expected)


def test_views_carry_the_gradient_of_sr(photograph_tensor):
    gt = photograph_tensor[:, :, 40:60, 100:124].double()
    sr = torch.rand_like(gt).requires_grad_()
    show_textured(sr, gt)[0].sum().backward()
    assert torch.equal(sr.grad, (~flat_mask(gt)).double().expand_as(sr))
    assert show_gradients(sr, gt)[0].requires_grad and not show_gradients(sr, gt)[1].requires_grad


@pytest.mark.parametrize("view", [show_gradients, show_textured])
def test_views_are_of_float32_under_autocast(photograph_tensor, view):
    gt = photograph_tensor[:, :, 40:60, 100:124]
    expected = view(gt.flip(-1), gt)
    with torch.autocast("cpu", torch.bfloat16):
        found = view(gt.flip(-1), gt)
        half = view(gt.bfloat16(), gt.bfloat16())
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert {image.dtype for image in (*found, *half)} == {torch.float32}
    assert gradient_map(gt).dtype == torch.float32
