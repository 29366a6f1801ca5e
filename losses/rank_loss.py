"""RankSRGAN's loss (ICCV 2019): a frozen Ranker, which learned to order images as a no-reference metric, judges SR.

Paper: SSL, table 1, RankSRGAN.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from prismsr.archs.ranker_vgg_arch import RankerVGG
from prismsr.utils.full_precision import widen
from prismsr.utils.weights.files import load_state_dict, require_fit
from prismsr.utils.weights.needs import Need, file_needs

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn


@LOSS_REGISTRY.register()
class RankLoss(nn.Module):
    """`loss_weight` times the sum over the batch of sigmoid(R(SR)), with R the Ranker, lower for better images.

    It is a sum, as in both releases: with N samples on a device instead of n it weighs N / n times as much.

    Args:
        weights: file of the Ranker, such as mmsr_Ranker_PI.pth of RankSRGAN's release.
        loss_weight: weight of the sum; 0.03 in RankSRGAN's release.
        mode: whether batch norm takes the statistics of the batch ("train"), as both releases do, or those of the file.
        gradient: whether the generator learns from it; false as SSL's authors ran it, where the term is only logged.
        num_feat: channels of the Ranker's first stage.

    Raises:
        WeightsError: the file is not there, damaged, or holds another network.
    """

    inputs = ("sr",)
    autocast = True  # with train.amp the frozen network runs in half precision

    def __init__(
        self,
        weights: str,
        loss_weight: float = 0.03,
        mode: Literal["eval", "train"] = "train",
        gradient: bool = True,
        num_feat: int = 64,
    ) -> None:
        super().__init__()
        self.loss_weight, self.mode, self.gradient = loss_weight, mode, gradient
        self.ranker = RankerVGG(num_feat=num_feat)
        state = load_state_dict(weights)
        require_fit(self.ranker, state, weights)
        self.ranker.load_state_dict(state)
        self.requires_grad_(False).train()

    @classmethod
    def weights_needed(cls, arguments: Mapping[str, Any], key: str) -> Iterator[Need]:
        """Yield the Ranker's file."""
        return file_needs(arguments, key, "weights")

    def forward(self, sr: Tensor) -> Tensor:
        """Return scalar loss of RGB images (B, 3, H, W) in [0, 1], of 32 x 32 pixels or more."""
        with torch.set_grad_enabled(self.gradient and torch.is_grad_enabled()):
            return self.loss_weight * torch.sigmoid(widen(self.ranker(sr))).sum()

    def train(self, mode: bool = True) -> "RankLoss":
        """Stay in the mode of `mode` whatever the owner does: the network is frozen."""
        return super().train(self.mode == "train")
