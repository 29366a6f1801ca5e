"""Losses on gradient maps, which keep the structures of an image (SPSR, CVPR 2020).

Paper: SSL, table 1, SPSR.
"""

from typing import Literal

from prismsr.utils.full_precision import widen
from prismsr.utils.registry import LOSS_REGISTRY

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Criterion = Literal["mse", "l1"]
_CRITERIA = {"mse": F.mse_loss, "l1": F.l1_loss}


def gradient_map(images: Tensor) -> Tensor:
    """Return sqrt(v^2 + h^2 + 1e-6) of each channel, with v and h the differences of both neighbours along each axis.

    Beyond the border there are zeros, as in SPSR's release, so that border pixels have large values. Images and maps,
    which are above 0, are (B, C, H, W); half precision is computed in float32.

    Example:
        >>> gradient_map(torch.tensor([[[[0.0, 2.0, 5.0]]]])).round(decimals=4)
        tensor([[[[2., 5., 2.]]]])
    """
    with torch.autocast(images.device.type, enabled=False):
        images = widen(images)
        padded = F.pad(images, (1, 1, 1, 1))
        vertical = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
        horizontal = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
        return torch.sqrt(vertical.square() + horizontal.square() + 1e-6)


def gradient_loss(sr: Tensor, gt: Tensor, criterion: str = "mse") -> Tensor:
    """Return the mean squared ("mse") or absolute ("l1") difference of both images' gradient maps, a scalar.

    "Structure-Preserving Super Resolution with Gradient Guidance", CVPR 2020.

    Args:
        sr: (B, C, H, W).
        gt: the same shape.
        criterion: "mse" or "l1".

    Raises:
        ValueError: another criterion.

    Example:
        >>> gt = torch.zeros(1, 1, 3, 4)
        >>> gradient_loss(gt + 1, gt + 1)
        tensor(0.)
        >>> round(gradient_loss(gt + 1, gt, "l1").item(), 4)  # the 10 pixels at the border
        0.9706
    """
    if criterion not in _CRITERIA:
        raise ValueError(f"criterion: got {criterion!r}; allowed: 'mse', 'l1'")
    return _CRITERIA[criterion](gradient_map(sr), gradient_map(gt))


@LOSS_REGISTRY.register()
class GradientLoss(nn.Module):
    """`loss_weight * gradient_loss`.

    Args:
        loss_weight: weight of the loss; 0.01 beside SPSR's discriminators.
        criterion: mean squared or absolute difference.
    """

    inputs: tuple[str, ...] = ("sr", "gt")

    def __init__(self, loss_weight: float = 1.0, criterion: Criterion = "mse") -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.criterion = criterion

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        """Return scalar loss of images (B, C, H, W)."""
        return self.loss_weight * gradient_loss(sr, gt, self.criterion)
