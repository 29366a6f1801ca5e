from copy import deepcopy

from prismsr.losses.ldl_loss import LDLLoss, ldl_loss, ldl_map
from prismsr.utils.options.check import check_options
from prismsr.utils.options.problems import errors_among

import numpy as np
import pytest
import torch


def _slow_map(sr, gt, ema):
    """LDL's map of one image (3, H, W), pixel by pixel."""
    r, r_ema = np.abs(gt - sr).sum(0), np.abs(gt - ema).sum(0)
    padded = np.pad(r, 3, mode="reflect")
    result = np.zeros_like(r)
    for y, x in np.ndindex(r.shape):
        if r[y, x] >= r_ema[y, x]:
            result[y, x] = r.var(ddof=1) ** 0.2 * padded[y : y + 7, x : x + 7].var(ddof=1)
    return result


def test_figures_of_the_release(reference_images):
    sr, gt, ema = (reference_images[name] for name in ("sr", "gt", "ema"))
    sr = sr.clone().requires_grad_()
    found = ldl_map(sr, gt, ema)
    assert found.sum().item() == pytest.approx(1.61239325133, rel=1e-6)
    assert (found == 0).double().mean().item() == pytest.approx(0.522222, abs=1e-6)
    loss = ldl_loss(sr, gt, ema)
    assert loss.item() == pytest.approx(3.91156633668e-05, rel=1e-6)
    loss.backward()
    assert sr.grad.abs().sum().item() == pytest.approx(0.00527255452, rel=1e-6)  # 2.8e-4 if the map were detached


def test_against_loops():
    sr, gt, ema = np.random.default_rng(0).random((3, 2, 3, 9, 8))
    maps = np.stack([_slow_map(*images) for images in zip(sr, gt, ema, strict=True)])[:, None]
    images = [torch.from_numpy(each) for each in (sr, gt, ema)]
    np.testing.assert_allclose(ldl_map(*images).numpy(), maps, rtol=1e-10)
    expected = np.abs(maps * sr - maps * gt).mean()
    assert LDLLoss(loss_weight=3)(*images).item() == pytest.approx(3 * expected, rel=1e-10)


def test_gradient_goes_to_sr_and_not_to_the_average():
    torch.manual_seed(0)
    sr, gt, ema = torch.rand(3, 1, 2, 5, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ldl_loss(x, gt.detach(), ema.detach()), sr.detach().requires_grad_())
    average = ema.detach().requires_grad_()
    ldl_loss(sr, gt, average).backward()
    assert average.grad is None


def test_equal_and_evenly_brighter_images_have_finite_gradients():
    gt = torch.rand(3, 3, 8, 8, dtype=torch.float64)
    sr = gt.clone()
    sr[1] += 0.25  # the residual is even but for rounding
    sr[2, :, 4, 4] += 0.25
    sr.requires_grad_()
    ldl_loss(sr, gt, gt).backward()
    assert sr.grad.isfinite().all() and not sr.grad[0].any() and sr.grad[2].any()


def test_the_moving_average_has_to_be_there(experiment):
    opt = deepcopy(experiment)
    opt["train"]["losses"]["l_g_ldl"] = {"type": "LDLLoss"}
    for decay, expected in ((0.999, []), (0, ["train.losses.l_g_ldl"])):
        opt["train"]["ema_decay"] = decay
        problems = errors_among(check_options(opt, "x.yml", missing_paths="note", is_train=True))
        assert [problem.key for problem in problems] == expected
