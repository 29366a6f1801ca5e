"""Arguments and run of tools/weights.py."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prismsr.utils.command_line import ROOT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("command", choices=["list", "check", "fetch"])
    parser.add_argument("--options", nargs="+", type=Path, metavar="FILE", help="option files or folders of them")
    parser.add_argument("--metrics", nargs="+", metavar="NAME", help="metrics, as tools/evaluate.py names them")
    parser.add_argument("--overwrite", action="store_true", help="fetch: replace files that are not as published")


def run(args: argparse.Namespace, root: Path = ROOT, entries: Sequence[Any] | None = None) -> int:
    """List, check or fetch; a test may give another repository and another list."""
    from prismsr.tools.weight_files.actions import check, fetch, show
    from prismsr.tools.weight_files.wanted import collect_wanted, load_option_files

    options = None if args.options is None else load_option_files(args.options)
    want = collect_wanted(options, args.metrics, root, entries)
    if args.command == "fetch":
        return fetch(want, root, args.overwrite)
    return (show if args.command == "list" else check)(want, root)
