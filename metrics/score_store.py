"""Keep scores on disk as they are made, and find them again while nothing that they depend on has changed."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prismsr.utils.csv_files import append_rows, prepare_to_append, read_rows
from prismsr.utils.errors import OptionError

COLUMNS = ("image", "reference", "files", "metric", "value")
"""Names of an image and of what it is compared with, states of both files, and what made the score."""
OLD_COLUMNS = ["file", "size", "mtime_ns", "metric", "options", "score"]
"""Files of the versions before 0.2: they do not say for certain which weights made a score."""
Key = tuple[str, ...]


class ScoreStore:
    """A CSV file with a line per score: its key, and the score last. Lines with other keys stay and are not used."""

    def __init__(self, path: Path, columns: Sequence[str] = COLUMNS) -> None:
        self.path, self.columns, self._ready = path, list(columns), False

    def read(self) -> dict[Key, float]:
        """Return all scores by key; of equal keys the last, without a line that was cut off.

        OptionError where the file is no store of scores. One of an older version is moved to NAME.old, and said so.
        """
        if not self.path.is_file():
            return {}
        rows = read_rows(self.path)
        if rows and rows[0] == OLD_COLUMNS:
            self._ready = False
            old = self.path.replace(self.path.with_name(f"{self.path.name}.old"))
            print(f"{old}: scores of an older version, whose weights are not known, are made anew", file=sys.stderr)
            return {}
        if rows and rows[0] != self.columns:
            raise OptionError(f"{self.path} has other columns than the scores of this tool; move it away")
        return {tuple(row[:-1]): value for row in rows[1:] if (value := self._value(row)) is not None}

    def _value(self, row: Sequence[str]) -> float | None:
        try:
            return float(row[-1]) if len(row) == len(self.columns) else None
        except ValueError:
            return None

    def append(self, lines: Iterable[tuple[Key, float]]) -> None:
        """Write scores down; they are in the operating system's hands when this returns."""
        rows = [[*key, repr(float(value))] for key, value in lines]
        if not rows:
            return
        if not self._ready:
            prepare_to_append(self.path, self.columns)
            self._ready = True
        append_rows(self.path, rows)


def make_score_key(name: str, options: Mapping[str, Any], version: str, weights: str) -> str:
    """Return what a score depends on besides the images, as text; the device is no part of it.

    `weights` is their SHA-256; "" where there are none.

    Example:
        >>> make_score_key("niqe", {"crop_border": 4}, "basicsr 1.4.2", "ab12")
        '["niqe", {"crop_border": 4}, "basicsr 1.4.2", "ab12"]'
    """
    return json.dumps([name, dict(options), version, weights], sort_keys=True)


def read_file_state(path: Path) -> str:
    """Return size and time of change of a file; of one that is not there "missing", and reading it will tell.

    Example:
        >>> read_file_state(Path("/no/such/file"))
        'missing'
    """
    try:
        status = path.stat()
    except OSError:
        return "missing"
    return f"{status.st_size}:{status.st_mtime_ns}"
