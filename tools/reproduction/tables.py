"""The papers' tables as tools/reproduce.py makes them: which option file, checkpoint, test set and protocol a cell has.

The mapping is in tools/paper_tables/{ssl,sfd,amo,lgcaa}.yml, one per table; docs/guide/reproducing.md describes the
keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from prismsr.tools import paper_tables
from prismsr.tools.paper_tables import PaperValue
from prismsr.utils.errors import OptionError
from prismsr.utils.names import did_you_mean

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Kind = Literal["sr", "opinion", "pairs"]
"""sr: images are made and evaluated; opinion, pairs: a quality metric against opinion scores, and people's choices."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SetUse(_Strict):
    """What a column group of a table, such as "Set5", is measured on, by which protocol of tools/evaluate.py.

    `set` is a name in prismsr.data.test_sets.sets, with `degraded` so many degraded LR images of each GT image, from
    `prepare.py testset NAME --degraded`; or there are `lq`, `gt`, `count` and `source` (where to read how to get it).
    For quality metrics `reader`, `root` and `labels` are arguments of tools/evaluate_iqa.py, with the `group` of
    images; `pairs` and `root` are arguments of tools/analyse_iqa.py.
    """

    set: str | None = None
    degraded: int = 0
    lq: str | None = None
    gt: str | None = None
    count: int = 0
    source: str = ""
    protocol: str | None = None
    reader: str | None = None
    root: str | None = None
    labels: str | None = None
    group: str = "all"
    pairs: str | None = None


class Row(_Strict):
    """What makes a row of a table: an option file, or one per data set (sets without one are left out).

    `checkpoint_of` is the option file whose training makes the checkpoint, where it is another one. Quality metrics are
    given as evaluate_iqa.py and analyse_iqa.py take them. `ground_truths` "best" needs no network: of each group of
    ground truths the best score counts, metric by metric.
    """

    options: str | Mapping[str, str] | None = None
    checkpoint_of: str | None = None
    metric: str | None = None
    metric_options: Mapping[str, Any] = Field(default_factory=dict)
    ground_truths: Literal["best"] | None = None

    @property
    def made_without_options(self) -> bool:
        """Return whether it needs no option file."""
        return bool(self.metric or self.ground_truths)

    def find_options(self, dataset: str) -> str | None:
        """Return the option file for a data set."""
        return self.options.get(dataset) if isinstance(self.options, Mapping) else self.options


class Table(_Strict):
    """One table; every method of its CSV is in exactly one of `rows`, `others` and `not_made`.

    `csv` is a name in tools/paper_tables; None where the paper's figures are not at hand: then all rows are `extra`,
    and `columns` are the metrics with their better direction. `rows` can be made here; `extra` the paper does not
    print. `others` are other authors' methods, whose figures are only shown; `not_made` cannot be made here, with the
    reason. The paper prints a metric times its factor in `factors`.
    """

    csv: str | None = None
    columns: Mapping[str, Literal["higher", "lower"]] = Field(default_factory=dict)
    title: str
    kind: Kind = "sr"
    note: str = ""
    sets: Mapping[str, SetUse]
    rows: Mapping[str, Row] = Field(default_factory=dict)
    extra: Mapping[str, Row] = Field(default_factory=dict)
    others: tuple[str, ...] = ()
    not_made: Mapping[str, str] = Field(default_factory=dict)
    factors: Mapping[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_csv(self) -> "Table":
        if (self.csv is None) != bool(self.columns) or (self.csv is None and self.rows):
            raise ValueError("has either csv, or columns and extra rows")
        if self.csv is None:
            return self
        values = self.read_figures()
        listed = [*self.rows, *self.others, *self.not_made]
        for what, known, printed in (
            ("method", listed, {value.method for value in values}),
            ("data set", list(self.sets), {value.dataset for value in values}),
        ):
            wrong = sorted(printed.symmetric_difference(known)) or sorted({x for x in known if known.count(x) > 1})
            if wrong:
                raise ValueError(f"{self.csv}: the {what} {wrong[0]!r} is not listed exactly once, or not in the CSV")
        return self

    def read_figures(self) -> tuple[PaperValue, ...]:
        """Return the paper's figures; none where they are not at hand."""
        return paper_tables.read_table(self.csv) if self.csv else ()

    def list_methods(self) -> list[str]:
        """Return all rows, the extra ones included."""
        return [*self.rows, *self.extra, *self.others, *self.not_made]


@dataclass(frozen=True)
class Job:
    """A row of a table, such as sfd-1, on one data set; method and data set are as the paper writes them.

    `row` makes it, `use` is what it is measured on. `columns` are metrics that the table has there, with the direction
    that is better.
    """

    table: str
    method: str
    dataset: str
    row: Row
    use: SetUse
    columns: Mapping[str, str]


@lru_cache(maxsize=1)
def read_tables() -> dict[str, Table]:
    """Return all tables by name, in the files' order; OptionError for no YAML, wrong keys, or a CSV not covered."""
    found: dict[str, Table] = {}
    for paper in paper_tables.PAPERS:
        for name, content in paper_tables.read_mapping(paper).items():
            try:
                found[name] = Table.model_validate(content)
            except ValidationError as error:
                raise OptionError(f"{paper}.yml: {name}: {error}") from error
    return found


def find_tables(names: Sequence[str]) -> dict[str, Table]:
    """Return tables by name; `all` is all of them; OptionError where there is no such table."""
    known = read_tables()
    for name in names:
        if name not in known and name != "all":
            raise OptionError(f"there is no table {name!r}{did_you_mean(name, [*known, 'all', 'list'])}")
    return known if "all" in names else {name: known[name] for name in names}


def is_file(value: object, root: Path) -> bool:
    """Return whether a value of a row's `metric_options` is the name of a file that is there."""
    return isinstance(value, str) and (root / value).is_file()


def list_jobs(name: str, table: Table, rows: Sequence[str] = (), sets: Sequence[str] = ()) -> list[Job]:
    """Return the rows that can be made, on each data set where the table has figures.

    Where `rows` or `sets` hold a name, only the jobs of those are returned.
    """
    made = {**table.rows, **table.extra}
    columns: dict[tuple[str, str], dict[str, str]] = {(dataset, ""): dict(table.columns) for dataset in table.sets}
    for value in table.read_figures():
        for method in (value.method, ""):  # "": all columns of the set, for extra rows
            columns.setdefault((value.dataset, method), {})[value.metric] = value.better
    return [
        Job(name, method, dataset, row, use, columns.get((dataset, method), columns[dataset, ""]))
        for dataset, use in table.sets.items()
        for method, row in made.items()
        if (not rows or method in rows)
        and (not sets or dataset in sets)
        and (row.made_without_options or row.find_options(dataset))
    ]
