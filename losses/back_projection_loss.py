"""The back-projection loss (BebyGAN, AAAI 2022): SR made smaller shall be LQ.

Paper: SSL, table 1, BebyGAN.
"""

from prismsr.utils.full_precision import widen
from prismsr.utils.registry import LOSS_REGISTRY
from prismsr.utils.resize import make_antialiased_weights

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def back_projection_loss(sr: Tensor, lq: Tensor) -> Tensor:
    """Return the mean of |D(SR) - LQ|, with D the downsampling of MATLAB's imresize: bicubic, antialiased.

    "Best-Buddy GANs for Highly Detailed Image Super-Resolution", AAAI 2022. D(SR) is neither clipped nor rounded. The
    loss is a scalar.

    Args:
        sr: (B, C, s H, s W), with s a whole number; half precision is computed in float32.
        lq: (B, C, H, W).

    Raises:
        ValueError: the sides of `sr` are no whole multiple of those of `lq`.

    Example:
        >>> lq = torch.full((1, 3, 4, 5), 0.5)
        >>> round(back_projection_loss(torch.ones(1, 3, 16, 20), lq).item(), 6)
        0.5
    """
    (height, width), (rows, columns) = sr.shape[-2:], lq.shape[-2:]
    scale = height // rows
    if not scale or (height, width) != (scale * rows, scale * columns):
        raise ValueError(f"sr: got sides {height} x {width}; allowed: the same multiple of lq's, {rows} x {columns}")
    with torch.autocast(sr.device.type, enabled=False):
        sr, lq = widen(sr), widen(lq)
        return F.l1_loss(_reduction(rows, scale, sr) @ sr @ _reduction(columns, scale, sr).T, lq)


def _reduction(outputs: int, scale: int, like: Tensor) -> Tensor:
    """Return the matrix (outputs, scale * outputs) that downsamples one axis, the border mirrored, edge pixel twice."""
    first, weights = make_antialiased_weights(scale)
    length = scale * outputs
    places = (scale * torch.arange(outputs)[:, None] + first + torch.arange(len(weights))) % (2 * length)
    columns = torch.where(places < length, places, 2 * length - 1 - places)
    matrix = torch.zeros(outputs, length, dtype=torch.float64)
    return matrix.scatter_add_(1, columns, torch.from_numpy(weights).expand(outputs, -1)).to(like)


@LOSS_REGISTRY.register()
class BackProjectionLoss(nn.Module):
    """`loss_weight * back_projection_loss`.

    Args:
        loss_weight: weight of the loss; 1 in BebyGAN's release.
    """

    inputs = ("sr", "lq")

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, sr: Tensor, lq: Tensor) -> Tensor:
        """Return scalar loss of images (B, C, s H, s W) and (B, C, H, W)."""
        return self.loss_weight * back_projection_loss(sr, lq)
