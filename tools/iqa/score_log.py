"""The scores of tools/evaluate_iqa.py on disk: appended as they are made, and found again by the next run."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prismsr.tools.iqa.metrics import Metric
from prismsr.tools.iqa.sets import IqaRecord
from prismsr.utils.csv_files import ready_to_append
from prismsr.utils.errors import OptionError

COLUMNS = ["file", "size", "mtime_ns", "metric", "options", "score"]


class ScoreLog:
    """A CSV file, one line per scored image; lines of other metrics, options or older files stay and are not used."""

    def __init__(self, path: Path, metric: Metric) -> None:
        self.path = path
        self.metric = metric
        # the device is left out: it is no part of what a score means
        options = {key: _with_state(value) for key, value in metric.options.items()}
        self._key = [metric.name, json.dumps(options, sort_keys=True)]

    def read(self, records: Iterable[IqaRecord]) -> dict[str, float]:
        """Scores, by name, of those images that were scored by this metric with these options and did not change since.

        Raises:
            OptionError: the file is no score log.
            OSError: the file, or an image, cannot be read.
        """
        if not self.path.is_file():
            return {}
        with self.path.open(encoding="utf8", newline="") as file:
            rows = list(csv.reader(file))
        if rows and rows[0] != COLUMNS:
            raise OptionError(f"{self.path} has other columns than the scores of this tool; move it away")
        known = {tuple(row[:5]): float(row[5]) for row in rows[1:] if len(row) == len(COLUMNS)}
        keys = {record.name: tuple(self._line(record)) for record in records}
        return {name: known[key] for name, key in keys.items() if key in known}

    def append(self, record: IqaRecord, score: float) -> None:
        """Write one score down; it is in the operating system's hands when this returns."""
        ready_to_append(self.path, COLUMNS)
        with self.path.open("a", encoding="utf8", newline="") as file:
            csv.writer(file).writerow([*self._line(record), repr(score)])

    def _line(self, record: IqaRecord) -> list[str]:
        status = record.path.stat()
        return [record.name, str(status.st_size), str(status.st_mtime_ns), *self._key]


def _with_state(value: Any) -> Any:
    """An option's value; with size and time of change where it names a file, such as weights."""
    if not isinstance(value, str) or not Path(value).is_file():
        return value
    status = Path(value).stat()
    return [value, status.st_size, status.st_mtime_ns]
