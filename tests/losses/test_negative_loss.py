from itertools import product

from prismsr.losses.negative_loss import NegativeLoss, local_variance, negative_loss, negative_map

import numpy as np
import pytest
import torch
from basicsr.losses import build_loss


def _images(seed, batch=3, height=6, width=7):
    random = np.random.default_rng(seed)
    return random.random((batch, 3, height, width))


def _slow_variance(residual):
    """Unbiased variance over 3 x 3 pixels, one by one."""
    padded = np.pad(residual, 1, mode="reflect")
    height, width = residual.shape
    result = np.empty_like(residual)
    for row, column in product(range(height), range(width)):
        window = [padded[row + i, column + j] for i in range(3) for j in range(3)]
        mean = sum(window) / 9
        result[row, column] = sum((value - mean) ** 2 for value in window) / 8
    return result


def _slow_map(gt, positive, negative, votes_n, votes_p):
    """HGGT's refined map of one image, pixel by pixel."""
    r_n = sum(abs(gt[c] - negative[c]) for c in range(3))
    r_p = sum(abs(gt[c] - positive[c]) for c in range(3))
    w_n, w_p = votes_n * _slow_variance(r_n) ** 0.75, votes_p * _slow_variance(r_p) ** 0.75
    if votes_p == 0:
        return w_n
    result = w_n.copy()
    for position in np.ndindex(result.shape):
        if w_p[position] >= w_n[position]:
            result[position] = 0
    return result


def test_map_and_loss_against_loops():
    gt, positive, negative, sr = (_images(seed) for seed in range(4))
    votes = np.array([[2 / 3, 1.0], [1.0, 0.0], [0.0, 2 / 3]])  # both, no positive, no negative
    expected = np.stack([_slow_map(*parts, *vote) for *parts, vote in zip(gt, positive, negative, votes, strict=True)])
    found = negative_map(*map(torch.from_numpy, (gt, positive, negative, votes)))
    np.testing.assert_allclose(found[:, 0].numpy(), expected, rtol=1e-12)
    assert 0 < (expected[0] == 0).mean() < 1 and (expected[1] > 0).all() and not expected[2].any()
    each = [300 * np.abs(m * s - m * n).mean() for m, s, n in zip(expected, sr, negative, strict=True)]
    loss = build_loss({"type": "NegativeLoss"})
    assert loss(*map(torch.from_numpy, (sr, negative)), found).item() == pytest.approx(-sum(each) / 3)


def test_votes_may_come_in_single_precision():
    gt, positive, negative = (torch.from_numpy(_images(seed)).float() for seed in range(3))
    votes = torch.tensor([[1, 1 / 3]] * 3, dtype=torch.float64)
    assert negative_map(gt, positive, negative, votes).dtype == torch.float32


def test_local_variance_of_a_plane():
    rows = torch.arange(5.0)[:, None].expand(5, 6)[None, None]
    inside = local_variance(rows)[0, 0, 1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.full_like(inside, 6 / 8))  # -1, 0, 1 three times each


def test_gradient():
    sr, negative = (torch.from_numpy(_images(seed, 2)).requires_grad_() for seed in (0, 1))
    weight_map = torch.from_numpy(_images(2, 2))[:, :1]
    assert torch.autograd.gradcheck(lambda x: negative_loss(x, negative.detach(), weight_map), sr)


def test_nothing_negative_gives_0_with_gradient_0():
    gt = torch.from_numpy(_images(0)).float()
    sr = gt.clone().requires_grad_()
    weight_map = negative_map(gt, gt, gt, torch.zeros(3, 2))  # nothing differs, and no one voted
    value = NegativeLoss()(sr, gt, weight_map)
    value.backward()
    assert value.item() == 0 and value.requires_grad
    assert torch.equal(sr.grad, torch.zeros_like(sr))


def test_equal_images_give_finite_gradients():
    gt, positive, negative = (torch.from_numpy(_images(seed)).float() for seed in range(3))
    negative[0] = gt[0]
    weight_map = negative_map(gt.requires_grad_(), positive, negative, torch.ones(3, 2))
    assert not weight_map.requires_grad and not weight_map[0].any()
    sr = negative.clone().requires_grad_()
    NegativeLoss()(sr, negative, weight_map).backward()
    assert sr.grad.isfinite().all()
