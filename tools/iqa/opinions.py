"""Correlate a metric's scores of the images of a quality data set with people's opinions.

Paper: SFD, tables 3 and 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prismsr.metrics.correlation import CorrelationError, Correlations, correlate
from prismsr.tools.evaluation.columns import Scorer
from prismsr.tools.evaluation.image_scores import score_images
from prismsr.tools.iqa.sets import IqaRecord, IqaSet
from prismsr.utils.processes import OnError

import numpy as np


@dataclass(frozen=True)
class Group:
    """Correlations over the images of a group that have a score; None where there are none, with a note."""

    name: str
    count: int
    found: Correlations | None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Opinions:
    """How a metric follows the opinions on a set.

    Attributes:
        iqa_set: the set.
        scorer: the metric.
        scores: by name of the image.
        groups: the whole set, "all", and its groups, by name.
        skipped: messages of the images without a score.
    """

    iqa_set: IqaSet
    scorer: Scorer
    scores: Mapping[str, float]
    groups: Mapping[str, Group]
    skipped: Sequence[str]

    @property
    def notes(self) -> list[str]:
        """Return what is to be known of the set and of the figures."""
        lacking = f"{len(self.skipped)} of {len(self.iqa_set.records)} images have no score and are left out"
        own = [note for group in self.groups.values() for note in group.notes]
        return [*self.iqa_set.notes, *([lacking] if self.skipped else []), *own]


def limit_set(iqa_set: IqaSet, limit: int | None) -> IqaSet:
    """Return the set, or `limit` of its images, evenly spread, with a note."""
    records = iqa_set.records
    if limit is None or limit >= len(records):
        return iqa_set
    chosen = [records[index] for index in np.linspace(0, len(records) - 1, limit).round().astype(int)]
    note = f"only {limit} of the {len(records)} images (--limit): not to be compared with the paper's figures"
    return replace(iqa_set, records=chosen, notes=[note, *iqa_set.notes])


def correlate_set(
    iqa_set: IqaSet, scorer: Scorer, store: Path, *, workers: int, device: str, on_error: OnError = "stop"
) -> Opinions:
    """Score the images of a set and correlate the scores with the opinions.

    Raises:
        CorrelationError: there is no correlation over the whole set. Else see `score_images`, which has the arguments.
    """
    images = {record.name: record.path for record in iqa_set.records}
    scores, skipped = score_images(images, scorer, store, workers=workers, device=device, on_error=on_error)
    groups = {name: _correlate_group(name, records, scores) for name, records in iqa_set.split_groups().items()}
    if groups["all"].found is None:
        raise CorrelationError(groups["all"].notes[0])
    return Opinions(iqa_set, scorer, scores, groups, skipped)


def _correlate_group(name: str, records: Sequence[IqaRecord], scores: Mapping[str, float]) -> Group:
    x, y = make_vectors(records, scores)
    try:
        found = correlate(x, y)
    except CorrelationError as error:
        return Group(name, len(x), None, [f"{name}: {error}"])
    return Group(name, len(x), found, [f"{name}: {note}" for note in found.notes])


def make_vectors(records: Sequence[IqaRecord], scores: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (n,) and MOS (n,) of the records that have a score."""
    pairs = [(scores[record.name], record.mos) for record in records if record.name in scores]
    table = np.array(pairs, np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
