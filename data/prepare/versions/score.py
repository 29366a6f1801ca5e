"""Score every version of every ground truth with a no-reference metric, for datasets that choose by quality.

Paper: AMO, choice of ground truths.
"""

import argparse
from pathlib import Path

from prismsr.data.images.source import open_source
from prismsr.data.multi_gt.groups import group_keys
from prismsr.utils.command_line import add_on_error, add_workers, print_list, whole_number
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.options.yaml_loader import read_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of the step."""
    parser.add_argument(
        "-i", "--input", type=Path, required=True, help="folder or .lmdb whose first folders are the versions"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="CSV of the scores")
    parser.add_argument("--metric", default="musiq", help="see docs/guide/nr_iqa.md (default: %(default)s)")
    parser.add_argument(
        "--option", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="an option of the metric"
    )
    parser.add_argument("--original", default="original", help="folder of the originals (default: %(default)s)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="default: %(default)s")
    parser.add_argument(
        "--batch", type=whole_number(1), default=1, help="images of equal size scored at once (default: %(default)s)"
    )
    add_workers(parser)
    add_on_error(parser)
    parser.add_argument("--overwrite", action="store_true", help="make the file anew")


def run(args: argparse.Namespace) -> int:
    """Score what the file does not hold yet."""
    from prismsr.data.multi_gt.score_file import ScoreHeader, ScoreWriter
    from prismsr.data.prepare.versions.scoring import Job, Scoring
    from prismsr.metrics.no_reference import build_nr_metric
    from prismsr.utils.devices import find_device

    source = open_source(args.input)
    groups = group_keys(source.keys(), str(args.input), args.original)
    options = read_settings(args.option, "--option")
    try:
        metric = build_nr_metric(args.metric, **options).to(find_device(args.device))
        writer = ScoreWriter(args.output, ScoreHeader.of(metric, options), args.overwrite)
    except UserError as error:
        raise OptionError(str(error)) from error
    jobs = [
        Job(name, version, key)
        for name, keys in zip(groups.names, groups.keys, strict=True)
        for version, key in zip(groups.versions, keys, strict=True)
    ]
    todo = [job for job in jobs if (job.name, job.version) not in writer.done]
    scoring = Scoring(source, metric, writer, args.on_error)
    scoring.run(todo, args.batch, args.workers)
    done = len(todo) - len(scoring.skipped)
    print(f"score: {len(jobs)} images, {done} scored now, in {args.output} by {metric.name} ({metric.version})")
    if scoring.skipped:
        print(f"{len(scoring.skipped)} images skipped:")
        print_list(scoring.skipped)
    return 0
