"""Results of an evaluation as CSV, JSON and Markdown."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prismsr.tools.evaluation.summary import MetricSummary, Summary, count_digits
from prismsr.utils.csv_files import write_rows
from prismsr.utils.files import atomic_write
from prismsr.utils.tables import markdown_table

SCORES = "scores.csv"
SUMMARY = "summary.json"
_HASH = 12  # characters of a hash that are printed
_SHOWN = 20


def write_results(output: Path, summary: Summary) -> None:
    """Write scores.csv (image, metric, value) and summary.json.

    Raises:
        OSError: they cannot be written.
    """
    rows = [
        [image, column, repr(value)] for column, values in summary.values.items() for image, value in values.items()
    ]
    write_rows(output / SCORES, ["image", "metric", "value"], rows)
    atomic_write(output / SUMMARY, (json.dumps(make_json(summary), indent=1) + "\n").encode("utf8"))


def make_json(summary: Summary) -> dict[str, Any]:
    """Return the summary without the single values, for JSON; an infinite number is the text "inf", as float() reads
    it.
    """
    content = asdict(summary)
    del content["values"]
    for metric in content["metrics"].values():
        metric.update({key: _convert_number(metric[key]) for key in ("mean", "std")})
    return content


def _convert_number(value: float | None) -> float | str | None:
    return repr(value) if value is not None and not math.isfinite(value) else value


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
