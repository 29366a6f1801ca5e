"""Arguments and run of tools/evaluate_iqa.py."""

import argparse
from pathlib import Path

from prismsr.metrics.correlation import CorrelationError
from prismsr.tools.iqa.metrics import find_metric, parse_options
from prismsr.tools.iqa.opinions import limited, score_set
from prismsr.tools.iqa.opinions_report import make_rows, markdown, write_csv, write_scatter
from prismsr.tools.iqa.score_log import ScoreLog
from prismsr.tools.iqa.sets import READERS, load_iqa_set
from prismsr.utils.command_line import add_workers, print_list, whole_number
from prismsr.utils.devices import find_device
from prismsr.utils.errors import OptionError
from prismsr.utils.files import atomic_write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("metric", help="a registered no-reference metric such as niqe, or pyiqa:NAME")
    parser.add_argument("--set", required=True, choices=list(READERS), help="layout of the data set")
    parser.add_argument("--root", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--labels", type=Path, help="file of the scores, where it is not at its published place")
    parser.add_argument("--mos-column", help="header of the MOS column, where there are several")
    parser.add_argument("--name", help="name of the results (default: METRIC_SET)")
    parser.add_argument("--metric-options", nargs="+", default=[], metavar="KEY=VALUE", help="arguments of the metric")
    parser.add_argument("--better", choices=["higher", "lower"], help="direction, where the metric does not tell")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default: %(default)s)")
    parser.add_argument("--limit", type=whole_number(1), help="score only so many images, evenly spread over the set")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/iqa"), help="default: %(default)s")
    parser.add_argument("--csv", type=Path, help="where the table goes as CSV (default: beside the other results)")
    parser.add_argument(
        "--on-error",
        choices=["stop", "skip"],
        default="stop",
        help="an image without a score ends the run (stop, the default) or is left out and named (skip)",
    )
    add_workers(parser)


def run(args: argparse.Namespace) -> None:
    """Score, correlate, print, and write the results."""
    find_device(args.device)
    metric = find_metric(args.metric, parse_options(args.metric_options), args.device, args.better)
    iqa_set = load_iqa_set(args.set, args.root, args.labels, args.mos_column)
    iqa_set, notes = limited(iqa_set, args.limit)
    stem = args.name or f"{metric.short_name}_{args.set}"
    log = ScoreLog(args.output / f"{stem}.csv", metric)
    table = args.csv or args.output / f"{stem}_correlations.csv"
    if table.resolve() == log.path.resolve():
        raise OptionError(f"--csv {table}: the scores of the single images are kept there; choose another file")
    scores, skipped = score_set(iqa_set, metric, log, args.workers, args.on_error)
    if skipped:
        notes.append(f"{len(skipped)} of {len(iqa_set.records)} images have no score and are left out")
    rows = make_rows(iqa_set, scores, metric)
    if rows[0].found is None:
        raise CorrelationError(rows[0].notes[0])
    title = f"{metric.short_name} on {args.set}"
    text = markdown(title, rows, metric, notes)
    write_csv(table, rows)
    atomic_write(args.output / f"{stem}.md", text.encode())
    write_scatter(args.output / f"{stem}.png", title, iqa_set, scores, metric)
    print(f"{text}\nwritten: {table}, {args.output / stem}.md and .png; scores: {log.path}")
    if skipped:
        print(f"{len(skipped)} images without a score:")
        print_list(skipped)
