"""The loss of a branch that predicts the gradient map of GT (SPSR, CVPR 2020).

Paper: SSL, table 1, SPSR.
"""

from prismsr.losses.gradient_loss import gradient_map
from prismsr.utils.registry import LOSS_REGISTRY

from torch import Tensor, nn
from torch.nn import functional as F


@LOSS_REGISTRY.register()
class BranchLoss(nn.Module):
    """`loss_weight` times the mean of |branch image - gradient map of GT|.

    The network declares the branch image in OUTPUTS, as `sr_branch`.

    Args:
        loss_weight: weight of the loss; 0.5 beside SPSR's discriminators.
    """

    inputs = ("sr_branch", "gt")

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, sr_branch: Tensor, gt: Tensor) -> Tensor:
        """Return scalar loss of a branch image and GT, both (B, 3, H, W)."""
        return self.loss_weight * F.l1_loss(sr_branch, gradient_map(gt))
