"""Read the papers' tables in tools/paper_tables/ (its README.md lists them)."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from prismsr.utils.csv_files import read_rows

FOLDER = Path(__file__).resolve().parent
COLUMNS = ["dataset", "metric", "better", "method", "value"]


@dataclass(frozen=True)
class PaperValue:
    """One printed figure; `better` is "higher" or "lower"."""

    dataset: str
    metric: str
    better: str
    method: str
    value: float


def list_tables() -> list[str]:
    """Return names of all tables, such as "sfd_table3"."""
    return sorted(path.stem for path in FOLDER.glob("*.csv"))


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
