"""The work on a list of images: read, enlarge, write, side by side."""

import errno
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from prismsr.tools.inference.pictures import Picture, describe_losses, encode_picture, read_picture
from prismsr.tools.inference.plan import Job
from prismsr.tools.inference.upscaler import Upscaler
from prismsr.utils.errors import DataError, JobError
from prismsr.utils.files import atomic_write


@dataclass(frozen=True)
class Outcome:
    """What became of one image."""

    job: Job
    error: str = ""
    """Why there is no output; empty where there is one."""
    notes: tuple[str, ...] = ()
    """What the output's format could not hold."""


def infer_files(upscaler: Upscaler, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Yield super-resolve images one by one; the next is read, and the last written, while the network works.

    Args:
        upscaler: what is done to each picture.
        jobs: from `plan_jobs`.

    Yields:
        An outcome for each image, in order.

    Raises:
        JobError: an output cannot be written.
    """
    # two pools of one thread: reading ahead must not wait behind an output that is being compressed
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        writing: Future[Outcome] | None = None
        for job, picture in _read_ahead(jobs, reader):
            last, writing = writing, writer.submit(_write, job, _upscale(upscaler, job, picture))
            if last is not None:
                yield last.result()
        if writing is not None:
            yield writing.result()


def _read_ahead(jobs: Sequence[Job], reader: ThreadPoolExecutor) -> Iterator[tuple[Job, Picture | str]]:
    """Yield each job with its picture, or the reason why there is none; one is read ahead."""
    ahead: Future[Picture | str] | None = reader.submit(_read, jobs[0].source) if jobs else None
    for index, job in enumerate(jobs):
        assert ahead is not None
        picture = ahead.result()
        ahead = reader.submit(_read, jobs[index + 1].source) if index + 1 < len(jobs) else None
        yield job, picture


def _read(path: Path) -> Picture | str:
    try:
        return read_picture(path)
    except DataError as error:
        return str(error)


def _upscale(upscaler: Upscaler, job: Job, picture: Picture | str) -> Picture | str:
    if isinstance(picture, str):
        return picture
    try:
        return upscaler(picture)
    except DataError as error:
        return f"{job.source}: {error}"


def _write(job: Job, picture: Picture | str) -> Outcome:
    if isinstance(picture, str):
        return Outcome(job, picture)
    suffix = job.target.suffix.lower()
    try:
        data = encode_picture(picture, suffix, str(job.target))
    except DataError as error:
        return Outcome(job, f"{job.source}: {error}")
    try:
        atomic_write(job.target, data)
        _set_newer(job)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # this image alone
            return Outcome(job, f"{job.source}: {job.target.name} is too long a name for this disk; shorten it")
        raise JobError(f"{job.target} cannot be written ({error.strerror}); what was done before is whole") from error
    return Outcome(job, notes=tuple(describe_losses(picture, suffix)))


def _set_newer(job: Job) -> None:
    """Give an output a time that is not before its input's and its settings', though the clock may have gone back."""
    least = max(job.since, job.source.stat().st_mtime_ns)
    if job.target.stat().st_mtime_ns < least:
        os.utime(job.target, ns=(least, least))
