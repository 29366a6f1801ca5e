"""The version of each ground truth that a step is trained on, chosen online by the quality of the crops (AMO, 2025).

Paper: AMO, choice of ground truths.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from prismsr.data.multi_gt.options import MultiGTOptions
from prismsr.data.multi_gt.sampling_rules import Rule, chooses_online, draw, weigh_choices
from prismsr.metrics.catalog import check_no_reference
from prismsr.metrics.no_reference import NRMetric, build_nr_metric, list_nr_metric_needs
from prismsr.utils.errors import UserError
from prismsr.utils.options.named import dataset_schema
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt, section

import numpy as np
import torch
from basicsr.utils import get_root_logger
from torch import Tensor


class GTChoice:
    """Score all versions of a batch by one call of the metric, and pick one for each sample.

    Args:
        rule: sma, smp or amo, see prismsr.data.multi_gt.sampling_rules.
        tau: temperature of sma and smp.
        metric: on the device of the images.
    """

    weights_needed = staticmethod(list_nr_metric_needs)

    @classmethod
    def check_options(cls, entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check the section `scoring`: its metric is there, and the dataset leaves the choice to it."""
        yield from check_no_reference(entry, key, opt, is_train)
        dataset = section(opt, "datasets", "train")
        if not (issubclass(dataset_schema(dataset) or object, MultiGTOptions) and chooses_online(dataset)):
            yield Problem(key, "scores no crop: datasets.train chooses its versions without it", "note")

    def __init__(self, rule: Rule, tau: float, metric: NRMetric) -> None:
        self.rule = rule
        self.tau = tau
        self.metric = metric
        self._warned = False

    @torch.no_grad()
    def __call__(self, versions: Tensor, candidates: Tensor) -> Tensor:
        """Return index (B,), long, of the chosen version of each sample, on the device of the images.

        A candidate without a finite score is passed over; where none has one, the original, version 0, is chosen.

        sma and smp take B numbers from torch's global CPU generator, whatever the device; amo takes none.

        Args:
            versions: RGB (B, V, 3, h, w) in [0, 1].
            candidates: (B, V) bool, the versions that may be chosen, at least one of each sample.
        """
        quality = self.metric.rate(versions.flatten(0, 1)).view(candidates.shape).double().cpu().numpy()
        allowed = self._keep_scored(quality, candidates.cpu().numpy())
        weights = weigh_choices(self.rule, np.where(np.isfinite(quality), quality, 0.0), allowed, self.tau)
        return torch.from_numpy(self._pick(weights)).to(versions.device)

    def _keep_scored(self, quality: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return the candidates that have a finite score, the original where there is none; warn at the first."""
        scored = candidates & np.isfinite(quality)
        lost = int((candidates & ~scored).sum())
        if lost and not self._warned:
            self._warned = True
            get_root_logger().warning(
                f"scoring: {self.metric.name} has no finite score for {lost} of {int(candidates.sum())} crops of a "
                "batch. They are not chosen; where no version has a score, the original is. Told once."
            )
        scored[~scored.any(-1), 0] = True
        return scored

    def _pick(self, weights: np.ndarray) -> np.ndarray:
        if self.rule == "amo":
            return weights.argmax(-1)
        uniforms = torch.rand(len(weights), dtype=torch.float64).tolist()
        return np.array([draw(row, uniform) for row, uniform in zip(weights, uniforms, strict=True)], np.int64)


def build_gt_choice(opt: Mapping[str, Any], device: torch.device | str) -> GTChoice | None:
    """Return what an option file asks for; None where the dataset chooses: by a score file, or without scores.

    Args:
        opt: the whole option file; datasets.train's sampling, tau and scores, and `scoring` (the arguments of
            build_nr_metric, MUSIQ without them) are read.
        device: of the images.

    Raises:
        OptionError, WeightsError, UserError: see build_nr_metric; the message begins with `scoring`.
    """
    train = (opt.get("datasets") or {}).get("train") or {}
    if not chooses_online(train):
        return None
    try:
        metric = build_nr_metric(**(opt.get("scoring") or {}))
        _ = metric.score_range  # tells at once where there is no scale
    except UserError as error:
        raise type(error)(f"scoring: {error}") from error
    return GTChoice(train["sampling"], train.get("tau") or 10.0, metric.to(device))
