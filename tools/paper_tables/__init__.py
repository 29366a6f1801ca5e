"""Read the papers' tables in tools/paper_tables/ (its README.md lists them)."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from prismsr.utils.csv_files import read_rows
from prismsr.utils.options.yaml_loader import read_yaml

FOLDER = Path(__file__).resolve().parent
PAPERS = ("ssl", "sfd", "amo", "lgcaa")
COLUMNS = ["dataset", "metric", "better", "method", "value"]


@dataclass(frozen=True)
class PaperValue:
    """One printed figure; `better` is "higher" or "lower"."""

    dataset: str
    metric: str
    better: str
    method: str
    value: float


def read_mapping(paper: str) -> dict[str, Any]:
    """Return what makes the rows of a paper's tables, by table, such as "sfd-1", as PAPER.yml has it; OptionError for
    no YAML.
    """
    file = FOLDER / f"{paper}.yml"
    return dict(read_yaml(file.read_text(encoding="utf8"), file.name)[0])


@lru_cache(maxsize=1)
def find_protocols() -> dict[str, str]:
    """Return the protocol of each table whose data sets are all measured by one, by table."""
    found = {
        table: {use.get("protocol") for use in content["sets"].values()}
        for paper in PAPERS
        for table, content in read_mapping(paper).items()
    }
    return {table: names.pop() for table, names in found.items() if len(names) == 1 and None not in names}


@lru_cache(maxsize=32)
def read_table(name: str) -> tuple[PaperValue, ...]:
    """Return all figures of a table, in the order of the file.

    Raises:
        ValueError: other columns, a direction that is neither higher nor lower, or a figure that is no number.
        OSError: there is no such table.
    """
    rows = read_rows(FOLDER / f"{name}.csv")
    if rows[0] != COLUMNS:
        raise ValueError(f"{name}: the columns are {rows[0]}, not {COLUMNS}")
    values = []
    for dataset, metric, better, method, value in rows[1:]:
        if better not in ("higher", "lower"):
            raise ValueError(f"{name}: {dataset}, {metric}: better is {better!r}")
        values.append(PaperValue(dataset, metric, better, method, float(value)))
    return tuple(values)


def find_figures(name: str, dataset: str, *methods: str) -> dict[str, float]:
    """Return the figures, by metric, of the first of these methods that a table has on a data set; empty for none."""
    rows = [row for row in read_table(name) if row.dataset == dataset]
    method = next((method for method in methods if any(row.method == method for row in rows)), None)
    return {row.metric: row.value for row in rows if row.method == method}
