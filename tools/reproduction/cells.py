"""The cells of a paper's table: paper, ours, difference, tolerance and what to do; as Markdown, CSV and JSON."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from prismsr.metrics.catalog import TABLE
from prismsr.tools.evaluation.summary import list_versions
from prismsr.tools.reproduction.running import Found, describe_origin
from prismsr.tools.reproduction.tables import Table
from prismsr.utils.csv_files import format_rows
from prismsr.utils.files import atomic_write
from prismsr.utils.tables import markdown_table

Figure = tuple[str, str, str, str, float | None]
"""Data set, method, metric, which direction is better, and the printed figure."""
State = Literal["done", "ready", "stale", "missing", "failed", "paper only", "not made"]
TOLERANCES = {metric.column: metric.tolerance for metric in TABLE if metric.tolerance} | {
    "PLCC": 0.01, "SRCC": 0.01, "KRCC": 0.01, "Accuracy": 1.0,
}  # fmt: skip
"""Largest difference from the paper that counts as reproduced, in the column's unit. The choice is ours."""
_SLACK = 1e-9  # of differences of decimal numbers


@dataclass(frozen=True)
class Cell:
    """One figure of a table: the paper's, None in rows that it does not have, and ours, None where it was not made.

    Both and the tolerance are in the paper's unit. Of the states `ready` and `stale` are made by --run. `todo` says
    each thing that is missing or went wrong, and what to do.
    """

    table: str
    dataset: str
    method: str
    metric: str
    better: str
    paper: float | None
    ours: float | None
    tolerance: float
    state: State
    todo: tuple[str, ...] = ()

    @property
    def difference(self) -> float | None:
        """Return ours minus the paper's."""
        return None if self.ours is None or self.paper is None else self.ours - self.paper

    @property
    def verdict(self) -> str:
        """Return within, better or worse (than the tolerance allows); empty without a comparison."""
        difference = self.difference
        if difference is None:
            return ""
        if abs(difference) <= self.tolerance + _SLACK:
            return "within"
        return "better" if (difference > 0) == (self.better == "higher") else "worse"


def list_cells(name: str, table: Table, found: Sequence[Found], rows: Sequence[str], sets: Sequence[str]) -> list[Cell]:
    """Return the cells of a table, in the paper's order, those of extra rows last.

    Where `rows` or `sets` hold a name, only the cells of those are returned. `found` are the table's jobs.
    """
    jobs = {(one.job.dataset, one.job.method): one for one in found}
    printed = [(value.dataset, value.method, value.metric, value.better, value.value) for value in table.read_figures()]
    extra = [
        (one.job.dataset, one.job.method, metric, better, None)
        for one in found
        if one.job.method in table.extra
        for metric, better in one.job.columns.items()
    ]
    return [
        _make_cell(name, table, jobs.get(figure[:2]), figure)
        for figure in [*printed, *extra]
        if (not rows or figure[1] in rows) and (not sets or figure[0] in sets)
    ]


def _make_cell(name: str, table: Table, found: Found | None, figure: Figure) -> Cell:
    _, method, metric, *_ = figure
    factor = table.factors.get(metric, 1.0)
    make = partial(Cell, name, *figure)
    tolerance = TOLERANCES[metric] * factor
    if found is None:
        if method not in table.not_made:
            return make(None, tolerance, "paper only")
        return make(None, tolerance, "not made", (f"{method}: {table.not_made[method]}",))
    kept = found.kept.get(metric)
    if kept is not None:
        return make(kept.value * factor, tolerance, "done")
    return make(None, tolerance, *_explain_lack(found, metric))


def _explain_lack(found: Found, metric: str) -> tuple[State, tuple[str, ...]]:
    """Return the state of a cell without a figure, and what to do."""
    needs = found.needs
    lacks = [*needs.lacks, *([needs.metrics[metric]] if metric in needs.metrics else [])]
    error = found.errors.get(metric) or found.errors.get("")
    if lacks:
        return "missing", tuple(map(str, lacks))
    if error:
        return "failed", (f"{found.job.method} on {found.job.dataset}: {error}",)
    if found.stale:
        return "stale", ("stale: checkpoint, settings or images changed since; --run makes it anew",)
    return "ready", ("ready: --run makes it",)


# ------------------------------------------------------------------------------------------------------------ output


def format_markdown(name: str, table: Table, cells: Sequence[Cell]) -> str:
    """Return a table per data set (`paper / ours (difference, verdict)`), and below it what is missing."""
    lines = [f"# {name}: {table.title}", ""]
    lines += [table.note, ""] if table.note else []
    lines += [
        "Cells: paper / **ours** (ours - paper, verdict); the paper's figure alone where nothing was run here.",
        "",
    ]
    digits = _count_digits(table)
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        lines += [f"## {dataset}", "", _format_set([cell for cell in cells if cell.dataset == dataset], digits), ""]
    return "\n".join([*lines, *_sum_up(cells), *_list_todo(cells)]).rstrip() + "\n"


def _format_set(cells: Sequence[Cell], digits: Mapping[str, int]) -> str:
    metrics = list(dict.fromkeys(cell.metric for cell in cells))
    arrows = {cell.metric: "↑" if cell.better == "higher" else "↓" for cell in cells}
    by_row: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        by_row.setdefault(cell.method, {})[cell.metric] = cell
    rows = []
    for method, row in by_row.items():
        texts = [_format_cell(row[metric], digits[metric]) if metric in row else "" for metric in metrics]
        states = ", ".join(dict.fromkeys(cell.state for cell in row.values()))
        rows.append([method, *texts, states])
    return markdown_table(["method", *(f"{metric} {arrows[metric]}" for metric in metrics), "here"], rows)


def _count_digits(table: Table) -> dict[str, int]:
    """Return digits after the point that the paper prints, by metric; 4 where its figures are not at hand."""
    digits = dict.fromkeys(table.columns, 4)
    for value in table.read_figures():
        own = len(repr(value.value).partition(".")[2])
        digits[value.metric] = max(digits.get(value.metric, 0), own)
    return digits


def _format_cell(cell: Cell, digits: int) -> str:
    paper = "-" if cell.paper is None else f"{cell.paper:.{digits}f}"
    if cell.ours is None:
        return paper
    ours = f"{paper} / **{cell.ours:.{digits}f}**"
    return ours if cell.difference is None else f"{ours} ({cell.difference:+.{digits}f}, {cell.verdict})"


def _sum_up(cells: Sequence[Cell]) -> list[str]:
    if all(cell.paper is None for cell in cells):
        made = sum(cell.ours is not None for cell in cells)
        return [f"{made} of {len(cells)} figures were made here; the paper's are not at hand.", ""]
    ours = [cell for cell in cells if cell.state not in ("paper only", "not made") and cell.paper is not None]
    verdicts = [cell.verdict for cell in ours if cell.verdict]
    parts = [f"{verdicts.count(verdict)} {verdict}" for verdict in ("within", "better", "worse") if verdict in verdicts]
    told = f": {', '.join(parts)}" if parts else ""
    return [f"{len(verdicts)} of {len(ours)} figures of rows that can be made were made here{told}.", ""]


def _list_todo(cells: Sequence[Cell]) -> list[str]:
    """Return each thing to do once, with the number of cells that wait for it."""
    counts = Counter(text for cell in cells for text in cell.todo)
    lines = [f"- {text} [{count} {'cell' if count == 1 else 'cells'}]" for text, count in counts.most_common()]
    return ["## To do", "", *lines] if lines else []


def write_report(folder: Path, name: str, table: Table, cells: Sequence[Cell], found: Sequence[Found]) -> str:
    """Write NAME.md, .csv and .json, OSError where they cannot be written; return the Markdown."""
    text = format_markdown(name, table, cells)
    atomic_write(folder / f"{name}.md", text.encode())
    atomic_write(folder / f"{name}.csv", _format_csv(cells).encode())
    content = {
        "table": name,
        "title": table.title,
        "cells": [{**asdict(cell), "difference": cell.difference, "verdict": cell.verdict} for cell in cells],
        "results": [describe_origin(one) for one in found if one.kept],
        "versions": list_versions(),
    }
    atomic_write(folder / f"{name}.json", (json.dumps(content, indent=1, default=str) + "\n").encode())
    return text


def _format_csv(cells: Sequence[Cell]) -> str:
    """Return a line per cell; an empty cell where there is no figure."""
    names = ["table", "dataset", "method", "metric", "better", "paper", "ours", "difference", "tolerance"]
    rows: list[list[str]] = [[*names, "verdict", "state", "todo"]]
    for cell in cells:
        figures = [cell.paper, cell.ours, cell.difference, cell.tolerance]
        shown = ["" if value is None else f"{value:.10g}" for value in figures]
        about = [cell.table, cell.dataset, cell.method, cell.metric, cell.better]
        rows.append([*about, *shown, cell.verdict, cell.state, "; ".join(cell.todo)])
    return format_rows(rows)


def format_overview(cells: Mapping[str, Sequence[Cell]]) -> str:
    """Return a line per table: how many of its cells are in which state."""
    rows = []
    for name, own in cells.items():
        states = [cell.state for cell in own]
        counts = [len(own), states.count("done"), sum(cell.verdict == "within" for cell in own)]
        counts += [states.count("ready") + states.count("stale"), states.count("missing") + states.count("failed")]
        counts += [states.count("paper only") + states.count("not made")]
        rows.append([name, *counts])
    header = ["table", "cells", "made here", "within tolerance", "ready", "missing", "paper only"]
    return markdown_table(header, rows, "lrrrrrr")
