"""Super-resolve files and folders: pictures in, pictures out, what is done is skipped, what is broken is named.

generator = load_generator("options/demo/gan_ssl_x4.yml", device="cpu")
report = infer_folder(generator, [Path("photos")], Path("results/photos"))
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

from prismsr.tools.inference.defaults import TILE
from prismsr.tools.inference.files import Outcome, infer_files, infer_in_processes
from prismsr.tools.inference.generator import Generator, GeneratorError, load_generator
from prismsr.tools.inference.plan import Job, claim_output, plan_jobs, split_done
from prismsr.tools.inference.upscaler import AlphaMode, InferenceError, Upscaler
from prismsr.utils.folder_lock import folder_lock

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
    """Super-resolve images and folders of images into a folder.

    Args:
        generator: from `load_generator`.
        inputs: image files and folders; of a folder the subfolders are kept.
        output: folder; or, for one image file, a file name.
        tile: side of the tiles in input pixels at the most, 0 for whole images; halved where memory runs out.
        overlap: input pixels that neighbouring tiles share at the least; default: 32, or half of a smaller tile.
        suffix: put between stem and extension of each name.
        ext: `auto`: the input's where it is lossless (PNG, BMP, TIFF), else png; `same`; or png, jpg, tif, bmp, webp.
        alpha: how an alpha channel is enlarged: `bicubic`, or by the network (`net`).
        scale: enlargement of the output, a divisor of the generator's scale, which is its default.
        overwrite: do again what is done, and what was made with other settings.
        devices: a process on each shares the work; one may stand here more than once. Default: this process alone.
        progress: show a bar.

    Returns:
        What was done, skipped and failed. Broken images do not raise.

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
        return _collect(outcomes, len(todo), done, generator.name, progress)


def _collect(
    outcomes: Iterable[Outcome], total: int, done: Sequence[Job], label: str, progress: bool
) -> InferenceReport:
    report = InferenceReport(skipped=[job.target for job in done])
    begin = monotonic()
    with tqdm(total=total, desc=label, unit="image", disable=not (progress and total), file=sys.stderr) as bar:
        for outcome in outcomes:
            report.add(outcome)
            bar.update()
    report.seconds = monotonic() - begin
    return report
