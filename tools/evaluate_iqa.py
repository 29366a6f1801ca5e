"""Score the images of a quality data set with a no-reference metric, and correlate the scores with people's opinions.

    python tools/evaluate_iqa.py niqe --set koniq10k --root datasets/koniq10k

Scores are kept in results/iqa as they are made: after Ctrl-C the same command goes on where it stopped.
docs/guide/iqa.md tells what each figure is and where to get the sets.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from prismsr.metrics.correlation import CorrelationError
from prismsr.tools.iqa.metrics import Metric, find_metric, parse_options, score_image
from prismsr.tools.iqa.opinions_report import make_rows, markdown, write_csv, write_scatter
from prismsr.tools.iqa.score_log import ScoreLog
from prismsr.tools.iqa.sets import READERS, IqaRecord, IqaSet, IqaSetError, load_iqa_set
from prismsr.utils.command_line import add_workers, fail, print_list, run_main, whole_number
from prismsr.utils.devices import find_device
from prismsr.utils.errors import DataError, JobError, OptionError, UserError
from prismsr.utils.files import atomic_write
from prismsr.utils.processes import OnError, run_jobs

import numpy as np

_fail = partial(fail, "evaluate_iqa.py")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="evaluate_iqa.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("metric", help="a registered no-reference metric such as niqe, or pyiqa:NAME")
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
    parser.add_argument(
        "--on-error",
        choices=["stop", "skip"],
        default="stop",
        help="an image without a score ends the run (stop, the default) or is left out and named (skip)",
    )
    add_workers(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong usage or data set, 130 stopped by Ctrl-C.
    """
    args = build_parser().parse_args(argv)
    try:
        run(args)
    except (OptionError, IqaSetError) as error:
        return _fail(error, 2)
    except DataError as error:
        return _fail(f"{error}; --on-error skip goes on without such images", 1)
    except JobError as error:
        lacking = isinstance(error.__cause__, UserError)  # such as weights that are not there
        return _fail(error.__cause__ if lacking else error, 2 if lacking else 1)
    except (CorrelationError, OSError) as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("stopped; the scores made so far are kept, the same command goes on from there", 130)
    return 0


def run(args: argparse.Namespace) -> None:
    """Score, correlate, print, and write the results."""
    find_device(args.device)
    metric = find_metric(args.metric, parse_options(args.metric_options), args.device, args.better)
    iqa_set = load_iqa_set(args.set, args.root, args.labels, args.mos_column)
    iqa_set, notes = limited(iqa_set, args.limit)
    stem = args.name or f"{metric.short_name}_{args.set}"
    log = ScoreLog(args.output / f"{stem}.csv", metric)
    table = args.csv or args.output / f"{stem}_correlations.csv"
    if table.resolve() == log.path.resolve():
        raise OptionError(f"--csv {table}: the scores of the single images are kept there; choose another file")
    scores, skipped = score_set(iqa_set, metric, log, args.workers, args.on_error)
    if skipped:
        notes.append(f"{len(skipped)} of {len(iqa_set.records)} images have no score and are left out")
    rows = make_rows(iqa_set, scores, metric)
    if rows[0].found is None:
        raise CorrelationError(rows[0].notes[0])
    title = f"{metric.short_name} on {args.set}"
    text = markdown(title, rows, metric, notes)
    write_csv(table, rows)
    atomic_write(args.output / f"{stem}.md", text.encode())
    write_scatter(args.output / f"{stem}.png", title, iqa_set, scores, metric)
    print(f"{text}\nwritten: {table}, {args.output / stem}.md and .png; scores: {log.path}")
    if skipped:
        print(f"{len(skipped)} images without a score:")
        print_list(skipped)


def limited(iqa_set: IqaSet, limit: int | None) -> tuple[IqaSet, list[str]]:
    """The set, or `limit` of its images, evenly spread; and the set's notes."""
    records, notes = iqa_set.records, list(iqa_set.notes)
    if limit is None or limit >= len(records):
        return iqa_set, notes
    chosen = [records[index] for index in np.linspace(0, len(records) - 1, limit).round().astype(int)]
    note = f"only {limit} of the {len(records)} images (--limit): not to be compared with the paper's figures"
    return IqaSet(iqa_set.name, chosen, notes, iqa_set.unions), [note, *notes]


def score_set(
    iqa_set: IqaSet, metric: Metric, log: ScoreLog, workers: int, on_error: OnError
) -> tuple[dict[str, float], list[str]]:
    """Scores by name, those of earlier runs included, and the messages of the images that have none."""
    scores = log.read(iqa_set.records)
    todo: dict[str, IqaRecord] = {record.name: record for record in iqa_set.records if record.name not in scores}
    print(f"{len(iqa_set.records)} images: {len(scores)} scores from {log.path}, {len(todo)} to make", file=sys.stderr)

    def keep(result: tuple[str, float]) -> None:
        name, score = result
        log.append(todo[name], score)
        scores[name] = score

    workers = 1 if metric.is_network else workers  # CUDA, besides, does not survive a fork
    jobs = [(name, record.path, metric) for name, record in todo.items()]
    return scores, run_jobs(
        score_image, jobs, workers=workers, on_error=on_error, label=metric.short_name, consume=keep
    )


if __name__ == "__main__":
    run_main(main)
