"""What an evaluation found: means over a set, what they were made with, and what is missing."""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prismsr.tools.evaluation.matching import Item
from prismsr.utils.csv_files import write_rows
from prismsr.utils.files import atomic_write
from prismsr.utils.tables import markdown_table
from prismsr.version import __version__

import cv2
import numpy as np

SCORES = "scores.csv"
SUMMARY = "summary.json"
_HASH = 12  # characters of a hash that are printed
_SHOWN = 20
_PACKAGES = ("basicsr", "torch", "torchvision", "numpy", "scipy", "pillow", "pyiqa", "stlpips_pytorch")


@dataclass(frozen=True)
class MetricSummary:
    """One column: its mean over images, those of one group averaged first; None where no image has a value.

    `std` is the standard deviation of what the mean is over (divided by n), None for metrics of the whole set. Where
    `count`, the images with a value, is less than `expected`, the mean is not over the whole set.
    """

    mean: float | None
    std: float | None
    count: int
    expected: int
    better: str
    version: str
    weights: str
    device: str
    settings: str


@dataclass
class Summary:
    """What an evaluation of the folders found, by the `protocol` in words, line by line.

    `metrics` are by column, `values` by column and image; `failed` says by image what went wrong. `missing` are columns
    that cannot run here, with the reason. `versions` are those of the packages.
    """

    sr: str
    gt: str | None
    protocol: list[str]
    metrics: dict[str, MetricSummary] = field(default_factory=dict)
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Return whether every image has a value in every column that can run here."""
        return not self.failed and all(metric.count == metric.expected for metric in self.metrics.values())


def average_groups(values: Mapping[str, float], items: Sequence[Item]) -> tuple[float | None, float | None]:
    """Return mean and standard deviation (divided by n) over groups of the means over a group's images.

    Where each image is a group of its own this is the plain mean; None without values.
    """
    groups: dict[str, list[float]] = {}
    for item in items:
        if item.name in values:
            groups.setdefault(item.group, []).append(values[item.name])
    if not groups:
        return None, None
    means = np.array([np.mean(group) for group in groups.values()])
    with np.errstate(invalid="ignore"):  # infinite PSNR
        return float(means.mean()), float(means.std())


def average_best(values: Mapping[str, float], groups: Sequence[Sequence[str]], better: str) -> float:
    """Return the mean over groups of images of the best value in each, as AMO's Gold Standard (caption of its table 7).

    `better` is "higher" or "lower"; all images of a group have a value.

    Example:
        >>> average_best({"a1": 3.0, "a2": 5.0, "b1": 2.0, "b2": 1.0}, [("a1", "a2"), ("b1", "b2")], "higher")
        3.5
    """
    best = max if better == "higher" else min
    return float(np.mean([best(values[name] for name in group) for group in groups]))


def count_digits(column: str) -> int:
    """Return the number of digits that a column has behind the point; the papers print two of these, four of others."""
    return 2 if column in ("PSNR", "FID", "MUSIQ", "grid") else 4


def list_versions() -> dict[str, str]:
    """Return versions of what takes part."""
    found = {"prismsr": __version__, "python": platform.python_version(), "opencv": cv2.__version__}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def write_results(output: Path, summary: Summary) -> None:
    """Write scores.csv (image, metric, value) and summary.json; OSError where they cannot be written."""
    rows = [
        [image, column, repr(value)] for column, values in summary.values.items() for image, value in values.items()
    ]
    write_rows(output / SCORES, ["image", "metric", "value"], rows)
    atomic_write(output / SUMMARY, (json.dumps(make_json(summary), indent=1) + "\n").encode("utf8"))


def make_json(summary: Summary) -> dict[str, Any]:
    """Return the summary without the single values, for JSON; an infinite number is text, "inf" as float() reads it."""
    content = asdict(summary)
    del content["values"]
    for metric in content["metrics"].values():
        infinite = [key for key in ("mean", "std") if metric[key] is not None and not math.isfinite(metric[key])]
        metric.update({key: repr(metric[key]) for key in infinite})
    return content


def format_markdown(summary: Summary) -> str:
    """Return the table for the terminal and for reports, with what is missing below it."""
    head = ["metric", "mean", "std", "images", "better", "settings", "version", "weights", "device"]
    rows = [_format_cells(column, metric) for column, metric in summary.metrics.items()]
    rows += [[column, "not run", *["-"] * (len(head) - 2)] for column in summary.missing]
    return "\n".join([markdown_table(head, rows, "lrrrlllll"), *_list_notes(summary)])


def _format_cells(column: str, metric: MetricSummary) -> list[str]:
    count = str(metric.count) if metric.count == metric.expected else f"**{metric.count} of {metric.expected}**"
    numbers = ["-" if value is None else f"{value:.{count_digits(column)}f}" for value in (metric.mean, metric.std)]
    weights = metric.weights[:_HASH] or "-"
    return [column, *numbers, count, metric.better, metric.settings, metric.version, weights, metric.device]


def _list_notes(summary: Summary) -> list[str]:
    lines = []
    short = [column for column, metric in summary.metrics.items() if metric.count < metric.expected]
    if short:
        lines += [
            "",
            f"The means of {', '.join(short)} are not over the whole set: images without a value are left out.",
        ]
    if summary.failed:
        messages = [message for told in summary.failed.values() for message in told]
        lines += ["", f"{len(messages)} failures:", *(f"- {message}" for message in messages[:_SHOWN])]
        lines += [f"- and {len(messages) - _SHOWN} more"] * (len(messages) > _SHOWN)
    if summary.missing:
        lines += ["", "Not run:", *(f"- {column}: {reason}" for column, reason in summary.missing.items())]
    return lines
