"""The training pairs of images with several versions: which one is taken as GT, and the map of the negative one.

Paper: AMO, choice of ground truths.
"""

from collections.abc import Callable, Sequence

from prismsr.losses.negative_loss import negative_map
from prismsr.utils.errors import UserError

import torch
from torch import Tensor

Choice = Callable[[Tensor, Tensor, Sequence[str]], Tensor]
"""From versions (B, V, 3, h, w), candidates (B, V) bool and names to the index (B,) of each sample's ground truth."""


class GroundTruths:
    """The Pairing (data.degradation.real_esrgan) of MultiGTDataset, whose LQ images are made of the original.

    It works before the pool, which so holds one ground truth for a sample. `takes` is what the dataset gives besides
    the original: gt_versions (B, V, 3, h, w) RGB in [0, 1], V = 1 where the dataset has chosen; with V > 1
    gt_candidates (B, V) bool, the versions that may be chosen, by `choice` and the scores of the crops; with negatives
    gt_negative and gt_positive (B, 3, h, w), a version each that people judged so, and negative_votes (B, 2), the
    shares of the annotators who did; 0 where there is none.
    """

    takes = ("gt_versions", "gt_candidates", "gt_negative", "gt_positive", "negative_votes")

    def __init__(self, choice: Choice | None = None) -> None:
        self.choice = choice

    def __call__(self, cut: dict[str, Tensor], names: Sequence[str] = ()) -> dict[str, Tensor]:
        """Return what is trained on, of lq, gt (the original), some of `takes`, and anything else.

        The chosen version is gt; with negatives there are gt_negative and negative_map (B, 1, h, w), see
        prismsr.losses.negative_loss; lq and anything else stay. UserError with V > 1, but nothing to choose by.
        """
        pairs = {name: value for name, value in cut.items() if name not in self.takes}
        pairs["gt"] = self._choose(cut["gt_versions"], cut.get("gt_candidates"), names)
        if "negative_votes" in cut:
            negative = pairs["gt_negative"] = cut["gt_negative"]
            pairs["negative_map"] = negative_map(cut["gt"], cut["gt_positive"], negative, cut["negative_votes"])
        return pairs

    def _choose(self, versions: Tensor, candidates: Tensor | None, names: Sequence[str]) -> Tensor:
        if versions.shape[1] == 1:
            return versions[:, 0]
        if self.choice is None or candidates is None:
            raise UserError(
                f"The dataset gives {versions.shape[1]} versions of each ground truth, but no scores to choose by: "
                "the option file needs the section scoring, or datasets.train.scores, a score file."
            )
        index = self.choice(versions, candidates, names)
        return versions[torch.arange(len(versions), device=versions.device), index.to(versions.device)]
