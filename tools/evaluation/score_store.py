"""Scores on disk as they are made, and found again by the next run while nothing that they depend on has changed."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from prismsr.tools.evaluation.columns import Scorer
from prismsr.tools.evaluation.matching import Item
from prismsr.utils.csv_files import ready_to_append
from prismsr.utils.errors import OptionError

COLUMNS = ["image", "reference", "files", "metric", "value"]


class Unit(NamedTuple):
    """One score that is wanted: of an image, against one reference (-1: none), in a column."""

    name: str
    reference: int
    column: str


class ScoreStore:
    """A CSV file, one line per score; lines of other metrics, settings, weights or older files stay and are not used.

    A score belongs to names, sizes and times of change of its files, and to the metric with all its settings, its
    version and the hash of its weights. The device is no part of it.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checked = False

    def read(self, items: Iterable[Item], scorers: Iterable[Scorer], align: str) -> dict[Unit, float]:
        """The scores of earlier runs that are still good.

        Raises:
            OptionError: the file is no store of scores.
        """
        known = self._lines()
        found = {}
        for item in items if known else ():
            for unit, key in self.keys(item, scorers, align):
                if key in known:
                    found[unit] = known[key]
        return found

    def keys(self, item: Item, scorers: Iterable[Scorer], align: str) -> Iterator[tuple[Unit, tuple[str, ...]]]:
        """All scores that an image is to have, each with what is written in its line."""
        own = _identity(item.sr)
        others = [_identity(path) for path in item.references]
        for scorer in scorers:
            if scorer.kind == "set":
                continue
            for index in references_of(scorer, item):
                files, reference = own, ""
                if index >= 0:
                    files, reference = f"{own} {others[index]} {align}", str(item.references[index].name)
                yield Unit(item.name, index, scorer.column), (item.name, reference, files, scorer.key)

    def append(self, lines: Iterable[tuple[tuple[str, ...], float]]) -> None:
        """Write scores down; they are in the operating system's hands when this returns."""
        rows = [[*key, repr(float(value))] for key, value in lines]
        if not rows:
            return
        self._prepare()
        with self.path.open("a", encoding="utf8", errors="surrogateescape", newline="") as file:
            csv.writer(file).writerows(rows)

    def find(self, key: tuple[str, ...]) -> float | None:
        """The value of one line, None where there is none."""
        return self._lines().get(key)

    def _lines(self) -> dict[tuple[str, ...], float]:
        if not self.path.is_file():
            return {}
        with self.path.open(encoding="utf8", errors="surrogateescape", newline="") as file:
            rows = list(csv.reader(file))
        if rows and rows[0] != COLUMNS:
            raise OptionError(f"{self.path} has other columns than the scores of this tool; move it away")
        width = len(COLUMNS)
        return {tuple(row[: width - 1]): value for row in rows[1:] if (value := _value(row)) is not None}

    def _prepare(self) -> None:
        if self._checked:
            return
        self._checked = True
        ready_to_append(self.path, COLUMNS)


def references_of(scorer: Scorer, item: Item) -> range:
    """Indices of the references that a metric is computed against; -1 alone where it needs none."""
    compares = scorer.kind == "full" or scorer.spec.metric in ("psnr", "ssim")
    return range(len(item.references)) if compares else range(-1, 0)


def _identity(path: Path) -> str:
    """Size and time of change; of a file that is not there nothing, and reading it will tell."""
    try:
        status = path.stat()
    except OSError:
        return "missing"
    return f"{status.st_size}:{status.st_mtime_ns}"


def _value(row: list[str]) -> float | None:
    try:
        return float(row[-1]) if len(row) == len(COLUMNS) else None
    except ValueError:
        return None
