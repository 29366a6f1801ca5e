"""The tables of tools/reproduce.py on the report page: the paper's figure, ours, and what is to do."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.tools.reporting.evaluations import describe_error
from prismsr.tools.reporting.tables import ARROWS, Cell, Table, describe_way
from prismsr.tools.reproduction.cells import Cell as Figure

from pydantic import TypeAdapter

PLOTS = "plots"
VERDICTS = {"within": "✓", "better": "✓ better", "worse": "✗"}

Ways = Mapping[tuple[str, str, str], str]
"""How figures were made, by method, data set and metric."""


@dataclass(frozen=True)
class PaperTable:
    """One table of a paper.

    Attributes:
        name, title: such as ssl-1 and what it is.
        made: figures that were made here.
        makeable: figures of rows that can be made.
        sets: a table for each data set.
        plots: PNG files by name.
        todo: what is to do, with the number of cells that wait for it.
    """

    name: str
    title: str
    made: int
    makeable: int
    sets: Mapping[str, Table]
    plots: Mapping[str, bytes]
    todo: Mapping[str, int]


def read_paper_tables(root: Path, problems: list[str]) -> list[PaperTable]:
    """Read all tables below a folder, sorted by file; JSON files of other content are passed over."""
    found = []
    for path in sorted(root.rglob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf8"))
        except (OSError, ValueError) as error:
            if path.name != "summary.json":  # told where evaluations are read
                problems.append(f"{path}: cannot be read ({describe_error(error)})")
            continue
        if not (isinstance(content, dict) and {"table", "cells"} <= content.keys()):
            continue
        try:
            found.append(_read_table(path, content))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(f"{path}: is no table of tools/reproduce.py ({describe_error(error)})")
    return found


def _read_table(path: Path, content: Mapping[str, Any]) -> PaperTable:
    name, figures = str(content["table"]), TypeAdapter(list[Figure]).validate_python(content["cells"])
    ways = {
        (str(one["method"]), str(one["dataset"]), str(metric)): _describe(column)
        for one in content.get("results", ())
        for metric, column in one["columns"].items()
    }
    sets = {
        dataset: _make_table([one for one in figures if one.dataset == dataset], ways)
        for dataset in dict.fromkeys(one.dataset for one in figures)
    }
    return PaperTable(
        name,
        str(content.get("title", "")),
        sum(table.made for table in sets.values()),
        sum(one.state not in ("paper only", "not made") for one in figures),
        sets,
        {file.stem: file.read_bytes() for file in sorted((path.parent / PLOTS).glob(f"{name}_*.png"))},
        dict(Counter(text for one in figures for text in one.todo).most_common()),
    )


def _describe(column: Mapping[str, Any]) -> str:
    about = (str(column.get(key) or "") for key in ("settings", "version", "weights", "device"))
    return f"{describe_way(*about)}; {column.get('count', '?')} images"


def _make_table(figures: Sequence[Figure], ways: Ways) -> Table:
    better = {one.metric: one.better for one in figures}
    headings = [Cell(f"{metric} {ARROWS.get(way, '')}", sort=way) for metric, way in better.items()]
    table = Table([*headings, Cell("here", sort="text", kind="text")], count=len(figures))
    table.made = sum(one.ours is not None for one in figures)
    for method in dict.fromkeys(one.method for one in figures):
        row = {one.metric: one for one in figures if one.method == method}
        cells = [_fill(row[metric], ways) if metric in row else Cell() for metric in better]
        states = ", ".join(dict.fromkeys(one.state for one in row.values()))
        table.rows.append((method, [*cells, Cell(states, kind="text")]))
    return table


def _fill(figure: Figure, ways: Ways) -> Cell:
    """Return the cell; it is sorted by ours where there is one, else by the paper's."""
    digits = 2 if figure.tolerance >= 0.1 else 4
    paper = "–" if figure.paper is None else f"{figure.paper:.{digits}f}"
    title = ways.get((figure.method, figure.dataset, figure.metric)) or "; ".join(figure.todo) or None
    if figure.ours is None:
        return Cell(paper, sort=None if figure.paper is None else repr(figure.paper), title=title)
    small = ""
    if figure.difference is not None:
        small = f"{figure.difference:+.{digits}f} {VERDICTS.get(figure.verdict, '')}".rstrip()
    kind = "worse" if figure.verdict == "worse" else "ours"
    return Cell(paper, f"{figure.ours:.{digits}f}", small, repr(figure.ours), kind, title)
