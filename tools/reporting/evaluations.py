"""Read the evaluations in a tree of results, by data set and protocol."""

import csv
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prismsr.tools.evaluation.results import SCORES, SUMMARY
from prismsr.tools.evaluation.summary import MetricSummary
from prismsr.utils.errors import OptionError
from prismsr.utils.names import did_you_mean

ROOT = Path(__file__).resolve().parents[2]
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
        sr, gt: the folders of images, as the summary names them.
        protocol: what was done, line by line.
        metrics: by column.
        scores: by image and column.
        missing: columns that were not run, with the reason.
        versions: of the packages.
    """

    method: str
    dataset: str
    folder: Path
    sr: str
    gt: str | None
    protocol: tuple[str, ...]
    metrics: Mapping[str, MetricSummary]
    scores: Scores
    missing: Mapping[str, str]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Group:
    """Evaluations that share a table: one data set, one protocol."""

    dataset: str
    protocol: str
    evaluations: tuple[Evaluation, ...]

    @property
    def columns(self) -> list[str]:
        """All metrics of any evaluation, in the order in which they appear."""
        names = [name for one in self.evaluations for name in (*one.metrics, *one.missing)]
        return list(dict.fromkeys(names))

    @property
    def images(self) -> set[str]:
        """Names of all images with a score."""
        return {image for one in self.evaluations for image in one.scores}

    @property
    def protocols(self) -> list[str]:
        """What was done; each text once."""
        return list(dict.fromkeys("\n".join(one.protocol) for one in self.evaluations))

    @property
    def versions(self) -> list[str]:
        """Versions of the packages; each text once."""
        told = (", ".join(f"{name} {version}" for name, version in one.versions.items()) for one in self.evaluations)
        return list(dict.fromkeys(text for text in told if text))

    @property
    def folders(self) -> list[str]:
        """Where each method's images and results lie."""
        return [
            f"{one.method}: {shorten_path(one.sr)}{f' against {shorten_path(one.gt)}' if one.gt else ''}, "
            f"results in {shorten_path(str(one.folder))}"
            for one in self.evaluations
        ]


@dataclass
class Results:
    """All that was found.

    Attributes:
        groups: tables of evaluations.
        problems: what is missing or cannot be read, for the reader.
    """

    groups: list[Group] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_results(root: Path, methods: Sequence[str] = ()) -> Results:
    """Read all evaluations below a folder; what is damaged is told in the result and left out.

    Args:
        root: the folder.
        methods: which methods, in this order; NAME=TITLE gives a name for the page. All where there is none.

    Raises:
        OptionError: no such folder, or a method that it does not hold.
    """
    if not root.is_dir():
        raise OptionError(f"{root}: no such folder")
    found, results = [], Results()
    for path in sorted(root.rglob(SUMMARY)):
        try:
            found.append(read_evaluation(path.parent, results.problems))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            results.problems.append(f"{path}: is no summary of an evaluation ({type(error).__name__}: {error})")
    for path in sorted(root.rglob(SCORES)):
        if not (path.parent / SUMMARY).is_file():
            results.problems.append(f"{path.parent}: has {SCORES} and no {SUMMARY}; evaluate again")
    results.groups = split_by_table(choose_methods(make_names_unique(found), methods))
    return results


def read_evaluation(folder: Path, problems: list[str]) -> Evaluation:
    """Read the evaluation of a folder; scores.csv may be missing, which is told.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError: the summary is not what an evaluation writes.
    """
    content = json.loads((folder / SUMMARY).read_text(encoding="utf8"))
    metrics = {str(name): _metric(entry) for name, entry in content["metrics"].items()}
    sr, gt = str(content["sr"]), content.get("gt")
    dataset = name_dataset(sr, gt)
    failures = [message for told in content.get("failed", {}).values() for message in told]
    problems.extend(f"{folder}: {message}" for message in failures)
    return Evaluation(
        name_method(sr, dataset),
        dataset,
        folder,
        sr,
        gt,
        tuple(map(str, content.get("protocol") or ["protocol not said"])),
        metrics,
        _read_scores(folder / SCORES, problems),
        {str(name): str(reason) for name, reason in content.get("missing", {}).items()},
        {str(name): str(version) for name, version in content.get("versions", {}).items()},
    )


def _metric(entry: Mapping[str, Any]) -> MetricSummary:
    mean, std = (None if entry.get(key) is None else float(entry[key]) for key in ("mean", "std"))
    version, weights, device, settings = (
        str(entry.get(key, "")) for key in ("version", "weights", "device", "settings")
    )
    if entry["better"] not in ("higher", "lower"):
        raise ValueError(f"better is {entry['better']!r}")
    count = int(entry["count"])
    expected = int(entry.get("expected", count))
    return MetricSummary(mean, std, count, expected, entry["better"], version, weights, device, settings)


def _read_scores(path: Path, problems: list[str]) -> Scores:
    scores: Scores = defaultdict(dict)
    try:
        with path.open(encoding="utf8", errors="surrogateescape", newline="") as file:
            for row in csv.DictReader(file):
                scores[row["image"]][row["metric"]] = float(row["value"])
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        problems.append(f"{path}: the scores of single images cannot be read ({type(error).__name__}: {error})")
    return dict(scores)


# ------------------------------------------------------------------------------------------------ names


def name_dataset(sr: str, gt: str | None) -> str:
    """Return the data set's name: the last folder of the GT's path, or of the SR images', that says something."""
    return _last_telling(gt if gt is not None else sr)


def name_method(sr: str, dataset: str) -> str:
    """Return the method's name: the last folder of the SR images' path that says something and is not the data set."""
    return _last_telling(sr, dataset)


def _last_telling(path: str, but: str = "") -> str:
    parts = [part for part in Path(path).parts if part not in ("/", ".", "..")]
    telling = [part for part in parts if part.lower() not in (*GENERIC, but.lower()) and not _HASH.fullmatch(part)]
    return (telling or parts or [path])[-1]


def make_names_unique(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Put the results' folder into the names of methods that would stand twice in one table."""
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    for one in evaluations:
        counts[*_table(one), one.method] += 1
    return [
        replace(one, method=f"{one.method} ({one.folder.name})") if counts[*_table(one), one.method] > 1 else one
        for one in evaluations
    ]


def _table(evaluation: Evaluation) -> tuple[str, str]:
    return evaluation.dataset, evaluation.protocol[0]


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
        tables[_table(one)].append(one)
    return [Group(dataset, protocol, tuple(tables[dataset, protocol])) for dataset, protocol in sorted(tables)]


def shorten_path(path: str) -> str:
    """Return a path as the page shows it: one in the repository without what lies before it."""
    return Path(path).relative_to(ROOT).as_posix() if Path(path).is_relative_to(ROOT) else path
