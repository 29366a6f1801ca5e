"""Option files hold what papers and releases state: a table for each paper, read against the merged files."""

from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.files import load_options
from prismsr.utils.options.signatures import default_of, takes
from prismsr.utils.options.yaml_loader import read_yaml

import pytest
from test_docs import expand

ROOT = Path(__file__).resolve().parents[2] / "options"
TABLES = sorted(Path(__file__).parent.glob("*.md"))
NOT_THERE = object()


class Stated(NamedTuple):
    key: str
    value: Any
    source: str


def read_rows(table: Path) -> list[list[str]]:
    """Return the cells of a table: option files, key path, value, source."""
    lines = [line for line in table.read_text(encoding="utf8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def find_files(cell: str) -> list[list[Path]]:
    """Return for each name in a cell, its braces written out, the option files that it matches."""
    return [sorted(ROOT.glob(name)) for word in cell.split(" ") if word for name in expand(word)]


def by_file(table: Path) -> dict[Path, list[Stated]]:
    found = defaultdict(list)
    for files, key, value, source in read_rows(table):
        for path in (path for matched in find_files(files) for path in matched):
            found[path].append(Stated(key, read_yaml(value, table.name)[0], source))
    return found


@cache
def merged(path: Path) -> dict[str, Any]:
    return load_options(path)


def find_value(options: Any, path: str) -> Any:
    """Return the value at a key path, or the default of the class that the section's `type` names."""
    *above, last = path.split(".")
    for key in above:
        options = options.get(key) if isinstance(options, dict) else None
    if not isinstance(options, dict):
        return NOT_THERE
    if last in options:
        return options[last]
    for kind in ("arch", "loss"):
        target = find_registered(kind, str(options.get("type")))
        if target is not None and takes(target, last):
            return default_of(target, last)
    return NOT_THERE


CASES = [
    pytest.param(path, rows, id=f"{path.parent.name}/{path.name}") for t in TABLES for path, rows in by_file(t).items()
]


@pytest.mark.parametrize(("path", "rows"), CASES)
def test_an_option_file_has_the_stated_values(path: Path, rows: list[Stated]) -> None:
    found = [(row, find_value(merged(path), row.key)) for row in rows]
    assert [row.key for row, value in found if value is NOT_THERE] == []
    wrong = [f"{row.key} is {value}; {row.source}: {row.value}" for row, value in found if value != row.value]
    assert wrong == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_the_files_of_a_table_exist(table: Path) -> None:
    for cells in read_rows(table):
        assert len(cells) == 4 and all(cells), cells
        assert all(find_files(cells[0])), cells


def test_every_experiment_of_a_paper_is_in_its_table() -> None:
    assert [table.stem for table in TABLES] == ["amo", "diffusion", "lgcaa", "sfd", "ssl"]
    for table in TABLES:
        assert set(by_file(table)) == set((ROOT / table.stem).glob("*.yml"))
