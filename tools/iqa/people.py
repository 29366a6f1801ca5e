"""Compare no-reference metrics with people: in pairs of images, and on HGGT's labels.

Paper: AMO, section 3.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.data.images.source import FolderSource, open_source
from prismsr.data.multi_gt.groups import Groups, group_keys
from prismsr.data.multi_gt.labels import Labels
from prismsr.data.multi_gt.score_file import ScoreTable
from prismsr.metrics import preference
from prismsr.metrics.catalog import find_metric
from prismsr.tools.evaluation.columns import MetricSpec, Scorer, make_scorer
from prismsr.tools.evaluation.image_scores import score_images
from prismsr.tools.iqa.preference_pairs import PreferencePairs
from prismsr.utils.errors import OptionError
from prismsr.utils.processes import OnError, count_cores

import numpy as np
from numpy.typing import NDArray

CODES = {"Positive": preference.POSITIVE, "Similar": preference.SIMILAR, "Negative": preference.NEGATIVE}


@dataclass(frozen=True)
class Choices:
    """How metrics agree with people's choices in pairs, each by the metric's name in the catalogue.

    `shares` and `counts` are (M, M) of `preference.compute_complementarity`, in the order of the `agreements`. `notes`
    are on images without a score.
    """

    agreements: Mapping[str, preference.Agreement]
    shares: NDArray[np.float64]
    counts: NDArray[np.int64]
    notes: Sequence[str]


def build_scorers(names: Sequence[str], settings: Mapping[str, Mapping[str, Any]]) -> list[Scorer]:
    """Build all metrics, so that what is wrong with the last one is told before the first one has scored for hours.

    Raises:
        OptionError: a metric is given twice, or settings belong to none.
        UserError: unknown metric, settings or weights; see `make_scorer`.
    """
    known = [find_metric(name, "none").name for name in names]
    if len(set(known)) < len(known):
        raise OptionError(f"--metric: one is given twice: {', '.join(known)}")
    if unknown := settings.keys() - set(known):
        raise OptionError(f"--metric-options: {unknown.pop()} is not among the metrics: {', '.join(known)}")
    return [make_scorer(MetricSpec(name, settings.get(name, {}))) for name in known]


def score_all(
    scorers: Sequence[Scorer], images: Mapping[str, Path], folder: Path, device: str, on_error: OnError
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Score images by several metrics; what an earlier run kept in `folder` is not made again. See `score_images`.

    Returns:
        Scores by metric and name, negated where lower is better, so that higher is better; and a note for each metric
        with images that have none.
    """
    found, notes = {}, []
    for scorer in scorers:
        name, sign = scorer.spec.known.name, -1 if scorer.better == "lower" else 1
        store = folder / f"{name}.csv"
        scores, skipped = score_images(images, scorer, store, workers=count_cores(), device=device, on_error=on_error)
        found[name] = {image: sign * score for image, score in scores.items()}
        if skipped:
            notes.append(f"{name}: {len(skipped)} of {len(images)} images have no score, first: {skipped[0]}")
        if scorer.network is not None:
            scorer.network.to("cpu")  # the next one may need the memory
    return found, notes


def compare_choices(
    pairs: PreferencePairs, root: Path, scorers: Sequence[Scorer], folder: Path, device: str, on_error: OnError = "stop"
) -> Choices:
    """Compare metrics with people's choices in pairs of images below `root`, and with one another; see `score_all`."""
    images = {name: root / name for name in pairs.list_names()}
    scores, notes = score_all(scorers, images, folder, device, on_error)
    found = {name: find_outcomes(pairs, each) for name, each in scores.items()}
    agreements = {name: preference.count_agreement(outcome, pairs.choices) for name, outcome in found.items()}
    return Choices(agreements, *preference.compute_complementarity(np.stack(list(found.values()))), notes)


def find_outcomes(pairs: PreferencePairs, scores: Mapping[str, float]) -> NDArray[np.float64]:
    """Return `preference.judge_pairs` of a metric; scores by name, higher is better."""
    left, right = ([scores.get(name, math.nan) for name in side] for side in (pairs.left, pairs.right))
    return preference.judge_pairs(left, right, pairs.choices)


def group_images(root: Path, files_needed: bool = True) -> tuple[Groups, dict[str, Path]]:
    """Return groups of a set in HGGT's layout, and the files of their images by key (none of an LMDB).

    Raises:
        ImageSourceError: no such set, or versions that do not fit. OptionError: an LMDB, where files are needed.
    """
    source = open_source(root)
    paths = source.paths if isinstance(source, FolderSource) else {}
    if files_needed and not paths:
        raise OptionError(f"{root}: images in an LMDB are not scored here; use `prepare.py score`, and give --scores")
    groups = group_keys(source.keys(), str(root))
    return groups, {key: paths[key] for keys in groups.keys for key in keys if key in paths}


def encode_labels(groups: Groups, labels: Labels) -> NDArray[np.int_]:
    """Return (groups, versions) codes of `preference.measure_misalignment`; OptionError where no group has a label."""
    codes = np.full((len(groups.names), len(groups.versions)), preference.UNKNOWN)
    codes[:, 0] = preference.ORIGINAL
    for row, name in enumerate(groups.names):
        for version, label in labels.get(name, {}).items():
            if version in groups.versions[1:]:
                codes[row, groups.versions.index(version)] = CODES[label.label]
    if (codes[:, 1:] == preference.UNKNOWN).all():
        given = next(iter(labels), "none")
        raise OptionError(
            f"no label belongs to a group of the images: these are named as {groups.names[0]}, the labels as {given}"
        )
    return codes


def arrange_scores(groups: Groups, scores: Mapping[str, float]) -> NDArray[np.float64]:
    """Return (groups, versions) scores by key, NaN where there is none."""
    return np.array([[scores.get(key, math.nan) for key in keys] for keys in groups.keys])


def read_quality(groups: Groups, table: ScoreTable) -> NDArray[np.float64]:
    """Return (groups, versions) quality from a score file; ScoreFileError where an image has none there."""
    return np.stack([table.find_quality(name, groups.versions) for name in groups.names])
