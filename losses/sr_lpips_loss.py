"""LPIPS of the output itself, as ResShift's variant of four steps has it on decoded images.

Paper: SSL, table 2, ResShift.
"""

from prismsr.losses.dpacm_loss import LPIPSLoss

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor


@LOSS_REGISTRY.register()
class SRLPIPSLoss(LPIPSLoss):
    """LPIPSLoss of SR, clamped to [0, 1], and GT; see there for the arguments. ResShift's own backbone is VGG-16.

    Example:
        >>> import torch
        >>> loss = SRLPIPSLoss(backbone="st_alexnet")
        >>> bool(loss(torch.full((1, 3, 64, 64), 2.0), torch.ones(1, 3, 64, 64)) == 0)
        True
    """

    inputs = ("sr", "gt")

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:  # type: ignore[override]
        """Return scalar loss of images (B, 3, H, W); where they leave [0, 1] there is no gradient."""
        return super().forward(sr.clamp(0, 1), gt)
