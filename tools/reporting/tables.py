"""Tables of the report page: methods by metrics, the best marked, each number with how it was made."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prismsr.tools.evaluation.summary import MetricSummary
from prismsr.tools.reporting.evaluations import Evaluation, Group

TWO_DIGITS = ("PSNR", "FID", "MUSIQ")  # the papers print four digits of all others
ARROWS = {"higher": "↑", "lower": "↓"}
HASH = 12  # characters of a hash in the notes


@dataclass(frozen=True)
class Heading:
    """Of a column.

    Attributes:
        text: shown.
        better: how the column is sorted: "higher" or "lower" numbers first, "text"; None: not at all.
        kind: class of the style sheet.
        title: tooltip.
        note: number of the note, 0 without one.
    """

    text: str
    better: str | None = None
    kind: str | None = None
    title: str | None = None
    note: int = 0


@dataclass(frozen=True)
class Cell:
    """Texts in a row: plain, bold, small; `value` is what is sorted by; the rest as in `Heading`."""

    text: str = ""
    bold: str = ""
    small: str = ""
    value: str | None = None
    kind: str | None = None
    title: str | None = None
    note: int = 0


@dataclass
class Table:
    """Methods by columns; `notes` has the number of each note by its text."""

    caption: str
    headings: list[Heading] = field(default_factory=list)
    rows: list[tuple[str, list[Cell]]] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, text: str) -> int:
        """Add a note once; return its number."""
        return self.notes.setdefault(text, len(self.notes) + 1)


def make_table(group: Group) -> Table:
    """Return the table of a data set."""
    count = max((metric.expected for one in group.evaluations for metric in one.metrics.values()), default=0)
    table = Table(f"{count} images. Best in bold, for columns whose numbers were made alike.")
    table.headings = [_head(group, column, table) for column in group.columns]
    winners = {column: find_best(group, column) for column in group.columns}
    for one in group.evaluations:
        cells = [_fill(one, column, one.method in winners[column], group, table) for column in group.columns]
        table.rows.append((one.method, cells))
    return table


def _head(group: Group, column: str, table: Table) -> Heading:
    found = _find_metrics(group, column)
    if not found:
        return Heading(column)
    text, better = f"{column} {ARROWS[found[0].better]}", found[0].better
    ways = list(dict.fromkeys(map(describe_metric, found)))
    if len(ways) == 1:
        return Heading(text, better, title=ways[0], note=table.note(f"{column}: {ways[0]}."))
    if are_comparable(found):
        return Heading(text, better)
    note = table.note(f"{column}: the numbers were not made alike, so none is marked as the best.")
    return Heading(text, better, note=note)


def _fill(one: Evaluation, column: str, wins: bool, group: Group, table: Table) -> Cell:
    metric = one.metrics.get(column)
    if metric is None:
        reason = one.missing.get(column, "not among the metrics of this evaluation")
        return Cell("not run", kind="none", title=reason, note=table.note(f"{column} of {one.method}: {reason}"))
    text, made = format_number(metric.mean, column), describe_metric(metric)
    several = len(set(map(describe_metric, _find_metrics(group, column)))) > 1
    counted = f"{metric.count} of {metric.expected}"
    partial = metric.count != metric.expected
    return Cell(
        "" if wins else text,
        text if wins else "",
        counted if partial else "",
        None if metric.mean is None else repr(metric.mean),
        "partial" if partial else None,
        f"{made}; std {format_number(metric.std, column)}; {counted} images",
        table.note(f"{column}: {made}.") if several else 0,
    )


def _find_metrics(group: Group, column: str) -> list[MetricSummary]:
    return [one.metrics[column] for one in group.evaluations if column in one.metrics]


def find_best(group: Group, column: str) -> set[str]:
    """Return the methods with the best value as it is printed.

    There is none where numbers are not comparable, or where there is but one.
    A mean that is not over all images takes no part.
    """
    found = {one.method: one.metrics[column] for one in group.evaluations if column in one.metrics}
    full = {method: metric.mean for method, metric in found.items() if _is_whole(metric)}
    if len(full) < 2 or not are_comparable(found[method] for method in full):
        return set()
    choose: Callable[..., float] = max if found[next(iter(full))].better == "higher" else min
    top = format_number(choose(full.values()), column)
    winners = {method for method, mean in full.items() if format_number(mean, column) == top}
    return winners if len(winners) < len(full) else set()


def _is_whole(metric: MetricSummary) -> bool:
    return metric.mean is not None and not math.isnan(metric.mean) and metric.count == metric.expected


def are_comparable(metrics: Iterable[MetricSummary]) -> bool:
    """Check that numbers were made alike: settings, version and weights. The device does not count."""
    return len({(one.settings, one.version, one.weights, one.better) for one in metrics}) == 1


def describe_metric(metric: MetricSummary) -> str:
    """Return how a number was made, in words."""
    return describe_way(metric.settings, metric.version, metric.weights, metric.device)


def describe_way(settings: str, version: str, weights: str, device: str) -> str:
    """Return what a number was made with, in words."""
    return f"{settings}; {version}; {f'weights {weights[:HASH]}' if weights else 'no weights'}; device {device}"


def describe_scores(scores: Mapping[str, float]) -> str:
    """Return the scores of an image as one text."""
    return ", ".join(f"{column} {format_number(value, column)}" for column, value in scores.items())


def format_number(value: float | None, column: str) -> str:
    """Return a value with the digits of its column."""
    return "–" if value is None else f"{value:.{2 if column in TWO_DIGITS else 4}f}"
