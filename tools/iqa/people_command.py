"""Arguments and run of tools/analyse_iqa.py."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from prismsr.data.images.source import ImageSourceError
from prismsr.data.multi_gt.labels import read_labels
from prismsr.data.multi_gt.score_file import read_scores
from prismsr.metrics.preference import TIE, UNKNOWN, agreement, complementarity, misalignment
from prismsr.tools.iqa.people import (
    Scorer,
    build_scorers,
    group_quality,
    grouped_images,
    label_codes,
    outcomes,
    score_all,
    table_quality,
)
from prismsr.tools.iqa.people_report import report_hggt, report_pairs
from prismsr.tools.iqa.preference_pairs import PairsError, read_pairs
from prismsr.utils.devices import find_device
from prismsr.utils.errors import OptionError

import numpy as np


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
    parser.add_argument(
        "--metric",
        nargs="+",
        default=[],
        required=metric_required,
        help="natural_scene, sfd_iqa, or names of pyiqa's metrics",
    )
    parser.add_argument("--metric-options", nargs="+", default=[], metavar="METRIC.KEY=VALUE", help="such as weights")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default: %(default)s)")
    parser.add_argument("--name", help="name of the results (default: that of the pairs' file or of the root)")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/iqa_analysis"), help="default: %(default)s")
    parser.add_argument(
        "--on-error",
        choices=["stop", "skip"],
        default="stop",
        help="an image without a score ends the run (stop, the default) or is left out and counted (skip)",
    )


def run(args: argparse.Namespace) -> None:
    """Analyse the pairs or the labels."""
    find_device(args.device)
    {"pairs": run_pairs, "hggt": run_hggt}[args.kind](args)


def run_pairs(args: argparse.Namespace) -> None:
    """Accuracy of each metric against people's choices, and how the metrics complement one another."""
    pairs = read_pairs(args.pairs, _folder(args.root))
    if (pairs.choices == TIE).all():
        raise PairsError(f"{args.pairs}: all {len(pairs.choices)} pairs are ties; there is nothing to agree with")
    scorers = build_scorers(args.metric, args.metric_options)
    folder = args.output / (args.name or args.pairs.stem)
    images = {name: args.root / name for name in pairs.names()}
    found = {}
    notes: list[str] = []
    for scorer in scorers:
        scores = _scores(scorer, images, folder, args, notes)
        found[scorer.name] = outcomes(pairs, scores)
    agreements = {name: agreement(outcome, pairs.choices) for name, outcome in found.items()}
    shares, counts = complementarity(np.stack(list(found.values())))
    ties = int((pairs.choices == TIE).sum())
    title = f"{folder.name}: {len(pairs.choices)} pairs, {ties} of them ties"
    print(report_pairs(folder, title, agreements, shares, counts, notes))
    print(f"written: {folder}/report.md and .json, accuracy.csv, complementarity.csv and .png, scores/")


def run_hggt(args: argparse.Namespace) -> None:
    """Misalignment of each metric with the labels of an original's enhanced versions."""
    if not args.metric and not args.scores:
        raise OptionError("give --metric, --scores or both")
    groups, images = grouped_images(args.root, files_needed=bool(args.metric))
    codes = label_codes(groups, read_labels(args.labels))
    tables = [read_scores(path) for path in args.scores]
    scorers = build_scorers(args.metric, args.metric_options)
    names = [*(table.metric for table in tables), *(scorer.name for scorer in scorers)]
    if len(set(names)) < len(names):
        raise OptionError(f"--scores and --metric: one metric is given twice: {', '.join(names)}")
    folder = args.output / (args.name or args.root.resolve().stem)
    unlabelled = int((codes[:, 1:] == UNKNOWN).sum())
    notes = [f"{unlabelled} enhanced images have no label and are in no pair"] if unlabelled else []
    found = {table.metric: misalignment(table_quality(groups, table), codes) for table in tables}
    for scorer in scorers:
        scores = _scores(scorer, images, folder, args, notes)
        found[scorer.name] = misalignment(group_quality(groups, scores), codes)
    title = f"{folder.name}: {len(groups.names)} groups of {len(groups.versions)} images"
    print(report_hggt(folder, title, found, notes))
    print(f"written: {folder}/report.md and .json, misalignment.csv, scores/")


def _scores(
    scorer: Scorer, images: Mapping[str, Path], folder: Path, args: argparse.Namespace, notes: list[str]
) -> dict[str, float]:
    """Scores of a metric, higher is better; a note for the images that have none."""
    scores, skipped = score_all(scorer, images, folder / "scores", args.device, args.on_error)
    if skipped:
        notes.append(f"{scorer.name}: {len(skipped)} of {len(images)} images have no score, first: {skipped[0]}")
    return scores


def _folder(root: Path) -> Path:
    if not root.is_dir():
        raise ImageSourceError(f"{root}: no such folder")
    return root
