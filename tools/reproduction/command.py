"""Arguments and run of tools/reproduce.py."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prismsr.tools.inference.defaults import PRECISIONS, fit_overlap
from prismsr.tools.reproduction.tables import Table, find_tables, list_jobs, read_tables
from prismsr.utils.command_line import ROOT, add_workers, whole_number
from prismsr.utils.errors import OptionError
from prismsr.utils.names import did_you_mean

if TYPE_CHECKING:
    from prismsr.tools.reproduction.cells import Cell
    from prismsr.tools.reproduction.running import Found, Setup


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("tables", nargs="+", metavar="TABLE", help="such as ssl-1, several, `all`, or `list`")
    add("--rows", nargs="+", default=[], metavar="METHOD", help="only these rows, as the paper has them")
    add("--sets", nargs="+", default=[], metavar="SET", help="only these test sets, as the paper has them")
    add("--run", action="store_true", help="run what can be run; without it nothing is computed")
    add("--plots", action="store_true", help="draw the planes and charts")
    add("--checkpoint", nargs="+", default=[], metavar="METHOD=FILE", help="weights in place of the experiment's")
    add("--results", type=Path, help="folder of results (default: results/reproduce)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: %(default)s)")
    add("--precision", choices=PRECISIONS, default="fp32", help="default: %(default)s")
    add("--tile", type=whole_number(0), default=0, help="side of tiles in LR pixels, 0 for whole images (default)")
    add_workers(parser)


def run(args: argparse.Namespace, root: Path = ROOT) -> int:
    """Tell, run and report; returns 0, or 1 where a job failed."""
    if "list" in args.tables:
        print("\n".join(f"{name:8} {table.title}" for name, table in read_tables().items()))
        return 0
    from prismsr.tools.reproduction.cells import format_overview, list_cells, write_report
    from prismsr.tools.reproduction.kept_results import hash_folder
    from prismsr.tools.reproduction.plots import draw_plots
    from prismsr.tools.reproduction.running import examine, run_all

    hash_folder.cache_clear()  # of an earlier call in this process
    tables = find_tables(args.tables)
    setup = _make_setup(args, root, tables)
    cells: dict[str, list[Cell]] = {}
    failed = False
    for name, (table, rows, sets) in _choose_tables(args, tables).items():
        found = [examine(job, setup) for job in list_jobs(name, table, rows, sets)]
        if args.run:
            run_all(found, setup)
        cells[name] = list_cells(name, table, found, rows, sets)
        text = write_report(setup.results, name, table, cells[name], found)
        print(text if len(tables) == 1 else f"{name}: {setup.results / name}.md")
        failed |= _tell_failures(found)
    if len(tables) > 1:
        print(f"\n{format_overview(cells)}")
    if args.plots:
        print("\n".join(f"plot: {path}" for path in draw_plots(cells, setup.results / "plots")))
    return 1 if failed else 0


def _choose_tables(args: argparse.Namespace, tables: dict[str, Table]) -> dict[str, tuple[Table, list[str], list[str]]]:
    """Return each table with the rows and sets that are asked for, without tables that have none of them.

    An OptionError names a row or set that no table has.
    """
    methods = {name: table.list_methods() for name, table in tables.items()}
    for option, wanted, known in (
        ("--rows", args.rows, {method for each in methods.values() for method in each}),
        ("--sets", args.sets, {dataset for table in tables.values() for dataset in table.sets}),
    ):
        for text in wanted:
            if text not in known:
                raise OptionError(f"{option}: {' and '.join(tables)} have no {text!r}{did_you_mean(text, known)}")
    chosen = {}
    for name, table in tables.items():
        rows = [method for method in args.rows if method in methods[name]]
        sets = [dataset for dataset in args.sets if dataset in table.sets]
        if bool(rows) == bool(args.rows) and bool(sets) == bool(args.sets):
            chosen[name] = (table, rows, sets)
    return chosen


def _make_setup(args: argparse.Namespace, root: Path, tables: dict[str, Table]) -> "Setup":
    from prismsr.tools.reproduction.kept_results import How
    from prismsr.tools.reproduction.running import Setup

    checkpoints = {}
    known = {method for table in tables.values() for method in [*table.rows, *table.extra]}
    for text in args.checkpoint:
        method = max((name for name in known if text.startswith(f"{name}=")), key=len, default=None)
        if method is None:
            raise OptionError(f"--checkpoint {text}: write METHOD=FILE; methods: {', '.join(sorted(known))}")
        file = text.removeprefix(f"{method}=")
        if not Path(file).is_file():
            raise OptionError(f"--checkpoint {text}: there is no file {file}")
        checkpoints[method] = Path(file)
    how = How(args.precision, args.tile, fit_overlap(args.tile))
    return Setup(root, args.results or root / "results" / "reproduce", args.device, args.workers, how, checkpoints)


def _tell_failures(found: Sequence["Found"]) -> bool:
    failures = [(one, column, text) for one in found for column, text in one.errors.items()]
    for one, column, text in failures:
        where = " ".join(part for part in (one.job.table, one.job.method, "on", one.job.dataset, column) if part)
        print(f"reproduce.py: failed: {where}: {text}", file=sys.stderr)
    return bool(failures)
