"""The work on a list of images: read, enlarge, write, side by side."""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.tools.inference.generator import load_generator
from prismsr.tools.inference.pictures import Picture, describe_losses, encode_picture, read_picture
from prismsr.tools.inference.plan import Job
from prismsr.tools.inference.upscaler import InferenceError, Upscaler
from prismsr.utils.errors import DataError, JobError
from prismsr.utils.files import atomic_write
from prismsr.utils.processes import compute_ahead, iterate_in_processes


@dataclass(frozen=True)
class Outcome:
    """What became of one image."""

    job: Job
    error: str = ""
    """Why there is no output; empty where there is one."""
    notes: tuple[str, ...] = ()
    """What the output's format could not hold."""


def infer_files(upscaler: Upscaler, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Super-resolve images one by one; the next is read, and the last written, while the network works.

    Args:
        upscaler: what is done to each picture.
        jobs: from `plan_jobs`.

    Yields:
        An outcome for each image, in order.

    Raises:
        JobError: an output cannot be written.
    """
    pictures = compute_ahead(_read, (job.source for job in jobs))
    upscaled = ((job, _upscale(upscaler, job, picture)) for job, picture in zip(jobs, pictures, strict=True))
    yield from compute_ahead(_write, upscaled)


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


def _write(upscaled: tuple[Job, Picture | str]) -> Outcome:
    job, picture = upscaled
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


def infer_in_processes(upscaler: Upscaler, jobs: Sequence[Job], devices: Sequence[str]) -> Iterator[Outcome]:
    """Infer as `infer_files` does, in one process for each device; outcomes come as they are ready, in no order.

    Args:
        upscaler: its generator is one of `load_generator`, and is loaded again in each process.
        jobs: the images.
        devices: torch devices; one may stand here more than once.

    Raises:
        InferenceError: the generator cannot be loaded again.
        JobError: a process died, or an output cannot be written; the others end after the image they are at.
    """
    source = upscaler.generator.source
    if not source:
        raise InferenceError(f"{upscaler.generator.name} was not made by load_generator: it works in one process only")
    dealt = [jobs[index :: len(devices)] for index in range(len(devices))]
    shares = [
        ({**source, "device": device}, upscaler.arguments, share)
        for device, share in zip(devices, dealt, strict=True)
        if share
    ]
    return iterate_in_processes(_infer_share, shares, "use a smaller --tile or fewer --workers")


def _infer_share(source: Mapping[str, Any], arguments: Mapping[str, Any], jobs: Sequence[Job]) -> Iterator[Outcome]:
    return infer_files(Upscaler(load_generator(**source), **arguments), jobs)
