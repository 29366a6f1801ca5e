"""What tools/analyse_iqa.py does between its command line and its report: metrics, their scores, and the figures.

Paper: AMO, section 3.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.data.images.source import FolderSource, open_source
from prismsr.data.multi_gt.groups import Groups, group_keys
from prismsr.data.multi_gt.labels import Labels
from prismsr.data.multi_gt.score_file import ScoreTable
from prismsr.metrics import preference
from prismsr.metrics.no_reference import PYIQA, NRMetric, build_nr_metric
from prismsr.tools.iqa.metrics import Metric, parse_options
from prismsr.tools.iqa.preference_pairs import PreferencePairs
from prismsr.tools.iqa.score_log import ScoreLog
from prismsr.tools.iqa.sets import IqaRecord
from prismsr.utils.errors import DataError, OptionError, UserError
from prismsr.utils.images import eight_bit_bgr, metric_tensor, read_image
from prismsr.utils.processes import OnError, run_jobs

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

CODES = {"Positive": preference.POSITIVE, "Similar": preference.SIMILAR, "Negative": preference.NEGATIVE}


@dataclass(frozen=True)
class Scorer:
    """A metric of the command line, built.

    Attributes:
        name: as given, without `pyiqa:`.
        metric: the network, on the CPU until it is its turn.
        options: its options.
    """

    name: str
    metric: NRMetric
    options: Mapping[str, Any]


def build_scorers(names: Sequence[str], option_texts: Sequence[str]) -> list[Scorer]:
    """Build all metrics, so that what is wrong with the last one is told before the first one has scored for hours.

    Args:
        names: of metrics, see `build_nr_metric`.
        option_texts: "METRIC.KEY=VALUE" each.

    Raises:
        OptionError: a metric is given twice, or an option belongs to none.
        UserError: unknown metric, options or weights; see `build_nr_metric`.
    """
    short = [name.removeprefix(PYIQA) for name in names]
    options: dict[str, dict[str, Any]] = {name: {} for name in short}
    if len(options) < len(short):
        raise OptionError(f"--metric: one is given twice: {', '.join(short)}")
    for key, value in parse_options(list(option_texts)).items():
        name, dot, option = key.removeprefix(PYIQA).rpartition(".")
        if not dot or name not in options:
            raise OptionError(f"--metric-options {key}: write METRIC.KEY=VALUE, METRIC one of {', '.join(short)}")
        options[name][option] = value
    built = zip(short, names, strict=True)
    return [Scorer(one, build_nr_metric(name, **options[one]), options[one]) for one, name in built]


def score_all(
    scorer: Scorer, images: Mapping[str, Path], folder: Path, device: str, on_error: OnError
) -> tuple[dict[str, float], list[str]]:
    """Scores of images, those that an earlier run wrote down included.

    Args:
        scorer: the metric.
        images: files by name.
        folder: where the scores are kept.
        device: torch device.
        on_error: whether an image without a score ends the run.

    Returns:
        Scores by name, negated where lower is better, so that higher is better; and messages of images without one.

    Raises:
        DataError: an image has no score and `on_error` is "stop".
    """
    metric, sign = scorer.metric, -1 if scorer.metric.lower_better else 1
    made_by = {"version": metric.version, "weights_hash": metric.weights_hash(), **scorer.options}
    log = ScoreLog(folder / f"{scorer.name}.csv", Metric(scorer.name, made_by, "lower" if sign < 0 else "higher"))
    records = {name: IqaRecord(name, path, 0.0) for name, path in images.items()}
    scores = log.read(records.values())
    todo = [(name, path, metric, device) for name, path in images.items() if name not in scores]
    print(f"{scorer.name}: {len(scores)} scores from {log.path}, {len(todo)} to make", file=sys.stderr)

    def keep(result: tuple[str, float]) -> None:
        log.append(records[result[0]], result[1])
        scores[result[0]] = result[1]

    if todo:
        metric.to(device)
    try:
        skipped = run_jobs(score_image, todo, workers=1, on_error=on_error, label=scorer.name, consume=keep)
    finally:
        metric.to("cpu")
    return {name: sign * score for name, score in scores.items()}, skipped


def score_image(name: str, path: Path, metric: NRMetric, device: str) -> tuple[str, float]:
    """Name and raw score of one image.

    Raises:
        DataError: the image cannot be read, or the metric has no finite score for it.
    """
    image = metric_tensor(eight_bit_bgr(read_image(path), str(path))).to(device)
    try:
        with torch.no_grad():
            score = float(metric(image))
    except torch.OutOfMemoryError:
        raise
    # the metric itself is complete since it was built: what goes wrong now is the image's, mostly its size
    except (UserError, ValueError, ArithmeticError, IndexError, RuntimeError, AssertionError, cv2.error) as error:
        raise DataError(f"{path}: {metric.name} failed on {_size(image)} pixels: {error}") from error
    if not math.isfinite(score):
        raise DataError(f"{path}: {metric.name} gave {score} on {_size(image)} pixels")
    return name, score


def _size(image: torch.Tensor) -> str:
    return f"{image.shape[3]} x {image.shape[2]}"


def outcomes(pairs: PreferencePairs, scores: Mapping[str, float]) -> NDArray[np.float64]:
    """`preference.pair_outcomes` of a metric; scores by name, higher is better."""
    left, right = ([scores.get(name, math.nan) for name in side] for side in (pairs.left, pairs.right))
    return preference.pair_outcomes(left, right, pairs.choices)


def grouped_images(root: Path, files_needed: bool = True) -> tuple[Groups, dict[str, Path]]:
    """Groups of a set in HGGT's layout, and the files of their images by key (none of an LMDB).

    Raises:
        ImageSourceError: no such set, or versions that do not fit together.
        OptionError: an LMDB, where files are needed.
    """
    source = open_source(root)
    paths = source.paths if isinstance(source, FolderSource) else {}
    if files_needed and not paths:
        raise OptionError(f"{root}: images in an LMDB are not scored here; use `prepare.py score`, and give --scores")
    groups = group_keys(source.keys(), str(root))
    return groups, {key: paths[key] for keys in groups.keys for key in keys if key in paths}


def label_codes(groups: Groups, labels: Labels) -> NDArray[np.int_]:
    """(groups, versions) codes of `preference.misalignment`.

    Raises:
        OptionError: no group of the set has a label.
    """
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


def group_quality(groups: Groups, scores: Mapping[str, float]) -> NDArray[np.float64]:
    """(groups, versions) scores by key, NaN where there is none."""
    return np.array([[scores.get(key, math.nan) for key in keys] for keys in groups.keys])


def table_quality(groups: Groups, table: ScoreTable) -> NDArray[np.float64]:
    """(groups, versions) quality from a score file.

    Raises:
        ScoreFileError: an image has none there.
    """
    return np.stack([table.quality(name, groups.versions) for name in groups.names])
