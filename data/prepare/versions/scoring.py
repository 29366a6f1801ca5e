"""Run a no-reference metric over the images of a source: read ahead, in batches, bad images collected or fatal."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import NamedTuple

from prismsr.data.images.source import ImageSource
from prismsr.data.multi_gt.score_file import ScoreWriter
from prismsr.metrics.no_reference import NRMetric
from prismsr.metrics.tensors import make_metric_tensor
from prismsr.utils.errors import DataError, OptionError, UserError
from prismsr.utils.images import decode_image, eight_bit_bgr

import torch
from torch import Tensor
from tqdm import tqdm


class Job(NamedTuple):
    """One image: its group's name, its version and its key in the source."""

    name: str
    version: str
    key: str


class Scoring:
    """A run over images; what cannot be scored ends it or is collected, by `on_error`."""

    def __init__(self, source: ImageSource, metric: NRMetric, writer: ScoreWriter, on_error: str) -> None:
        self.source, self.metric, self.writer, self.on_error = source, metric, writer, on_error
        self.device = next(iter([*metric.parameters(), *metric.buffers()]), torch.empty(0)).device
        self.skipped: list[str] = []

    def run(self, jobs: Sequence[Job], batch: int, threads: int) -> None:
        """Score the images in batches of those that follow one another and are of equal size."""
        with tqdm(total=len(jobs), desc=f"score {self.metric.name}", unit="img") as bar:
            for chunk in self._read_ahead(jobs, batch, threads):
                images = [(job, image) for job, image in chunk if isinstance(image, Tensor)]
                for bad in (image for _, image in chunk if isinstance(image, DataError)):
                    self._refuse(bad)
                for _, same in groupby(images, key=lambda pair: pair[1].shape):
                    self._score([*same])
                bar.update(len(chunk))

    def _read_ahead(
        self, jobs: Sequence[Job], size: int, threads: int
    ) -> Iterator[list[tuple[Job, Tensor | DataError]]]:
        """Yield the images in chunks; threads decode the next while one is scored (OpenCV lets them run at once)."""
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
            return make_metric_tensor(eight_bit_bgr(decode_image(self.source.read(job.key), where), where))
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
