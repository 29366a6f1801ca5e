"""Scores of a metric on the images of a quality data set.

Paper: SFD, tables 3 and 4.
"""

import sys

from prismsr.tools.iqa.metrics import Metric, score_image
from prismsr.tools.iqa.score_log import ScoreLog
from prismsr.tools.iqa.sets import IqaRecord, IqaSet
from prismsr.utils.processes import OnError, run_jobs

import numpy as np


def limited(iqa_set: IqaSet, limit: int | None) -> tuple[IqaSet, list[str]]:
    """The set, or `limit` of its images, evenly spread; and the set's notes."""
    records, notes = iqa_set.records, list(iqa_set.notes)
    if limit is None or limit >= len(records):
        return iqa_set, notes
    chosen = [records[index] for index in np.linspace(0, len(records) - 1, limit).round().astype(int)]
    note = f"only {limit} of the {len(records)} images (--limit): not to be compared with the paper's figures"
    return IqaSet(iqa_set.name, chosen, notes, iqa_set.unions), [note, *notes]


def score_set(
    iqa_set: IqaSet, metric: Metric, log: ScoreLog, workers: int, on_error: OnError
) -> tuple[dict[str, float], list[str]]:
    """Scores by name, those of earlier runs included, and the messages of the images that have none."""
    scores = log.read(iqa_set.records)
    todo: dict[str, IqaRecord] = {record.name: record for record in iqa_set.records if record.name not in scores}
    print(f"{len(iqa_set.records)} images: {len(scores)} scores from {log.path}, {len(todo)} to make", file=sys.stderr)

    def keep(result: tuple[str, float]) -> None:
        name, score = result
        log.append(todo[name], score)
        scores[name] = score

    workers = 1 if metric.is_network else workers  # CUDA, besides, does not survive a fork
    jobs = [(name, record.path, metric) for name, record in todo.items()]
    return scores, run_jobs(
        score_image, jobs, workers=workers, on_error=on_error, label=metric.short_name, consume=keep
    )
