"""The noise loss of a diffusion model, L_eps of the LGCAA paper's eq. 1.

Paper: LGCAA, eq. 1.
"""

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F


@LOSS_REGISTRY.register()
class NoiseLoss(nn.Module):
    """Mean squared error of the predicted noise, eq. 1 of arXiv 2510.13649.

    Args:
        loss_weight: weight of the loss; 1 in eq. 4.
    """

    inputs = ("noise_prediction", "noise")

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, noise_prediction: Tensor, noise: Tensor) -> Tensor:
        """Return scalar loss of noise (B, C, h, w)."""
        return self.loss_weight * F.mse_loss(noise_prediction, noise)
