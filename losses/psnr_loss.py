"""The negative PSNR as a loss, which NAFNet (ECCV 2022) is trained with.

Paper: SFD, table 5.
"""

import math

from prismsr.utils.registry import LOSS_REGISTRY

import torch
from torch import Tensor, nn


def psnr_loss(sr: Tensor, gt: Tensor, eps: float = 1e-8) -> Tensor:
    """Return the mean over images of `10 log10(MSE + eps)`, a scalar: minus the PSNR in dB, since the peak is 1.

    Args:
        sr: (B, C, H, W), in [0, 1].
        gt: the same shape.
        eps: added to the mean squared error, so that the gradient stays finite; the loss is never below 10 log10(eps).
    """
    errors = (sr - gt).square().flatten(1).mean(1)
    return 10 / math.log(10) * torch.log(errors + eps).mean()


@LOSS_REGISTRY.register()
class PSNRLoss(nn.Module):
    """`loss_weight * psnr_loss`, as in NAFNet's release (there `reduction: mean`, its only form).

    Args:
        loss_weight: weight of the loss.
        eps: see psnr_loss.
    """

    inputs = ("sr", "gt")

    def __init__(self, loss_weight: float = 1.0, eps: float = 1e-8) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.eps = eps

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        """Return scalar loss of images (B, C, H, W) in [0, 1]."""
        return self.loss_weight * psnr_loss(sr, gt, self.eps)
