"""Arguments and run of tools/evaluate_iqa.py."""

import argparse
from dataclasses import replace
from pathlib import Path

from prismsr.tools.iqa.sets import READERS, load_iqa_set
from prismsr.utils.command_line import add_on_error, add_workers, print_list, whole_number
from prismsr.utils.errors import OptionError
from prismsr.utils.options.yaml_loader import read_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("metric", help="a no-reference metric, see docs/guide/nr_iqa.md")
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
    add_on_error(parser)
    add_workers(parser)


def run(args: argparse.Namespace) -> None:
    """Score, correlate, write the results and print them."""
    from prismsr.tools.evaluation.columns import MetricSpec, make_scorer
    from prismsr.tools.iqa.opinions import correlate_set, limit_set, write_opinions
    from prismsr.utils.devices import find_device

    find_device(args.device)
    scorer = make_scorer(MetricSpec(args.metric, read_settings(args.metric_options, "--metric-options")), "none")
    scorer = replace(scorer, better=args.better or scorer.better)
    iqa_set = limit_set(load_iqa_set(args.set, args.root, args.labels, args.mos_column), args.limit)
    stem = args.name or f"{scorer.spec.known.name}_{args.set}"
    store, table = args.output / f"{stem}.csv", args.csv or args.output / f"{stem}_correlations.csv"
    if table.resolve() == store.resolve():
        raise OptionError(f"--csv {table}: the scores of the single images are kept there; choose another file")
    given = {"workers": args.workers, "device": args.device, "on_error": args.on_error}
    opinions = correlate_set(iqa_set, scorer, store, **given)
    text = write_opinions(args.output, stem, opinions, table)
    print(f"{text}\nwritten: {table}, {args.output / stem}.md and .png; scores: {store}")
    if opinions.skipped:
        print(f"{len(opinions.skipped)} images without a score:")
        print_list(opinions.skipped)
