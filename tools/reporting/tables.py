"""Tables of tools/report.py: methods by metrics, the best marked, each number with how it was made."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from prismsr.tools.evaluation.summary import MetricSummary
from prismsr.tools.reporting.evaluations import Evaluation, Group, short_path
from prismsr.tools.reporting.html import Element, append, clean, element

TWO_DIGITS = ("PSNR", "FID", "MUSIQ")  # the papers print four digits of all others
ARROWS = {"higher": "↑", "lower": "↓"}
HASH = 12  # characters of a hash in the notes


@dataclass
class Notes:
    """Numbered notes of a table, each text once."""

    name: str
    texts: list[str] = field(default_factory=list)

    def mark(self, text: str) -> Element:
        """A link to the note."""
        if text not in self.texts:
            self.texts.append(text)
        number = self.texts.index(text) + 1
        return element("sup", element("a", str(number), href=f"#{self.name}-{number}"))

    def listed(self) -> Element:
        """All notes."""
        items = (element("li", text, id=f"{self.name}-{number}") for number, text in enumerate(self.texts, start=1))
        return element("ol", *items, class_="notes")


def number(value: float | None, column: str) -> str:
    """A value with the digits of its column."""
    return "–" if value is None else f"{value:.{2 if column in TWO_DIGITS else 4}f}"


def how(metric: MetricSummary) -> str:
    """How a number was made, in words."""
    weights = f"weights {metric.weights[:HASH]}" if metric.weights else "no weights"
    return f"{metric.settings}; {metric.version}; {weights}; device {metric.device}"


def comparable(metrics: Iterable[MetricSummary]) -> bool:
    """Whether numbers were made alike: settings, version and weights. The device does not count."""
    return len({(one.settings, one.version, one.weights, one.better) for one in metrics}) == 1


def best(group: Group, column: str) -> set[str]:
    """Methods with the best value, as it is printed; none where numbers are not comparable or there is but one.

    A mean that is not over all images takes no part.
    """
    found = {one.method: one.metrics[column] for one in group.evaluations if column in one.metrics}
    full = {method: metric for method, metric in found.items() if is_whole(metric)}
    if len(full) < 2 or not comparable(full.values()):
        return set()
    choose: Callable[..., float] = max if next(iter(full.values())).better == "higher" else min
    top = number(choose(metric.mean for metric in full.values()), column)
    winners = {method for method, metric in full.items() if number(metric.mean, column) == top}
    return winners if len(winners) < len(full) else set()


def is_whole(metric: MetricSummary) -> bool:
    """Whether the mean is a number and over all images."""
    return metric.mean is not None and not math.isnan(metric.mean) and metric.count == metric.expected


def table(group: Group, name: str) -> list[Element]:
    """The table of a data set with its notes; `name` is for the links."""
    notes = Notes(name)
    winners = {column: best(group, column) for column in group.columns}
    head = element("tr", element("th", "method", scope="col", data_better="text"))
    head.extend(_heading(group, column, notes) for column in group.columns)
    body = element("tbody")
    for one in group.evaluations:
        row = element("tr", element("th", one.method, scope="row"))
        row.extend(_cell(one, column, one.method in winners[column], group, notes) for column in group.columns)
        body.append(row)
    count = max((metric.expected for one in group.evaluations for metric in one.metrics.values()), default=0)
    caption = element("caption", f"{count} images. Best in bold, for columns whose numbers were made alike.")
    made = element("table", caption, element("thead", head), body, class_="sortable")
    parts = [element("div", made, class_="wide", tabindex=0)]
    return [*parts, notes.listed()] if notes.texts else parts


def _metrics(group: Group, column: str) -> list[MetricSummary]:
    return [one.metrics[column] for one in group.evaluations if column in one.metrics]


def _heading(group: Group, column: str, notes: Notes) -> Element:
    found = _metrics(group, column)
    better = found[0].better if found else None
    label = element("span", f"{column} {ARROWS.get(better or '', '')}".strip(), class_="label")
    made = element("th", label, scope="col", data_better=better)
    ways = list(dict.fromkeys(map(how, found)))
    if len(ways) == 1:
        made.set("title", clean(ways[0]))
        made.append(notes.mark(f"{column}: {ways[0]}."))
    elif ways and not comparable(found):
        made.append(notes.mark(f"{column}: the numbers were not made alike, so none is marked as the best."))
    return made


def _cell(one: Evaluation, column: str, wins: bool, group: Group, notes: Notes) -> Element:
    metric = one.metrics.get(column)
    if metric is None:
        reason = one.missing.get(column, "not among the metrics of this evaluation")
        return element("td", "not run", notes.mark(f"{column} of {one.method}: {reason}"), class_="none", title=reason)
    text = number(metric.mean, column)
    value = None if metric.mean is None else repr(metric.mean)
    told = f"{how(metric)}; std {number(metric.std, column)}; {metric.count} of {metric.expected} images"
    made = element("td", element("b", text) if wins else text, title=told, data_value=value)
    if len({how(other) for other in _metrics(group, column)}) > 1:
        made.append(notes.mark(f"{column}: {how(metric)}."))
    if metric.count != metric.expected:
        made.set("class", "partial")
        append(made, element("small", f" {metric.count} of {metric.expected}"))
    return made


def protocol(group: Group) -> Element:
    """What was done, where it lies and with which packages, to be opened."""
    lines = list(dict.fromkeys("\n".join(one.protocol) for one in group.evaluations))
    versions = list(dict.fromkeys(_versions(one) for one in group.evaluations))
    rows = [element("li", _folders(one)) for one in group.evaluations]
    return element(
        "details",
        element("summary", "Protocol, folders, versions"),
        *(element("pre", text) for text in lines),
        element("ul", *rows),
        *(element("p", text) for text in versions if text),
    )


def _folders(one: Evaluation) -> str:
    against = f" against {short_path(one.gt)}" if one.gt else ""
    return f"{one.method}: {short_path(one.sr)}{against}, results in {short_path(str(one.folder))}"


def _versions(one: Evaluation) -> str:
    return ", ".join(f"{name} {version}" for name, version in one.versions.items())


def problem_list(problems: Sequence[str]) -> list[Element]:
    """What is missing or could not be read; empty where all is there."""
    if not problems:
        return []
    items = (element("li", text) for text in dict.fromkeys(problems))
    return [
        element(
            "section", element("h2", "Missing or unreadable"), element("ul", *items), id="missing", class_="problems"
        )
    ]
