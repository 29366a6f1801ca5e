"""The tables of tools/reproduce.py on the report page: the paper's figure, ours, and what is to do."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.tools.reporting.tables import ARROWS, Cell, Heading, Table, describe_way

PLOTS = "plots"
VERDICTS = {"within": "✓", "better": "✓ better", "worse": "✗"}

Entry = Mapping[str, Any]
"""A cell as tools/reproduce.py writes it."""


@dataclass(frozen=True)
class DataSet:
    """The table of a data set, and how many of its figures were made here."""

    name: str
    made: int
    count: int
    table: Table


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
    sets: Sequence[DataSet]
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
                problems.append(f"{path}: cannot be read ({type(error).__name__}: {error})")
            continue
        if not (isinstance(content, dict) and {"table", "cells"} <= content.keys()):
            continue
        try:
            found.append(_read_table(path, content))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(f"{path}: is no table of tools/reproduce.py ({type(error).__name__}: {error})")
    return found


def _read_table(path: Path, content: Entry) -> PaperTable:
    name = str(content["table"])
    entries = [_check(entry) for entry in content["cells"]]
    ways = {
        (str(one["method"]), str(one["dataset"]), str(metric)): _describe(column)
        for one in content.get("results", ())
        for metric, column in one["columns"].items()
    }
    sets = [
        _make_set(dataset, [entry for entry in entries if entry["dataset"] == dataset], ways)
        for dataset in dict.fromkeys(entry["dataset"] for entry in entries)
    ]
    return PaperTable(
        name,
        str(content.get("title", "")),
        sum(one.made for one in sets),
        sum(entry["state"] not in ("paper only", "not made") for entry in entries),
        sets,
        {file.stem: file.read_bytes() for file in sorted((path.parent / PLOTS).glob(f"{name}_*.png"))},
        dict(Counter(text for entry in entries for text in entry["todo"]).most_common()),
    )


def _check(entry: Entry) -> Entry:
    texts = {key: str(entry[key]) for key in ("dataset", "method", "metric", "better")}
    numbers = {key: None if entry.get(key) is None else float(entry[key]) for key in ("paper", "ours", "tolerance")}
    states = {key: str(entry.get(key, "")) for key in ("verdict", "state")}
    return {**texts, **numbers, **states, "todo": [str(text) for text in entry.get("todo", ())]}


def _describe(column: Entry) -> str:
    about = (str(column.get(key) or "") for key in ("settings", "version", "weights", "device"))
    return f"{describe_way(*about)}; {column.get('count', '?')} images"


def _make_set(name: str, entries: Sequence[Entry], ways: Mapping[tuple[str, str, str], str]) -> DataSet:
    better = {entry["metric"]: entry["better"] for entry in entries}
    headings = [Heading(f"{metric} {ARROWS.get(way, '')}", way) for metric, way in better.items()]
    table = Table("", [*headings, Heading("here", "text", "text")])
    for method in dict.fromkeys(entry["method"] for entry in entries):
        row = {entry["metric"]: entry for entry in entries if entry["method"] == method}
        cells = [_fill(row[metric], ways) if metric in row else Cell() for metric in better]
        states = ", ".join(dict.fromkeys(entry["state"] for entry in row.values()))
        table.rows.append((method, [*cells, Cell(states, kind="text")]))
    return DataSet(name, sum(entry["ours"] is not None for entry in entries), len(entries), table)


def _fill(entry: Entry, ways: Mapping[tuple[str, str, str], str]) -> Cell:
    """Return the cell; it is sorted by ours where there is one, else by the paper's."""
    paper, ours = entry["paper"], entry["ours"]
    text = "–" if paper is None else _format(paper, entry)
    title = ways.get((entry["method"], entry["dataset"], entry["metric"])) or "; ".join(entry["todo"]) or None
    if ours is None:
        return Cell(text, value=None if paper is None else repr(paper), title=title)
    difference = ""
    if paper is not None:
        difference = f"{_format(ours - paper, entry, '+')} {VERDICTS.get(entry['verdict'], '')}".rstrip()
    kind = "worse" if entry["verdict"] == "worse" else "ours"
    return Cell(text, _format(ours, entry), difference, repr(ours), kind, title)


def _format(value: float, entry: Entry, sign: str = "") -> str:
    digits = 2 if (entry["tolerance"] or 0) >= 0.1 else 4
    return f"{value:{sign}.{digits}f}"
