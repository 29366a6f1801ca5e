"""Read the evaluations in a tree of results, by data set and protocol."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prismsr.tools.evaluation.summary import SCORES, SUMMARY, Summary
from prismsr.utils.command_line import ROOT
from prismsr.utils.csv_files import read_rows
from prismsr.utils.errors import OptionError
from prismsr.utils.names import did_you_mean

from pydantic import TypeAdapter, ValidationError

GENERIC = ("gt", "hr", "sr", "val", "test", "original", "images", "results", "visualization", "output")
"""Names of folders that name neither a method nor a data set."""
_HASH = re.compile(r"[0-9a-f]{12}")  # folders of tools/reproduce.py

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Evaluation:
    """One folder with a summary.json.

    Attributes:
        method, dataset: names in the tables.
        folder: where the summary lies.
        summary: its content.
        scores: by image and column.
    """

    method: str
    dataset: str
    folder: Path
    summary: Summary
    scores: Scores


@dataclass(frozen=True)
class Group:
    """Evaluations that share a table: one data set, one protocol."""

    dataset: str
    protocol: str
    evaluations: tuple[Evaluation, ...]

    @property
    def columns(self) -> list[str]:
        """Return all metrics of any evaluation, in the order in which they appear."""
        names = [name for one in self.evaluations for name in (*one.summary.metrics, *one.summary.missing)]
        return list(dict.fromkeys(names))

    @property
    def images(self) -> set[str]:
        """Return names of all images with a score."""
        return {image for one in self.evaluations for image in one.scores}

    @property
    def protocols(self) -> list[str]:
        """Return what was done; each text once."""
        return list(dict.fromkeys("\n".join(one.summary.protocol) for one in self.evaluations))

    @property
    def versions(self) -> list[str]:
        """Return versions of the packages; each text once."""
        told = (
            ", ".join(f"{name} {version}" for name, version in one.summary.versions.items()) for one in self.evaluations
        )
        return list(dict.fromkeys(text for text in told if text))


def read_results(root: Path, methods: Sequence[str], problems: list[str]) -> list[Group]:
    """Read all evaluations below a folder; what is damaged is told and left out.

    Args:
        root: the folder.
        problems: receives what is missing or cannot be read.
        methods: which methods, in this order; NAME=TITLE gives a name for the page. All where there is none.

    Raises:
        OptionError: no such folder, or a method that it does not hold.
    """
    if not root.is_dir():
        raise OptionError(f"{root}: no such folder")
    found = []
    for path in sorted(root.rglob(SUMMARY), key=lambda path: (str(path).casefold(), path)):
        try:
            found.append(_read_evaluation(path.parent, problems))
        except (OSError, ValueError) as error:
            problems.append(f"{path}: is no summary of an evaluation ({describe_error(error)})")
    for path in sorted(root.rglob(SCORES)):
        if not (path.parent / SUMMARY).is_file():
            problems.append(f"{path.parent}: has {SCORES} and no {SUMMARY}; evaluate again")
    return split_by_table(choose_methods(make_names_unique(found), methods))


def _read_evaluation(folder: Path, problems: list[str]) -> Evaluation:
    summary = TypeAdapter(Summary).validate_json((folder / SUMMARY).read_bytes())
    problems.extend(f"{folder}: {message}" for told in summary.failed.values() for message in told)
    dataset = find_name(summary.sr if summary.gt is None else summary.gt)
    method = find_name(summary.sr, dataset)
    return Evaluation(method, dataset, folder, summary, _read_scores(folder / SCORES, problems))


def describe_error(error: Exception) -> str:
    """Return what is wrong with a file, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    return f"{type(error).__name__}: {error}"


def _read_scores(path: Path, problems: list[str]) -> Scores:
    scores: Scores = defaultdict(dict)
    try:
        header, *rows = read_rows(path) or [[]]
        for row in (dict(zip(header, cells, strict=False)) for cells in rows if cells):
            scores[row["image"]][row["metric"]] = float(row["value"])
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        problems.append(f"{path}: the scores of single images cannot be read ({describe_error(error)})")
    return dict(scores)


# ------------------------------------------------------------------------------------------------ names


def find_name(path: str, but: str = "") -> str:
    """Return the last folder of a path that says something: a data set's of its GT, or a method's of its SR images.

    `but` is the data set, which names no method.
    """
    parts = [part for part in Path(path).parts if part not in ("/", ".", "..")]
    telling = [part for part in parts if part.lower() not in (*GENERIC, but.lower()) and not _HASH.fullmatch(part)]
    return (telling or parts or [path])[-1]


def make_names_unique(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Put the results' folder into the names of methods that would stand twice in one table."""
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    for one in evaluations:
        counts[*_find_table(one), one.method] += 1
    return [
        replace(one, method=f"{one.method} ({one.folder.name})") if counts[*_find_table(one), one.method] > 1 else one
        for one in evaluations
    ]


def _find_table(evaluation: Evaluation) -> tuple[str, str]:
    return evaluation.dataset, next(iter(evaluation.summary.protocol), "protocol not said")


def choose_methods(evaluations: Sequence[Evaluation], methods: Sequence[str]) -> list[Evaluation]:
    """Return the evaluations of these methods in this order, with their titles; see `read_results`."""
    if not methods:
        return list(evaluations)
    known = {one.method for one in evaluations}
    picked = []
    for text in methods:
        name, _, title = text.partition("=")
        if name not in known:
            raise OptionError(f"--methods {name}: there is none{did_you_mean(name, known)}")
        picked += [replace(one, method=title or name) for one in evaluations if one.method == name]
    return picked


def split_by_table(evaluations: Iterable[Evaluation]) -> list[Group]:
    """Return a group per data set and protocol, sorted by name; methods keep their order."""
    tables: dict[tuple[str, str], list[Evaluation]] = defaultdict(list)
    for one in evaluations:
        tables[_find_table(one)].append(one)
    return [Group(dataset, protocol, tuple(tables[dataset, protocol])) for dataset, protocol in sorted(tables)]


def shorten_path(path: str | Path) -> str:
    """Return a path as the page shows it: one in the repository without what lies before it."""
    return Path(path).relative_to(ROOT).as_posix() if Path(path).is_relative_to(ROOT) else str(path)
