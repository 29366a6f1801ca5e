"""Arguments and run of tools/analyse_iqa.py."""

import argparse
from pathlib import Path

from prismsr.data.images.source import ImageSourceError
from prismsr.data.multi_gt.labels import read_labels
from prismsr.utils.command_line import add_on_error
from prismsr.utils.errors import OptionError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    pairs = kinds.add_parser("pairs", help="accuracy against people's choices in pairs of images")
    pairs.add_argument("--pairs", type=Path, required=True, help="CSV: left,right,choice or left,right,left_votes,...")
    hggt = kinds.add_parser("hggt", help="misalignment with the labels of enhanced versions")
    hggt.add_argument("--labels", type=Path, required=True, help="folder of the annotators' JSON files, or their CSV")
    hggt.add_argument("--scores", type=Path, nargs="+", default=[], help="files that `prepare.py score` made")
    _add_common(pairs, metric_required=True)
    _add_common(hggt, metric_required=False)


def _add_common(parser: argparse.ArgumentParser, metric_required: bool) -> None:
    parser.add_argument("--root", type=Path, required=True, help="folder of the images")
    about = "no-reference metrics, see docs/guide/nr_iqa.md"
    parser.add_argument("--metric", nargs="+", default=[], required=metric_required, help=about)
    parser.add_argument("--metric-options", nargs="+", default=[], metavar="METRIC.KEY=VALUE", help="such as weights")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default: %(default)s)")
    parser.add_argument("--name", help="name of the results (default: that of the pairs' file or of the root)")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/iqa_analysis"), help="default: %(default)s")
    add_on_error(parser)


def run(args: argparse.Namespace) -> None:
    """Analyse the pairs or the labels."""
    from prismsr.utils.devices import find_device

    find_device(args.device)
    {"pairs": run_pairs, "hggt": run_hggt}[args.kind](args)


def run_pairs(args: argparse.Namespace) -> None:
    """Report the accuracy of each metric against people's choices, and how the metrics complement one another."""
    from prismsr.tools.evaluation.columns import read_metric_settings
    from prismsr.tools.iqa.people import build_scorers, compare_choices
    from prismsr.tools.iqa.people_report import report_pairs
    from prismsr.tools.iqa.preference_pairs import read_pairs

    if not args.root.is_dir():
        raise ImageSourceError(f"{args.root}: no such folder")
    pairs = read_pairs(args.pairs, args.root)
    scorers = build_scorers(args.metric, read_metric_settings(args.metric_options, "--metric-options"))
    folder = args.output / (args.name or args.pairs.stem)
    found = compare_choices(pairs, args.root, scorers, folder / "scores", args.device, args.on_error)
    print(report_pairs(folder, pairs, found))
    print(f"written: {folder}/report.md and .json, accuracy.csv, complementarity.csv and .png, scores/")


def run_hggt(args: argparse.Namespace) -> None:
    """Report the misalignment of each metric with the labels of an original's enhanced versions."""
    from prismsr.data.multi_gt.score_file import read_scores
    from prismsr.metrics.preference import UNKNOWN, measure_misalignment
    from prismsr.tools.evaluation.columns import read_metric_settings
    from prismsr.tools.iqa import people
    from prismsr.tools.iqa.people_report import report_hggt

    if not args.metric and not args.scores:
        raise OptionError("give --metric, --scores or both")
    groups, images = people.group_images(args.root, files_needed=bool(args.metric))
    codes = people.encode_labels(groups, read_labels(args.labels))
    tables = [read_scores(path) for path in args.scores]
    scorers = people.build_scorers(args.metric, read_metric_settings(args.metric_options, "--metric-options"))
    names = [*(table.metric for table in tables), *(scorer.spec.known.name for scorer in scorers)]
    if len(set(names)) < len(names):
        raise OptionError(f"--scores and --metric: one metric is given twice: {', '.join(names)}")
    folder = args.output / (args.name or args.root.resolve().stem)
    found = {table.metric: measure_misalignment(people.read_quality(groups, table), codes) for table in tables}
    scores, notes = people.score_all(scorers, images, folder / "scores", args.device, args.on_error)
    found |= {name: measure_misalignment(people.arrange_scores(groups, each), codes) for name, each in scores.items()}
    unlabelled = int((codes[:, 1:] == UNKNOWN).sum())
    first = [f"{unlabelled} enhanced images have no label and are in no pair"] if unlabelled else []
    title = f"{folder.name}: {len(groups.names)} groups of {len(groups.versions)} images"
    print(report_hggt(folder, title, found, [*first, *notes]))
    print(f"written: {folder}/report.md and .json, misalignment.csv, scores/")
