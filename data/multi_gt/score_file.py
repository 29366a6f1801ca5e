"""Score files: the quality of every version of every ground truth, by one metric, which the first line names.

Paper: AMO, choice of ground truths.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from prismsr.metrics.no_reference import NRMetric, scale_quality
from prismsr.metrics.score_store import ScoreStore
from prismsr.utils.csv_files import format_rows, parse_finished
from prismsr.utils.errors import UserError
from prismsr.utils.files import atomic_write

import numpy as np
from numpy.typing import NDArray

COLUMNS = ["name", "version", "score"]
_HEADER = re.compile(
    r"# metric=(\S+) version=(.*?) weights=(\w*) lower_better=(true|false) score_range=(\S+),(\S+)(?: options=(.*))?"
)


class ScoreFileError(UserError, ValueError):
    """A score file is missing, of another kind, damaged or incomplete; the message says where and what to do."""


class ScoreHeader(NamedTuple):
    """What scores were made with.

    Attributes:
        metric: its name, see build_nr_metric.
        version: package and version.
        weights: SHA-256 of its weights, "" without any.
        lower_better: whether a lower score means better quality.
        score_range: lowest and highest score.
        options: arguments of the metric that change what it computes, as JSON.
    """

    metric: str
    version: str
    weights: str
    lower_better: bool
    score_range: tuple[float, float]
    options: str = "{}"

    @classmethod
    def of(cls, metric: NRMetric, options: Mapping[str, Any]) -> Self:
        """Return the header of scores by this metric, built with these options; a weights file's path is left out."""
        kept = {key: value for key, value in options.items() if key not in ("weights", "score_range")}
        text = json.dumps(kept, sort_keys=True)
        return cls(metric.name, metric.version, metric.hash_weights(), metric.lower_better, metric.score_range, text)

    def line(self) -> str:
        """Return the first line of a score file."""
        low, high = self.score_range
        return (
            f"# metric={self.metric} version={self.version} weights={self.weights} "
            f"lower_better={str(self.lower_better).lower()} score_range={low:g},{high:g}"
            + (f" options={self.options}" if self.options != "{}" else "")
        )

    @classmethod
    def parse(cls, line: str, path: Path) -> Self:
        """Return the inverse of `line`; ScoreFileError where it is none."""
        found = _HEADER.fullmatch(line.rstrip("\r\n"))
        try:
            if found is None:
                raise ValueError
            metric, version, weights, lower, low, high, options = found.groups()
            return cls(metric, version, weights, lower == "true", (float(low), float(high)), options or "{}")
        except ValueError as error:
            raise ScoreFileError(
                f"{path}: no score file: its first line does not tell the metric; make one by `tools/prepare.py score`"
            ) from error

    def differences(self, other: "ScoreHeader") -> str:
        """Return what differs, for messages: `weights: 12.. there, 34.. now`; "" where nothing does."""
        pairs = zip(self._fields, self, other, strict=True)
        return ", ".join(
            f"{name}: {mine or 'none'} there, {its or 'none'} now" for name, mine, its in pairs if mine != its
        )


class ScoreTable(NamedTuple):
    """A score file: its header, and the raw scores by (name of the group, version)."""

    path: Path
    header: ScoreHeader
    scores: dict[tuple[str, str], float]

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return self.header.metric

    @property
    def weights(self) -> str:
        """Return SHA-256 of the metric's weights."""
        return self.header.weights

    def find_quality(self, name: str, versions: Sequence[str]) -> NDArray[np.float64]:
        """Return quality of versions of one image, 0 to 100, higher is better, see NRMetric.rate.

        ScoreFileError where one of them has no score.
        """
        missing = [version for version in versions if (name, version) not in self.scores]
        if missing:
            raise ScoreFileError(
                f"{self.path}: no score of {name} in {', '.join(missing)}; `tools/prepare.py score` with the same -o "
                "adds what is missing"
            )
        raw = np.array([self.scores[name, version] for version in versions], np.float64)
        return np.asarray(scale_quality(raw, self.header.lower_better, self.header.score_range))


def read_scores(path: Path) -> ScoreTable:
    """Read a score file; a last line that was cut off while it was written is left out.

    Raises:
        ScoreFileError: no such file, no score file, or a line that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf8")
    except OSError as error:
        raise ScoreFileError(
            f"{path}: cannot be read ({error.strerror}); make it by `tools/prepare.py score`"
        ) from error
    except UnicodeDecodeError as error:
        raise ScoreFileError(f"{path}: no score file: it is no text") from error
    first, _, rest = text.partition("\n")
    header = ScoreHeader.parse(first, path)
    rows = parse_finished(rest)
    if rows[:1] != [COLUMNS]:
        raise ScoreFileError(f"{path}, line 2: the columns must be {','.join(COLUMNS)}")
    scores = {}
    for number, row in enumerate(rows[1:], 3):
        name, version, score = _row(row, path, number)
        scores[name, version] = score
    return ScoreTable(path, header, scores)


def _row(row: list[str], path: Path, number: int) -> tuple[str, str, float]:
    try:
        name, version, score = row
        if math.isfinite(float(score)):
            return name, version, float(score)
    except ValueError:
        pass
    raise ScoreFileError(f"{path}, line {number}: {','.join(row)!r} is no name, version and finite score")


class ScoreWriter:
    """Adds lines to a score file, each of which is on disk when `add` returns; `overwrite` begins it anew.

    Raises:
        ScoreFileError: the file is no score file, or its scores were made with something else.
    """

    def __init__(self, path: Path, header: ScoreHeader, overwrite: bool = False) -> None:
        self.done: set[tuple[str, str]] = set()
        self._store = ScoreStore(path, COLUMNS)
        if overwrite or not path.is_file() or not path.stat().st_size:
            atomic_write(path, f"{header.line()}\n{format_rows([COLUMNS])}".encode())
            return
        table = read_scores(path)
        if table.header != header:
            raise ScoreFileError(
                f"{path} holds scores that were made with something else ({table.header.differences(header)}); add "
                "--overwrite to make it anew, or choose another file with -o"
            )
        self.done = set(table.scores)

    def add(self, name: str, version: str, score: float) -> None:
        """Write one finite score down."""
        self._store.append([((name, version), score)])
        self.done.add((name, version))
