"""The tables of tools/reproduce.py on the page of tools/report.py: the paper's figure, ours, and what is to do."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prismsr.tools.reporting.html import Element, append, data_uri, element

PLOTS = "plots"
ARROWS = {"higher": "↑", "lower": "↓"}
VERDICTS = {"within": "✓", "better": "✓ better", "worse": "✗"}


@dataclass
class Reproduction:
    """One table.

    Attributes:
        name, title: such as ssl-1 and what it is.
        cells: as tools/reproduce.py writes them.
        made: how a figure of ours was made, by method, data set and metric.
        plots: PNG files by name.
    """

    name: str
    title: str
    cells: Sequence[Mapping[str, Any]]
    made: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    plots: Mapping[str, bytes] = field(default_factory=dict)


def read_reproductions(root: Path, problems: list[str]) -> list[Reproduction]:
    """All tables below a folder, sorted by file; JSON files of other content are passed over."""
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
            found.append(_reproduction(path, content))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(f"{path}: is no table of tools/reproduce.py ({type(error).__name__}: {error})")
    return found


def _reproduction(path: Path, content: Mapping[str, Any]) -> Reproduction:
    name = str(content["table"])
    cells = [_checked(cell) for cell in content["cells"]]
    made = {
        (str(one["method"]), str(one["dataset"]), str(metric)): _how(column)
        for one in content.get("results", ())
        for metric, column in one["columns"].items()
    }
    plots = {file.stem: file.read_bytes() for file in sorted((path.parent / PLOTS).glob(f"{name}_*.png"))}
    return Reproduction(name, str(content.get("title", "")), cells, made, plots)


def _checked(cell: Mapping[str, Any]) -> dict[str, Any]:
    texts = {key: str(cell[key]) for key in ("dataset", "method", "metric", "better")}
    numbers = {key: None if cell.get(key) is None else float(cell[key]) for key in ("paper", "ours", "tolerance")}
    todo = [str(text) for text in cell.get("todo", ())]
    return {
        **texts,
        **numbers,
        "verdict": str(cell.get("verdict", "")),
        "state": str(cell.get("state", "")),
        "todo": todo,
    }


def _how(column: Mapping[str, Any]) -> str:
    weights = f"weights {column['weights'][:12]}" if column.get("weights") else "no weights"
    about = [column.get("settings", ""), column.get("version", ""), weights, f"device {column.get('device', '')}"]
    return "; ".join([*about, f"{column.get('count', '?')} images"])


def section_content(table: Reproduction) -> list[Element]:
    """What stands below the table's heading."""
    ours = [cell for cell in table.cells if cell["ours"] is not None]
    rows = [cell for cell in table.cells if cell["state"] not in ("paper only", "not made")]
    told = f"{len(ours)} of {len(rows)} figures of rows that can be made were made here. Cells: the paper's figure; "
    parts = [element("p", f"{told}ours in bold, ours minus the paper's, ✓ within the tolerance.", class_="soft")]
    for dataset in dict.fromkeys(cell["dataset"] for cell in table.cells):
        parts.append(_set([cell for cell in table.cells if cell["dataset"] == dataset], dataset, table))
    for name, picture in table.plots.items():
        parts.append(element("img", src=data_uri("image/png", picture), alt=name, class_="picture"))
    return [*parts, *_todo(table.cells)]


def _set(cells: Sequence[Mapping[str, Any]], dataset: str, table: Reproduction) -> Element:
    """The table of a data set; closed where it has nothing but the paper's figures."""
    made = sum(cell["ours"] is not None for cell in cells)
    heading = element("summary", f"{dataset}: {made} of {len(cells)} figures made here")
    return element("details", heading, _table(table, cells), open=made > 0)


def _table(table: Reproduction, cells: Sequence[Mapping[str, Any]]) -> Element:
    better = {cell["metric"]: cell["better"] for cell in cells}
    by_row: dict[str, dict[str, Mapping[str, Any]]] = {}
    for cell in cells:
        by_row.setdefault(cell["method"], {})[cell["metric"]] = cell
    head = element("tr", element("th", "method", scope="col", data_better="text"))
    for metric, direction in better.items():
        label = element("span", f"{metric} {ARROWS.get(direction, '')}", class_="label")
        head.append(element("th", label, scope="col", data_better=direction))
    head.append(element("th", "here", scope="col", data_better="text", class_="text"))
    body = element("tbody")
    for method, row in by_row.items():
        made = element("tr", element("th", method, scope="row"))
        made.extend(_cell(row.get(metric), table.made) for metric in better)
        made.append(element("td", ", ".join(dict.fromkeys(cell["state"] for cell in row.values())), class_="text"))
        body.append(made)
    whole = element("table", element("thead", head), body, class_="sortable")
    return element("div", whole, class_="wide", tabindex=0)


def _cell(cell: Mapping[str, Any] | None, made: Mapping[tuple[str, str, str], str]) -> Element:
    """Sorted by ours where there is one, else by the paper's."""
    if cell is None:
        return element("td")
    paper, ours = cell["paper"], cell["ours"]
    value = paper if ours is None else ours
    told = made.get((cell["method"], cell["dataset"], cell["metric"])) or "; ".join(cell["todo"]) or None
    shown = element("td", "–" if paper is None else _number(paper, cell), title=told)
    if value is not None:
        shown.set("data-value", repr(value))
    if ours is not None:
        append(shown, " ")
        append(shown, element("b", _number(ours, cell)))
        shown.set("class", "worse" if cell["verdict"] == "worse" else "ours")
        if paper is not None:
            mark = VERDICTS.get(cell["verdict"], "")
            append(shown, element("small", f" {_number(ours - paper, cell, '+')} {mark}".rstrip()))
    return shown


def _number(value: float, cell: Mapping[str, Any], sign: str = "") -> str:
    digits = 2 if (cell["tolerance"] or 0) >= 0.1 else 4
    return f"{value:{sign}.{digits}f}"


def _todo(cells: Sequence[Mapping[str, Any]]) -> list[Element]:
    counts: dict[str, int] = {}
    for cell in cells:
        for text in cell["todo"]:
            counts[text] = counts.get(text, 0) + 1
    if not counts:
        return []
    items = (element("li", f"{text} [{count}]") for text, count in sorted(counts.items(), key=lambda pair: -pair[1]))
    heading = element("summary", f"To do ({len(counts)}), with the number of cells that wait for each")
    return [element("details", heading, element("ul", *items))]
