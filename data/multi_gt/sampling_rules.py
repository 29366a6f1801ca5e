"""Which version of a ground truth a sample is trained on: the probabilities of each rule, and the draw.

The rules are those of Augmenting Perceptual Super-Resolution via Image Quality Predictors (CVPR 2025): for versions I
of one image with quality Q, a version is drawn from softmax(Q / tau) over all of them (SMA) or over those that people
judged positive (SMP), uniformly from the positives (UPos, the training of HGGT, CVPR 2023), or the best one is taken
(AMO). OriginsOnly trains on the unchanged image.

Paper: AMO, choice of ground truths.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rule = Literal["origins_only", "upos", "sma", "smp", "amo"]
RULES: tuple[Rule, ...] = get_args(Rule)
SCORED: tuple[Rule, ...] = ("sma", "smp", "amo")
"""Rules that need a quality of each version."""
LABELLED: tuple[Rule, ...] = ("upos", "smp")
"""Rules whose candidates are the versions that people judged positive."""


def chooses_online(dataset: Mapping[str, Any]) -> bool:
    """Return whether the versions of this section, MultiGTDataset's, are chosen by scores of the crops, in training."""
    return dataset.get("sampling") in SCORED and dataset.get("scores") is None


def weigh_choices(
    rule: Rule, quality: ArrayLike | None, candidates: ArrayLike, tau: float = 10.0
) -> NDArray[np.float64]:
    """Return probability of each version, (..., V), rows that sum to 1; 0 outside of the candidates.

    Args:
        rule: origins_only and upos: uniform over the candidates; sma and smp: exp(quality / tau), normalised over the
            candidates; amo: 1 for the best candidate, the first of equals.
        quality: (..., V), higher is better; the paper's tau is meant for a scale of 0 to 100. None where the rule needs
            none. What stands at other places than the candidates is not read.
        candidates: (..., V) bool, at least one True in each row.
        tau: temperature, above 0.

    Raises:
        ValueError: a row without candidates, or a candidate without a finite quality.
    """
    allowed = np.asarray(candidates, bool)
    if not allowed.any(-1).all():
        raise ValueError("weigh_choices: a row has no candidate.")
    if rule not in SCORED:
        return allowed / allowed.sum(-1, keepdims=True, dtype=np.float64)
    scores = np.where(allowed, np.asarray(quality, np.float64), -np.inf)
    if not np.isfinite(scores[allowed]).all():
        raise ValueError("weigh_choices: a candidate has no finite quality.")
    if rule == "amo":
        best = scores.argmax(-1)[..., None]
        return (np.arange(scores.shape[-1]) == best).astype(np.float64)
    weights = np.exp((scores - scores.max(-1, keepdims=True)) / tau)  # the largest exponent is 0: no overflow
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def draw(weights: ArrayLike, uniform: float) -> int:
    """Return the version that one uniform number in [0, 1) picks, by inversion of the distribution function.

    Weights (V,) are none below 0 and not all 0; they need not sum to 1. A weight of 0 is never picked.
    """
    cumulative = np.cumsum(np.asarray(weights, np.float64))
    index = int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))
    return min(index, int(np.flatnonzero(weights)[-1]))  # rounding may take the product to the last sum
