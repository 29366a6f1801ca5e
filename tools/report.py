"""One HTML page of results: tables, training curves, and crops of the methods with a slider between two of them.

    python tools/report.py results/evaluation -o report.html
    python tools/report.py results/reproduce --experiments experiments --methods l1=L1 "gan_ssl=GAN + SSL"

RESULTS is searched for what tools/evaluate.py and tools/reproduce.py write. The page has no external files.
docs/guide/report.md tells more.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from prismsr.tools.reporting.crops import Comparison, CropOptions, Place, compare
from prismsr.tools.reporting.curves import read_experiments
from prismsr.tools.reporting.evaluations import Group, read_results
from prismsr.tools.reporting.page import page
from prismsr.tools.reporting.paper_tables import read_reproductions
from prismsr.utils.command_line import fail, run_main, whole_number
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.files import atomic_write
from prismsr.utils.names import did_you_mean

_fail = partial(fail, "report.py")

ROOT = Path(__file__).resolve().parents[1]
MEGABYTE = 1 << 20


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="report.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("results", type=Path, metavar="RESULTS", help="folder with results of evaluate.py or reproduce.py")
    add("-o", "--output", type=Path, help="the page (default: RESULTS/report.html)")
    add("--title", help="default: Results of RESULTS")
    add("--methods", nargs="+", default=[], metavar="NAME[=TITLE]", help="only these, in this order, with these titles")
    add(
        "--experiments",
        type=Path,
        nargs="+",
        default=[],
        help="experiments, or folders of them, whose curves are drawn",
    )
    add("--lq", nargs="+", default=[], metavar="SET=FOLDER", help="LQ images (known for the public test sets)")
    add("--crop", type=whole_number(16), default=192, help="side of the crops in pixels of GT (%(default)s)")
    add("--max-images", type=whole_number(0), default=6, help="crops for each data set; 0: none (%(default)s)")
    add("--max-mb", type=whole_number(1), default=32, help="bound for all crops together, in MiB (%(default)s)")
    add("--at", nargs="+", default=[], metavar="IMAGE=LEFT,TOP", help="crops there, before those that differ most")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Returns:
        Exit code: 0 written, 1 the page cannot be written, 2 wrong usage or nothing to show, 130 stopped by Ctrl-C.
    """
    args = build_parser().parse_args(argv)
    try:
        return run(args)
    except UserError as error:
        return _fail(error, 2)
    except OSError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("stopped; no page was written", 130)


def run(args: argparse.Namespace) -> int:
    """Write the page and tell what it lacks; returns 0."""
    output = args.output or args.results / "report.html"
    options = CropOptions(
        args.crop,
        args.max_images,
        args.max_mb * MEGABYTE * 3 // 4,  # base64 makes four letters of three bytes
        parse_places(args.at),
        {name: Path(folder) for name, folder in _pairs("--lq", args.lq)},
        (Path(), ROOT),
    )
    title = args.title or f"Results of {args.results.resolve().name}"
    problems = write_report(args.results, output, title, options, methods=args.methods, experiments=args.experiments)
    for problem in dict.fromkeys(problems):
        print(f"report.py: {problem}", file=sys.stderr)
    print(f"written: {output}, {output.stat().st_size / MEGABYTE:.1f} MiB")
    return 0


def write_report(
    results: Path,
    output: Path,
    title: str,
    options: CropOptions | None = None,
    *,
    methods: Sequence[str] = (),
    experiments: Sequence[Path] = (),
) -> list[str]:
    """Write the page; byte for byte the same for the same results.

    Args:
        results: folder that is searched.
        output: the page.
        title: of the page.
        options: which crops; `max_bytes` is for all data sets together.
        methods: see `report_results.read_results`.
        experiments: see `report_curves.read_experiments`.

    Returns:
        What is missing or could not be read; the page tells it, too.

    Raises:
        OptionError: there is nothing to show, or the arguments name what is not there.
        OSError: the page cannot be written.
    """
    options = options or CropOptions(bases=(Path(), ROOT))
    found = read_results(results, methods)
    problems = found.problems
    curves = read_experiments(experiments, problems)
    tables = read_reproductions(results, problems)
    if not (found.groups or tables or curves.metrics or curves.losses or curves.pictures):
        told = f"; {problems[0]}" if problems else ""
        raise OptionError(
            f"{results}: there is nothing to show: no results of tools/evaluate.py or reproduce.py, no curves{told}"
        )
    _require_known(found.groups, options)
    crops = _crops(found.groups, options, problems)
    text = page(title, found.groups, crops, curves, tables, problems)
    atomic_write(output, text.encode("utf8"))
    return problems


def _crops(groups: Sequence[Group], options: CropOptions, problems: list[str]) -> dict[int, list[Comparison]]:
    if not options.max_images or not groups:
        return {}
    share = replace(options, max_bytes=options.max_bytes // len(groups))
    return {index: compare(group, share, problems) for index, group in enumerate(groups)}


def parse_places(texts: Sequence[str]) -> dict[str, list[Place]]:
    """Corners of crops by image, from IMAGE=LEFT,TOP; OptionError where one is written otherwise."""
    places: dict[str, list[Place]] = {}
    for name, corner in _pairs("--at", texts):
        numbers = corner.split(",")
        if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
            raise OptionError(f"--at {name}={corner}: write IMAGE=LEFT,TOP with two whole numbers, in pixels of GT")
        places.setdefault(name, []).append((int(numbers[0]), int(numbers[1])))
    return places


def _pairs(option: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        name, equals, value = text.rpartition("=") if option == "--at" else text.partition("=")
        if not (name and equals and value):
            raise OptionError(f"{option} {text}: write NAME=VALUE")
        pairs.append((name, value))
    return pairs


def _require_known(groups: Sequence[Group], options: CropOptions) -> None:
    """Refuse names of images and data sets that no evaluation has."""
    images = {image for group in groups for one in group.evaluations for image in one.scores}
    sets = {group.dataset for group in groups}
    for option, names, known in (("--at", options.places, images), ("--lq", options.lq, sets)):
        for name in names:
            if name not in known:
                raise OptionError(f"{option} {name}: the results have no such name{did_you_mean(name, known)}")
    for name, folder in options.lq.items():
        if not folder.is_dir():
            raise OptionError(f"--lq {name}={folder}: no such folder")


if __name__ == "__main__":
    run_main(main)
