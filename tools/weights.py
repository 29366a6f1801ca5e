"""Weights that option files and metrics need: show them (list), see whether they are whole (check), get them (fetch).
A published checkpoint of another code is made one of ours by convert.

    python tools/weights.py list --options options/ssl
    python tools/weights.py check --options options/amo/swinir_upos_x4.yml --metrics lpips dists
    python tools/weights.py fetch --metrics musiq
    python tools/weights.py convert resshift_realsrx4_s15_v1.pth -o OUT.pth --network options/diffusion/resshift_x4.yml

Without --options and --metrics everything that is known is meant. Exit code: 0 all there, 1 something is missing or
damaged (check) or could not be fetched (fetch), 2 wrong arguments, 130 stopped by Ctrl-C.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prismsr.utils.command_line import ROOT, command, run_main


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (("list", "show them"), ("check", "are they there and whole?"), ("fetch", "get what is missing")):
        one = commands.add_parser(name, help=text)
        one.add_argument("--options", nargs="+", type=Path, metavar="FILE", help="option files or folders of them")
        one.add_argument("--metrics", nargs="+", metavar="NAME", help="metrics, as tools/evaluate.py names them")
    one.add_argument("--overwrite", action="store_true", help="replace files that are not as published")
    one = commands.add_parser("convert", help="a published checkpoint into a file for an option file's network")
    one.add_argument("file", type=Path, help="the authors' file")
    one.add_argument("-o", "--output", type=Path, required=True, help="a .pth file")
    one.add_argument("--network", type=Path, required=True, metavar="FILE", help="option file; its network_g is meant")
    one.add_argument("--overwrite", action="store_true", help="replace the output file")


def run(args: argparse.Namespace, root: Path = ROOT, entries: Sequence[Any] | None = None) -> int:
    """List, check, fetch or convert; a test may give another repository and another list."""
    if args.command == "convert":
        from prismsr.tools.weight_files.merging import convert_file

        convert_file(args.file, args.output, args.network, args.overwrite)
        return 0
    from prismsr.tools.weight_files.actions import check, fetch, show
    from prismsr.tools.weight_files.wanted import collect_wanted, load_option_files

    options = None if args.options is None else load_option_files(args.options)
    want = collect_wanted(options, args.metrics, root, entries)
    if args.command == "fetch":
        return fetch(want, root, args.overwrite)
    return (show if args.command == "list" else check)(want, root)


main = partial(command, "weights.py", __doc__, add_arguments, run)

if __name__ == "__main__":
    run_main(main)
