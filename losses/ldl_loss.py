"""LDL's loss on artefacts ("Details or Artifacts", CVPR 2022): where SR's residual varies, and is worse than the EMA's.

Paper: SSL, table 1, LDL.
"""

from prismsr.losses.negative_loss import local_variance
from prismsr.utils.full_precision import widen
from prismsr.utils.registry import LOSS_REGISTRY

import torch
from torch import Tensor, nn

WINDOW = 7


def ldl_map(sr: Tensor, gt: Tensor, sr_ema: Tensor) -> Tensor:
    """Return LDL's map: var(r)^(1/5) * v(r), and 0 where r is below the residual of the moving average's output.

    r = sum over channels of |gt - sr|. var is over the image, v over 7 x 7 pixels around each, border mirrored; both
    are unbiased. "Details or Artifacts", CVPR 2022.

    Args:
        sr: (B, C, H, W), the output of the generator.
        gt: the same shape.
        sr_ema: the same shape, the output of the generator's moving average; gets no gradient.

    Returns:
        (B, 1, H, W), 0 or more, with its graph: most of the loss's gradient goes through it.

    Example:
        >>> gt = torch.rand(1, 3, 8, 8)
        >>> ldl_map(gt, gt, gt).max()
        tensor(0.)
    """
    with torch.autocast(sr.device.type, enabled=False):
        sr, gt, sr_ema = widen(sr), widen(gt), widen(sr_ema)
        residual = (gt - sr).abs().sum(1, keepdim=True)
        residual_ema = (gt - sr_ema.detach()).abs().sum(1, keepdim=True)
        spread = residual.var((1, 2, 3), keepdim=True)
        some = spread > 0  # of an even residual the power's gradient is infinite, and the window's variance 0
        weight = torch.where(some, spread, 1).pow(0.2) * local_variance(residual, WINDOW)
        return torch.where(some & (residual >= residual_ema), weight, 0)


def ldl_loss(sr: Tensor, gt: Tensor, sr_ema: Tensor) -> Tensor:
    """Return the mean of |M SR - M GT| over images, channels and pixels, with M of `ldl_map`, which is not detached.

    "Details or Artifacts: A Locally Discriminative Learning Approach to Realistic Image Super-Resolution", CVPR 2022.
    The loss is a scalar; see `ldl_map` for the arguments.

    Example:
        >>> gt = torch.rand(1, 3, 8, 8)
        >>> sr = gt + 0.1 * torch.rand(1, 3, 8, 8)
        >>> bool(ldl_loss(sr, gt, sr_ema=gt) > 0), ldl_loss(sr, gt, sr_ema=gt + 1).item()
        (True, 0.0)
    """
    with torch.autocast(sr.device.type, enabled=False):
        sr, gt = widen(sr), widen(gt)
        weight = ldl_map(sr, gt, sr_ema)
        return (weight * sr - weight * gt).abs().mean()


@LOSS_REGISTRY.register()
class LDLLoss(nn.Module):
    """`loss_weight * ldl_loss`; it needs the moving average, `train.ema_decay`.

    Args:
        loss_weight: weight of the loss; 1 in LDL's release.
    """

    inputs = ("sr", "gt", "sr_ema")

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, sr: Tensor, gt: Tensor, sr_ema: Tensor) -> Tensor:
        """Return scalar loss of images (B, C, H, W); see `ldl_loss`."""
        return self.loss_weight * ldl_loss(sr, gt, sr_ema)
