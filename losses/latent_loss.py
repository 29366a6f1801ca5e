"""The loss of a model on latents: the squared error of what its network predicts, x_0 for ResShift.

Paper: SSL, table 2, ResShift.
"""

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F


@LOSS_REGISTRY.register()
class LatentLoss(nn.Module):
    """Mean squared error of a predicted latent.

    Args:
        loss_weight: weight of the loss.

    Example:
        >>> import torch
        >>> LatentLoss(loss_weight=0.5)(torch.ones(2, 3, 8, 8), torch.zeros(2, 3, 8, 8))
        tensor(0.5000)
    """

    inputs = ("latent_prediction", "latent")

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, latent_prediction: Tensor, latent: Tensor) -> Tensor:
        """Return scalar loss of latents (B, C, h, w)."""
        return self.loss_weight * F.mse_loss(latent_prediction, latent)
