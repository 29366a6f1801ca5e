"""Tables of the report page: methods by metrics, the best marked, each number with how it was made."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from prismsr.tools.evaluation.summary import MetricSummary, count_digits
from prismsr.tools.reporting.evaluations import Evaluation, Group
from prismsr.tools.reporting.images import GT

ARROWS = {"higher": "↑", "lower": "↓"}
HASH = 12  # characters of a hash in the notes


@dataclass(frozen=True)
class Cell:
    """Plain, bold and small text in a heading or a row.

    Attributes:
        text, bold, small: the parts, in this order.
        sort: of a heading "text", or which numbers are best, "higher" or "lower"; of a cell its number.
        kind: class of the style sheet.
        title: tooltip.
        note: number of the note, 0 without one.
    """

    text: str = ""
    bold: str = ""
    small: str = ""
    sort: str | None = None
    kind: str | None = None
    title: str | None = None
    note: int = 0


@dataclass
class Table:
    """Methods by columns.

    Attributes:
        headings, rows: beside and below "method".
        notes: the number of each note by its text.
        count: images, or figures of the paper.
        made: figures that were made here.
    """

    headings: list[Cell] = field(default_factory=list)
    rows: list[tuple[str, list[Cell]]] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    count: int = 0
    made: int = 0

    def note(self, text: str) -> int:
        """Add a note once; return its number."""
        return self.notes.setdefault(text, len(self.notes) + 1)


def make_table(group: Group) -> Table:
    """Return the table of a data set."""
    found: dict[str, dict[str, MetricSummary]] = {column: {} for column in group.columns}
    for one in group.evaluations:
        for column, metric in one.summary.metrics.items():
            found[column][one.method] = metric
    table = Table(count=max((metric.expected for row in found.values() for metric in row.values()), default=0))
    table.headings = [_make_heading(column, list(metrics.values()), table) for column, metrics in found.items()]
    winners = {
        column: find_best({method: metric for method, metric in metrics.items() if method != GT}, column)
        for column, metrics in found.items()
    }
    several = {column for column, metrics in found.items() if len(set(map(describe_metric, metrics.values()))) > 1}
    for one in group.evaluations:
        cells = [_fill(one, column, one.method in winners[column], column in several, table) for column in found]
        table.rows.append((one.method, cells))
    return table


def _make_heading(column: str, found: Sequence[MetricSummary], table: Table) -> Cell:
    if not found:
        return Cell(column)
    head = Cell(f"{column} {ARROWS.get(found[0].better, '')}", sort=found[0].better)
    ways = set(map(describe_metric, found))
    if len(ways) == 1:
        (way,) = ways
        return replace(head, title=way, note=table.note(f"{column}: {way}."))
    if are_comparable(found):
        return head
    return replace(head, note=table.note(f"{column}: the numbers were not made alike, so none is marked as the best."))


def _fill(one: Evaluation, column: str, wins: bool, several: bool, table: Table) -> Cell:
    metric = one.summary.metrics.get(column)
    if metric is None and one.method == GT:
        return Cell("–", title="GT measured against itself")
    if metric is None:
        reason = one.summary.missing.get(column, "not among the metrics of this evaluation")
        return Cell("not run", kind="none", title=reason, note=table.note(f"{column} of {one.method}: {reason}"))
    text, way = format_number(metric.mean, column), describe_metric(metric)
    counted, partial = f"{metric.count} of {metric.expected}", metric.count != metric.expected
    return Cell(
        "" if wins else text,
        text if wins else "",
        counted if partial else "",
        None if metric.mean is None else repr(metric.mean),
        "partial" if partial else None,
        f"{way}; std {format_number(metric.std, column)}; {counted} images",
        table.note(f"{column}: {way}.") if several else 0,
    )


def find_best(found: Mapping[str, MetricSummary], column: str) -> set[str]:
    """Return the methods with the best value as it is printed.

    There is none where numbers are not comparable, or where there is but one.
    A mean that is not over all images takes no part.
    """
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
    return "–" if value is None else f"{value:.{count_digits(column)}f}"
