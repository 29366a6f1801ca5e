"""Score every version of every ground truth with a no-reference metric, for datasets that choose by quality.

Paper: AMO, choice of ground truths.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from prismsr.data.images.source import ImageSource, open_source
from prismsr.data.multi_gt.groups import group_keys
from prismsr.data.multi_gt.score_file import ScoreHeader, ScoreWriter
from prismsr.metrics.no_reference import NRMetric, build_nr_metric
from prismsr.utils.command_line import add_on_error, add_workers, print_list, whole_number
from prismsr.utils.devices import find_device
from prismsr.utils.errors import DataError, OptionError, UserError
from prismsr.utils.images import decode_image, eight_bit_bgr, metric_tensor
from prismsr.utils.options.yaml_loader import read_settings

import torch
from torch import Tensor
from tqdm import tqdm


class Job(NamedTuple):
    """One image: its group's name, its version and its key in the source."""

    name: str
    version: str
    key: str


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
    scoring = _Scoring(source, metric, writer, args.on_error)
    scoring.run(todo, args.batch, args.workers)
    done = len(todo) - len(scoring.skipped)
    print(f"score: {len(jobs)} images, {done} scored now, in {args.output} by {metric.name} ({metric.version})")
    if scoring.skipped:
        print(f"{len(scoring.skipped)} images skipped:")
        print_list(scoring.skipped)
    return 0


class _Scoring:
    """A run over images; what cannot be scored ends it or is collected, by `on_error`."""

    def __init__(self, source: ImageSource, metric: NRMetric, writer: ScoreWriter, on_error: str) -> None:
        self.source, self.metric, self.writer, self.on_error = source, metric, writer, on_error
        self.device = next(iter([*metric.parameters(), *metric.buffers()]), torch.empty(0)).device
        self.skipped: list[str] = []

    def run(self, jobs: Sequence[Job], batch: int, threads: int) -> None:
        """Score the images in batches of those that follow one another and are of equal size."""
        with tqdm(total=len(jobs), desc=f"score {self.metric.name}", unit="img") as bar:
            for chunk in self._read_ahead(jobs, batch, threads):
                images = []
                for job, image in chunk:
                    if isinstance(image, DataError):
                        self._refuse(image)
                    else:
                        images.append((job, image))
                for _, same in groupby(images, key=lambda pair: pair[1].shape):
                    self._score([*same])
                bar.update(len(chunk))

    def _read_ahead(
        self, jobs: Sequence[Job], size: int, threads: int
    ) -> Iterator[list[tuple[Job, Tensor | DataError]]]:
        """Yield the images in chunks; threads decode the next chunk while one is scored (OpenCV lets them run
        at once).
        """
        chunks = [jobs[start : start + size] for start in range(0, len(jobs), size)]
        with ThreadPoolExecutor(threads) as pool:
            futures = [pool.submit(self._read, job) for job in chunks[0]] if chunks else []
            for chunk, following in zip(chunks, [*chunks[1:], []], strict=False):
                images = [future.result() for future in futures]
                futures = [pool.submit(self._read, job) for job in following]
                yield list(zip(chunk, images, strict=True))

    def _read(self, job: Job) -> Tensor | DataError:
        where = self.source.describe(job.key)
        try:
            return metric_tensor(eight_bit_bgr(decode_image(self.source.read(job.key), where), where))
        except DataError as error:
            return error

    def _score(self, images: Sequence[tuple[Job, Tensor]]) -> None:
        batch = torch.cat([image for _, image in images])
        size = f"{batch.shape[-1]} x {batch.shape[-2]} pixels"
        try:
            with torch.no_grad():
                scores = self.metric(batch.to(self.device)).tolist()
        except torch.OutOfMemoryError as error:
            raise OptionError(f"--batch {len(images)}: out of memory with images of {size}") from error
        except (UserError, RuntimeError, ValueError, AssertionError, IndexError) as error:
            for job, _ in images:
                where = self.source.describe(job.key)
                self._refuse(DataError(f"{where}: {self.metric.name} failed on {size}: {error}"))
            return
        for (job, _), score in zip(images, scores, strict=True):
            if math.isfinite(score):
                self.writer.add(job.name, job.version, score)
            else:
                self._refuse(DataError(f"{self.source.describe(job.key)}: {self.metric.name} gave {score} on {size}"))

    def _refuse(self, error: DataError) -> None:
        if self.on_error == "stop":
            raise error
        self.skipped.append(str(error))
