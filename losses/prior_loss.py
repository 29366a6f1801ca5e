"""The loss of DiffIR's predicted prior, its equation for the diffusion.

Paper: SSL, table 2, DiffIR.
"""

from prismsr.utils.registry import LOSS_REGISTRY

from torch import Tensor, nn
from torch.nn import functional as F


@LOSS_REGISTRY.register()
class PriorLoss(nn.Module):
    """`loss_weight` times the mean of |prior that the second stage predicts - prior that the first stage tells|.

    The release calls it KD; the divergence that it logs beside it is no part of its loss.

    Args:
        loss_weight: weight of the loss.

    Example:
        >>> import torch
        >>> float(PriorLoss(2.0)(torch.zeros(1, 256), torch.ones(1, 256)))
        2.0
    """

    inputs = ("ipr", "ipr_target")

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, ipr: Tensor, ipr_target: Tensor) -> Tensor:
        """Return scalar loss of two priors, both (B, 256)."""
        return self.loss_weight * F.l1_loss(ipr, ipr_target)
