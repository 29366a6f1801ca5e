"""The command line of tools/report.py."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from prismsr.utils.command_line import whole_number
from prismsr.utils.errors import OptionError

MEGABYTE = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add(
        "results",
        type=Path,
        metavar="RESULTS",
        help="folder with results of evaluate.py or reproduce.py, or experiment",
    )
    add("-o", "--output", type=Path, help="the page (default: RESULTS/report.html)")
    add("--title", help="default: Results of RESULTS")
    add("--methods", nargs="+", default=[], metavar="NAME[=TITLE]", help="only these, in this order, with these titles")
    add("--experiments", type=Path, nargs="+", default=[], help="experiments, or folders of them: their curves")
    add("--lq", nargs="+", default=[], metavar="SET=FOLDER", help="LQ images (known for the public test sets)")
    add("--crop", type=whole_number(16), default=192, help="side of the crops in pixels of GT (%(default)s)")
    add("--max-images", type=whole_number(0), default=6, help="crops for each data set; 0: none (%(default)s)")
    add("--max-mb", type=whole_number(1), default=32, help="bound for all crops together, in MiB (%(default)s)")
    add("--watch", action="store_true", help="draw anew while a run goes on, until Ctrl-C; the page reloads itself")
    add(
        "--every", type=whole_number(1), default=10, metavar="SECONDS", help="with --watch: between looks (%(default)s)"
    )
    add("--at", nargs="+", default=[], metavar="IMAGE=LEFT,TOP", help="crops there, before those that differ most")


def run(args: argparse.Namespace) -> None:
    """Write the page, once or with --watch again and again, and print what it lacks."""
    from prismsr.tools.reporting.watch import watch

    if not args.watch:
        draw(args)
    elif not args.results.is_dir():
        raise OptionError(f"{args.results}: no such folder")
    else:
        watch(partial(draw, args), (args.results, *args.experiments), args.every)


def draw(args: argparse.Namespace, refresh: int | None = None) -> None:
    """Write the page, and print what it lacks.

    Args:
        args: see `add_arguments`.
        refresh: seconds after which the page reloads itself; None: never.
    """
    from prismsr.models.training.log import LOSSES
    from prismsr.tools.reporting.build import write_report
    from prismsr.tools.reporting.crops import CropOptions

    output = args.output or args.results / "report.html"
    title = args.title or f"Results of {args.results.resolve().name}"
    size = args.max_mb * MEGABYTE * 3 // 4  # base64 makes four letters of three bytes
    places, lq = parse_places(args.at), parse_folders(args.lq)
    options = CropOptions(args.crop, args.max_images, size, places, lq)
    own = [args.results] if (args.results / LOSSES).is_file() else []
    experiments = [*own, *args.experiments]
    for problem in write_report(args.results, output, title, options, args.methods, experiments, refresh):
        print(f"report.py: {problem}", file=sys.stderr)
    print(f"written: {output}, {output.stat().st_size / MEGABYTE:.1f} MiB", flush=True)


def parse_places(texts: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """Return the corners of crops by image, from IMAGE=LEFT,TOP.

    Raises:
        OptionError: one is written otherwise.
    """
    places: dict[str, list[tuple[int, int]]] = {}
    for text in texts:
        name, _, corner = text.rpartition("=")
        numbers = corner.split(",")
        if not name or len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
            raise OptionError(f"--at {text}: write IMAGE=LEFT,TOP with two whole numbers, in pixels of GT")
        places.setdefault(name, []).append((int(numbers[0]), int(numbers[1])))
    return places


def parse_folders(texts: Sequence[str]) -> dict[str, Path]:
    """Return the folders of LQ images by data set, from SET=FOLDER.

    Raises:
        OptionError: one is written otherwise, or is not there.
    """
    folders = {}
    for text in texts:
        name, _, folder = text.partition("=")
        if not (name and folder):
            raise OptionError(f"--lq {text}: write SET=FOLDER")
        if not Path(folder).is_dir():
            raise OptionError(f"--lq {text}: no such folder")
        folders[name] = Path(folder)
    return folders
