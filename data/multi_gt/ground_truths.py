"""The ground truths of a batch whose images have several versions: what is cut along, and which one is taken."""

from collections.abc import Callable
from typing import NamedTuple

from prismsr.losses.negative_loss import negative_map
from prismsr.utils.errors import UserError

import torch
from torch import Tensor

Choice = Callable[[Tensor, Tensor], Tensor]
"""From versions (B, V, 3, h, w) and candidates (B, V) bool to the index (B,) of each sample's ground truth."""


class GroundTruths(NamedTuple):
    """What MultiGTDataset gives besides the original.

    Attributes:
        gt_versions: (B, V, 3, H, W) RGB in [0, 1]; V = 1 where the dataset has chosen.
        gt_candidates: (B, V) bool, the versions that may be chosen; needed with V > 1.
        gt_negative: (B, 3, H, W) a version that people judged negative, of each sample.
        gt_positive: (B, 3, H, W) a positive one.
        negative_votes: (B, 2) the shares of the annotators who judged these two so; 0 where there is none.
    """

    gt_versions: Tensor
    gt_candidates: Tensor | None = None
    gt_negative: Tensor | None = None
    gt_positive: Tensor | None = None
    negative_votes: Tensor | None = None

    def images(self) -> dict[str, Tensor]:
        """The images by name as (B, C, H, W), to be cut with the original; versions one behind the other, C = 3 V."""
        images = {"gt_versions": self.gt_versions.flatten(1, 2)}
        for name in ("gt_negative", "gt_positive"):
            image: Tensor | None = getattr(self, name)
            if image is not None:
                images[name] = image
        return images

    def pairs(self, cut: dict[str, Tensor], choice: Choice | None) -> dict[str, Tensor]:
        """What is trained on, of the cut images.

        Args:
            cut: lq, gt (the original) and what `images` gave, cut.
            choice: picks the version with V > 1.

        Returns:
            lq, and gt, the chosen version; with negatives gt_negative and negative_map (B, 1, h, w), see
            prismsr.losses.negative_loss.

        Raises:
            UserError: V > 1, but nothing to choose by.
        """
        pairs = {"lq": cut["lq"], "gt": self._chosen(cut["gt_versions"].unflatten(1, (-1, 3)), choice)}
        if self.gt_negative is not None and self.negative_votes is not None:
            pairs["gt_negative"] = cut["gt_negative"]
            pairs["negative_map"] = negative_map(cut["gt"], cut["gt_positive"], cut["gt_negative"], self.negative_votes)
        return pairs

    def _chosen(self, versions: Tensor, choice: Choice | None) -> Tensor:
        if versions.shape[1] == 1:
            return versions[:, 0]
        if choice is None or self.gt_candidates is None:
            raise UserError(
                f"The dataset gives {versions.shape[1]} versions of each ground truth, but no scores to choose by: "
                "the option file needs the section scoring, or datasets.train.scores, a score file."
            )
        index = choice(versions, self.gt_candidates)
        return versions[torch.arange(len(versions), device=versions.device), index.to(versions.device)]
