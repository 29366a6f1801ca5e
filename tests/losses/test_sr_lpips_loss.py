from prismsr.losses.dpacm_loss import LPIPSLoss
from prismsr.losses.sr_lpips_loss import SRLPIPSLoss

import torch


def test_it_is_lpips_of_the_clamped_output(photograph_tensor):
    gt = photograph_tensor[:, :, :64, :64]
    sr = (3 * gt - 1).requires_grad_()
    loss = SRLPIPSLoss(backbone="st_alexnet", loss_weight=0.5)(sr, gt)
    loss.backward()
    beyond = (sr < 0) | (sr > 1)
    assert torch.equal(loss, LPIPSLoss(backbone="st_alexnet", loss_weight=0.5)(sr.detach().clamp(0, 1), gt))
    assert beyond.any() and not sr.grad[beyond].any() and sr.grad[~beyond].any()
