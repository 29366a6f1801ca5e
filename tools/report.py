"""One HTML page of results: tables, training curves, and crops of the methods with a slider between two of them.

    python tools/report.py results/evaluation -o report.html
    python tools/report.py results/reproduce --experiments experiments --methods l1=L1 "gan_ssl=GAN + SSL"

RESULTS is searched for what tools/evaluate.py and tools/reproduce.py write. The page has no external files.
docs/report.md tells more. Exit code: 0 written, 1 the page cannot be written, 2 wrong usage or nothing to show.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from prismsr.tools.reporting.build import parse_folders, parse_places, write_report
from prismsr.tools.reporting.crops import CropOptions
from prismsr.tools.reporting.evaluations import ROOT
from prismsr.utils.command_line import fail, run_main, whole_number
from prismsr.utils.errors import UserError

MEGABYTE = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page and tell what it lacks; return the exit code."""
    parser = argparse.ArgumentParser("report.py", None, __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("results", type=Path, metavar="RESULTS", help="folder with results of evaluate.py or reproduce.py")
    add("-o", "--output", type=Path, help="the page (default: RESULTS/report.html)")
    add("--title", help="default: Results of RESULTS")
    add("--methods", nargs="+", default=[], metavar="NAME[=TITLE]", help="only these, in this order, with these titles")
    add("--experiments", type=Path, nargs="+", default=[], help="experiments, or folders of them: their curves")
    add("--lq", nargs="+", default=[], metavar="SET=FOLDER", help="LQ images (known for the public test sets)")
    add("--crop", type=whole_number(16), default=192, help="side of the crops in pixels of GT (%(default)s)")
    add("--max-images", type=whole_number(0), default=6, help="crops for each data set; 0: none (%(default)s)")
    add("--max-mb", type=whole_number(1), default=32, help="bound for all crops together, in MiB (%(default)s)")
    add("--at", nargs="+", default=[], metavar="IMAGE=LEFT,TOP", help="crops there, before those that differ most")
    args = parser.parse_args(argv)
    output = args.output or args.results / "report.html"
    title = args.title or f"Results of {args.results.resolve().name}"
    size = args.max_mb * MEGABYTE * 3 // 4  # base64 makes four letters of three bytes
    try:
        places, lq = parse_places(args.at), parse_folders(args.lq)
        options = CropOptions(args.crop, args.max_images, size, places, lq, (Path(), ROOT))
        problems = write_report(args.results, output, title, options, args.methods, args.experiments)
    except (UserError, OSError) as error:
        return fail("report.py", error, 2 if isinstance(error, UserError) else 1)
    except KeyboardInterrupt:
        return fail("report.py", "stopped; no page was written", 130)
    for problem in problems:
        print(f"report.py: {problem}", file=sys.stderr)
    print(f"written: {output}, {output.stat().st_size / MEGABYTE:.1f} MiB")
    return 0


if __name__ == "__main__":
    run_main(main)
