"""Put annotators' label files (JSON, as HGGT's) together to one CSV of the labels that most of them gave.

Paper: AMO, after HGGT.
"""

import argparse
from collections import Counter
from pathlib import Path

from prismsr.data.multi_gt.labels import LABELS, read_labels, write_labels
from prismsr.utils.errors import OptionError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of the step."""
    parser.add_argument(
        "-i", "--input", type=Path, required=True, help="folder with a subfolder of JSON files for each annotator"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the CSV file")
    parser.add_argument("--overwrite", action="store_true", help="replace the file where there is one")


def run(args: argparse.Namespace) -> int:
    """Write the CSV, and print how many versions have which label."""
    if not args.input.is_dir():
        raise OptionError(f"-i {args.input}: no such folder")
    if args.output.is_dir():
        raise OptionError(f"-o {args.output} is a folder; give the name of the CSV file")
    if args.output.exists() and not args.overwrite:
        raise OptionError(f"{args.output} exists; add --overwrite to make it anew, or choose another name with -o")
    labels = read_labels(args.input)
    count = write_labels(args.output, labels)
    found = Counter(label.label for versions in labels.values() for label in versions.values())
    shares = ", ".join(f"{found[label]} {label} ({found[label] / max(count, 1):.2%})" for label in LABELS)
    print(f"labels: {len(labels)} groups, {count} versions written to {args.output}: {shares}")
    return 0
