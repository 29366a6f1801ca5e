"""Super-resolve files and folders: pictures in, pictures out, what is done is skipped, what is broken is named.

generator = load_generator("options/demo/gan_ssl_x4.yml", device="cpu")
report = infer_folder(generator, [Path("photos")], Path("results/photos"))
"""

import errno
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from prismsr.tools.inference.defaults import TILE
from prismsr.tools.inference.generator import Generator, GeneratorError, load_generator
from prismsr.tools.inference.pictures import Picture, describe_losses, encode_picture, read_picture
from prismsr.tools.inference.plan import Job, claim_output, plan_jobs, split_done
from prismsr.tools.inference.upscaler import AlphaMode, InferenceError, Upscaler
from prismsr.utils.errors import DataError, JobError
from prismsr.utils.files import atomic_write
from prismsr.utils.folder_lock import folder_lock
from prismsr.utils.processes import compute_ahead, iterate_in_processes

from tqdm import tqdm

__all__ = [
    "Generator",
    "GeneratorError",
    "InferenceError",
    "InferenceReport",
    "Outcome",
    "Upscaler",
    "infer_folder",
    "load_generator",
]


@dataclass(frozen=True)
class Outcome:
    """What became of one image."""

    job: Job
    error: str = ""
    """Why there is no output; empty where there is one."""
    notes: tuple[str, ...] = ()
    """What the output's format could not hold."""


@dataclass
class InferenceReport:
    """What a run did."""

    done: list[Path] = field(default_factory=list)
    """Outputs written by this run."""
    skipped: list[Path] = field(default_factory=list)
    """Outputs that were there already."""
    failed: list[str] = field(default_factory=list)
    """Message for each image that has no output; it names the image."""
    notes: list[str] = field(default_factory=list)
    """What was lost in an output's format."""
    seconds: float = 0.0
    """Time for those done and failed, without loading the network."""

    def add(self, outcome: Outcome) -> None:
        """Take in one image."""
        if outcome.error:
            self.failed.append(outcome.error)
        else:
            self.done.append(outcome.job.target)
        self.notes += [f"{outcome.job.target}: {note}" for note in outcome.notes]

    def __str__(self) -> str:
        rate = f" ({len(self.done) / self.seconds:.2f} images/s)" if self.done and self.seconds else ""
        parts = [f"{len(self.done)} images upscaled in {self.seconds:.1f} s{rate}"]
        parts += [f"{len(self.skipped)} were done before"] if self.skipped else []
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        return ", ".join(parts)


def infer_folder(
    generator: Generator,
    inputs: Sequence[Path],
    output: Path,
    *,
    tile: int = TILE,
    overlap: int | None = None,
    suffix: str = "",
    ext: str = "auto",
    alpha: AlphaMode = "bicubic",
    scale: int | None = None,
    overwrite: bool = False,
    devices: Sequence[str] = (),
    progress: bool = True,
) -> InferenceReport:
    """Super-resolve images and folders of images into a folder; return what was done, skipped and failed.

    Broken images do not raise. The generator is one of `load_generator`.

    Args:
        inputs: image files and folders; of a folder the subfolders are kept.
        output: folder; or, for one image file, a file name.
        tile, overlap, alpha, scale: see `Upscaler`; the tile is halved where memory runs out.
        suffix: put between stem and extension of each name.
        ext: `auto`: the input's where it is lossless (PNG, BMP, TIFF), else png; `same`; or png, jpg, tif, bmp, webp.
        overwrite: do again what is done, and what was made with other settings.
        devices: a process on each shares the work; one may stand here more than once. Default: this process alone.
        progress: show a bar.

    Raises:
        InferenceError: the arguments do not fit together, or the folder was made with other settings.
        FolderInUseError: another run is writing there. JobError: an output cannot be written, or a process died.
    """
    upscaler = Upscaler(generator, tile, overlap, alpha, scale)
    jobs = plan_jobs(inputs, output, suffix, ext)
    with folder_lock(output):
        since = claim_output(jobs, output, upscaler.settings, overwrite)
        todo, done = split_done([replace(job, since=since) for job in jobs], overwrite)
        outcomes = infer_in_processes(upscaler, todo, devices) if devices else infer_files(upscaler, todo)
        report, begin = InferenceReport(skipped=[job.target for job in done]), monotonic()
        shown: Any = {"total": len(todo), "desc": generator.name, "unit": "image", "file": sys.stderr}
        for outcome in tqdm(outcomes, disable=not (progress and todo), **shown):
            report.add(outcome)
        report.seconds = monotonic() - begin
        return report


def infer_files(upscaler: Upscaler, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Yield an outcome for each image, in order; the next is read, and the last written, while the network works.

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
        least = max(job.since, job.source.stat().st_mtime_ns)
        if job.target.stat().st_mtime_ns < least:  # not before its input and settings, though the clock went back
            os.utime(job.target, ns=(least, least))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # this image alone
            return Outcome(job, f"{job.source}: {job.target.name} is too long a name for this disk; shorten it")
        raise JobError(f"{job.target} cannot be written ({error.strerror}); what was done before is whole") from error
    return Outcome(job, notes=tuple(describe_losses(picture, suffix)))


def infer_in_processes(upscaler: Upscaler, jobs: Sequence[Job], devices: Sequence[str]) -> Iterator[Outcome]:
    """Infer as `infer_files` does, in one process for each device; outcomes come as they are ready, in no order.

    Raises:
        InferenceError: the generator is none of `load_generator`, so that it cannot be loaded again in each process.
        JobError: a process died, or an output cannot be written; the others end after the image they are at.
    """
    source = upscaler.generator.source
    if not source:
        raise InferenceError(f"{upscaler.generator.name} was not made by load_generator: it works in one process only")
    shares = [
        ({**source, "device": device}, upscaler.arguments, jobs[index :: len(devices)])
        for index, device in enumerate(devices[: len(jobs)])
    ]
    return iterate_in_processes(_infer_share, shares, "use a smaller --tile or fewer --workers")


def _infer_share(source: Mapping[str, Any], arguments: Mapping[str, Any], jobs: Sequence[Job]) -> Iterator[Outcome]:
    return infer_files(Upscaler(load_generator(**source), **arguments), jobs)
