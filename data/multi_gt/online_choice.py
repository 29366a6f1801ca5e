"""The version of each ground truth that a step is trained on, chosen online by the quality of the crops (AMO, 2025).

Paper: AMO, choice of ground truths.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prismsr.data.multi_gt.options import MultiGTOptions
from prismsr.data.multi_gt.sampling_rules import Rule, chooses_online, draw, weigh_choices
from prismsr.metrics.catalog import check_no_reference
from prismsr.metrics.no_reference import NRMetric, build_nr_metric, list_nr_metric_needs
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.options.named import dataset_schema
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt, section
from prismsr.utils.weights.files import WeightsError

import numpy as np
import torch
from basicsr.utils import get_root_logger
from torch import Tensor

MOST_TOLD = 10
"""Batches with samples without a score that are told; with small crops it may be each."""


class GTChoice:
    """Score all versions of a batch by one call of the metric, and pick one for each sample.

    Rules and tau are those of prismsr.data.multi_gt.sampling_rules; the metric is on the device of the images.
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
        self.rule, self.tau, self.metric = rule, tau, metric
        self._told = 0

    @torch.no_grad()
    def __call__(self, versions: Tensor, candidates: Tensor, names: Sequence[str] = ()) -> Tensor:
        """Return index (B,), long, of the chosen version of each sample, on the device of the images.

        A candidate without a finite score is passed over; where none has one, the original, version 0, is chosen.
        Where the metric fails for the batch, each crop is scored alone, and one that it fails for has no score.

        sma and smp take B numbers from torch's global CPU generator, whatever the device; amo takes none.

        Args:
            versions: RGB (B, V, 3, h, w) in [0, 1].
            candidates: (B, V) bool, the versions that may be chosen, at least one of each sample.
            names: what the samples are called in messages.

        Raises:
            OptionError, WeightsError, torch.OutOfMemoryError: no sample is to blame for it.
        """
        scores, reasons = self._score(versions.flatten(0, 1))
        quality = scores.view(candidates.shape).double().cpu().numpy()
        allowed = self._keep_scored(quality, candidates.cpu().numpy(), names, reasons)
        weights = weigh_choices(self.rule, np.where(np.isfinite(quality), quality, 0.0), allowed, self.tau)
        return torch.from_numpy(self._pick(weights)).to(versions.device)

    def _score(self, crops: Tensor) -> tuple[Tensor, dict[int, str]]:
        """Return the scores (N,) of crops (N, 3, h, w), and why some have none, by their number."""
        reasons: dict[int, str] = {}
        try:
            return self.metric.rate(crops), reasons
        except Exception as error:  # one sample is not worth a training, which would end here at each resuming
            _raise_if_general(error)
        scores = crops.new_full((len(crops),), math.nan, dtype=torch.float32)
        for number, crop in enumerate(crops.split(1)):
            try:
                scores[number] = self.metric.rate(crop)[0]
            except Exception as error:
                _raise_if_general(error)
                reasons[number] = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return scores, reasons

    def _keep_scored(
        self, quality: np.ndarray, candidates: np.ndarray, names: Sequence[str], reasons: Mapping[int, str]
    ) -> np.ndarray:
        """Return the candidates that have a finite score, the original where there is none; name the others."""
        scored = candidates & np.isfinite(quality)
        lost = candidates & ~scored
        if lost.any() and self._told < MOST_TOLD:
            self._told += 1
            failed = []
            for row in np.flatnonzero(lost.any(-1)).tolist():
                name = names[row] if row < len(names) else f"number {row + 1} of the batch"
                numbers = row * lost.shape[1] + np.flatnonzero(lost[row])
                reason = next((reasons[number] for number in numbers if number in reasons), "the score is not finite")
                failed.append(f"{name} ({reason})")
            last = " This is not told again." if self._told == MOST_TOLD else ""
            get_root_logger().warning(
                f"scoring: {self.metric.name} has no score for {lost.sum()} of {candidates.sum()} crops of a batch, of "
                f"{', '.join(failed)}. They are not chosen; where no version has a score, the original is.{last}"
            )
        scored[~scored.any(-1), 0] = True
        return scored

    def _pick(self, weights: np.ndarray) -> np.ndarray:
        if self.rule == "amo":
            return weights.argmax(-1)
        uniforms = torch.rand(len(weights), dtype=torch.float64).tolist()
        return np.array([draw(row, uniform) for row, uniform in zip(weights, uniforms, strict=True)], np.int64)


def _raise_if_general(error: Exception) -> None:
    if isinstance(error, OptionError | WeightsError | torch.OutOfMemoryError):
        raise error


def build_gt_choice(opt: Mapping[str, Any], device: torch.device | str) -> GTChoice | None:
    """Return what an option file asks for; None where the dataset chooses: by a score file, or without scores.

    Read are datasets.train's sampling, tau and scores, and `scoring`, the arguments of build_nr_metric (MUSIQ without).

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
