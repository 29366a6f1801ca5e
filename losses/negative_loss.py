"""HGGT's negative loss (Human Guided Ground-truth Generation, CVPR 2023): away from enhanced images people reject.

Paper: AMO, after HGGT.
"""

from prismsr.utils.registry import LOSS_REGISTRY

from torch import Tensor, nn
from torch.nn import functional as F


def local_variance(values: Tensor, size: int = 3) -> Tensor:
    """Return the unbiased variance in a size x size window around each pixel, border mirrored; (B, 1, H, W)."""
    height, width = values.shape[-2:]
    windows = F.unfold(F.pad(values, (size // 2,) * 4, mode="reflect"), size)
    return windows.var(1).view(-1, 1, height, width)


def artefact_weight(gt: Tensor, other: Tensor, votes: Tensor) -> Tensor:
    """Return w = votes * v(r)^(3/4) with the residual r = sum over channels of |gt - other| and v, the local variance.

    Args:
        gt: (B, 3, H, W), the original.
        other: (B, 3, H, W), an enhanced version of it.
        votes: (B,), the share of annotators who gave it its label.

    Returns:
        (B, 1, H, W).
    """
    residual = (gt - other).abs().sum(1, keepdim=True)
    return votes.view(-1, 1, 1, 1) * local_variance(residual).pow(0.75)


def negative_map(gt: Tensor, positive: Tensor, negative: Tensor, votes: Tensor) -> Tensor:
    """Return HGGT's refined map: W_n where W_n > W_p, else 0; W_n everywhere where there is no positive.

    What changes in the positive version at least as much is no artefact. The maps depend on ground truths alone.

    Args:
        gt: (B, 3, H, W), the originals, in [0, 1].
        positive: (B, 3, H, W), a version each that people prefer; without any, anything, with a vote of 0.
        negative: (B, 3, H, W), a version each that people reject; without any, anything, with a vote of 0.
        votes: (B, 2), votes for the negative's and for the positive's label, divided by 3; 0 where there is no such.

    Returns:
        (B, 1, H, W), 0 or more, without graph; all 0 where there is no negative.
    """
    gt, positive, negative, votes = (part.detach() for part in (gt, positive, negative, votes))
    votes = votes.to(gt)
    rejected = artefact_weight(gt, negative, votes[:, 0])
    preferred = artefact_weight(gt, positive, votes[:, 1])
    return rejected * (preferred < rejected)  # without a positive W_p is 0, which leaves W_n as it is


def negative_loss(sr: Tensor, negative: Tensor, weight_map: Tensor) -> Tensor:
    """Return -mean over images, channels and pixels of |M SR - M neg|; 0 with gradient 0 where all maps are 0.

    Args:
        sr: (B, 3, H, W).
        negative: (B, 3, H, W).
        weight_map: M, (B, 1, H, W), from `negative_map`.
    """
    return -(weight_map * sr - weight_map * negative).abs().mean()


@LOSS_REGISTRY.register()
class NegativeLoss(nn.Module):
    """`loss_weight * negative_loss`; unbounded below, so that the other terms have to hold it.

    Args:
        loss_weight: weight of the loss; 300 in HGGT's release.
    """

    inputs = ("sr", "gt_negative", "negative_map")

    def __init__(self, loss_weight: float = 300.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, sr: Tensor, gt_negative: Tensor, negative_map: Tensor) -> Tensor:
        """Return scalar loss; see `negative_loss` for the arguments."""
        return self.loss_weight * negative_loss(sr, gt_negative, negative_map)
