"""Which image becomes which file, what is done already, and the record of the settings it was made with."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.tools.inference.defaults import EXTENSIONS
from prismsr.tools.inference.upscaler import InferenceError
from prismsr.utils.files import atomic_write, list_images, list_visible_files
from prismsr.utils.images import IMAGE_SUFFIXES
from prismsr.utils.run_record import INFERRED, describe_differences, read_record, simplify_settings, write_record

_LOSSLESS = (".png", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Job:
    """One image: where it is, where its output goes, and the time (ns) that the output is not older than."""

    source: Path
    target: Path
    since: int = 0


def plan_jobs(inputs: Sequence[Path], output: Path, suffix: str = "", ext: str = "auto") -> list[Job]:
    """List the images and their outputs; see `prismsr.tools.inference.folder.infer_folder` for the arguments.

    Raises:
        InferenceError: an input is missing or has no image, outputs would overwrite inputs or each other, or the
            extension is unknown.
    """
    if ext.lower().lstrip(".") not in EXTENSIONS:
        raise InferenceError(f"extension {ext!r}: allowed: {', '.join(EXTENSIONS)}")
    if len(inputs) == 1 and inputs[0].is_file() and output.suffix.lower() in IMAGE_SUFFIXES and not output.is_dir():
        jobs = [Job(inputs[0], output)]
    else:
        jobs = [
            Job(path, output / name.parent / f"{name.stem}{suffix}{_choose_extension(path, ext)}")
            for source in inputs
            for path, name in _list_images(source, output)
        ]
    _refuse_clashes(jobs)
    return jobs


def _list_images(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """Return the images of an input, and their names relative to it."""
    if source.is_file():
        return [(source, Path(source.name))]
    if not source.is_dir():
        raise InferenceError(
            f"{source}: {'neither a file nor a folder' if source.exists() else 'no such file or folder'}"
        )
    if output.resolve().is_relative_to(source.resolve()):
        raise InferenceError(f"-o {output} lies in the input folder {source}; choose a folder outside of it")
    found = list_images(source, IMAGE_SUFFIXES)
    if not found:
        raise InferenceError(f"{source}: no image in this folder; looked for {', '.join(IMAGE_SUFFIXES)}")
    return [(path, path.relative_to(source)) for path in found]


def _choose_extension(path: Path, ext: str) -> str:
    if ext == "same" or (ext == "auto" and path.suffix.lower() in _LOSSLESS):
        return path.suffix
    return ".png" if ext == "auto" else f".{ext.lower().lstrip('.')}"


def _refuse_clashes(jobs: Sequence[Job]) -> None:
    sources = {job.source.resolve() for job in jobs}
    by_target: dict[Path, Path] = {}
    for job in jobs:
        if job.target.resolve() in sources:
            raise InferenceError(f"{job.target} would be written over an input; choose another -o, or a --suffix")
        if job.target in by_target:
            raise InferenceError(
                f"{by_target[job.target]} and {job.source} would both become {job.target}; rename one, or use "
                "--ext same"
            )
        by_target[job.target] = job.source


def claim_output(jobs: Sequence[Job], output: Path, settings: dict[str, Any], overwrite: bool) -> int:
    """Make sure that outputs which are there already were made with these settings, and record the settings.

    The record says since when (ns) they are those of the folder; an older output is none of theirs.

    Returns:
        Since when.

    Raises:
        InferenceError: an output was made otherwise, or nobody knows how, and `overwrite` is false.
    """
    settings = simplify_settings(settings)
    is_file = output.suffix.lower() in IMAGE_SUFFIXES and not output.is_dir()
    path = (output.parent if is_file else output) / INFERRED
    earlier, since = _read_settings(path)
    # os.path: a name that is too long for the disk is not there
    there = [job.target for job in jobs if os.path.exists(job.target)]
    others = [target for target in there if earlier != settings or target.stat().st_mtime_ns < since]
    if others and not overwrite:
        text = (
            describe_differences(earlier, settings) or f"it is older than {path}" if earlier else f"there is no {path}"
        )
        raise InferenceError(
            f"{others[0]} and {len(others) - 1} more outputs are there and were made with other settings, or by "
            f"another tool ({text}); add --overwrite to make them anew, or choose another folder with -o"
        )
    if earlier == settings:
        return since
    old = list_visible_files(output) if path.parent == output else there
    return _write_record(path, settings, 1 + max((file.stat().st_mtime_ns for file in old), default=0))


def _write_record(path: Path, settings: dict[str, Any], least: int) -> int:
    try:
        atomic_write(path, b"{}")
        since = max(least, path.stat().st_mtime_ns)  # by the clock of the file system, which may have gone back
        write_record(path, {"since": since, "settings": settings})
        return since
    except OSError as error:
        raise InferenceError(f"{path}: cannot be written ({error.strerror})") from error


def _read_settings(path: Path) -> tuple[dict[str, Any], int]:
    """Return the recorded settings and since when; none where the record is missing or damaged."""
    try:
        content = read_record(path) or {}
        return dict(content["settings"]), int(content["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}, 0


def find_leftovers(folder: Path, files: Iterable[Path]) -> list[Path]:
    """Return those of a folder's files that are older than the settings in its record: others made them.

    A run with other settings that was stopped, or failed at some images, leaves such; without a record there are none.
    """
    since = _read_settings(folder / INFERRED)[1]
    return [path for path in files if path.stat().st_mtime_ns < since]


def split_done(jobs: Sequence[Job], overwrite: bool) -> tuple[list[Job], list[Job]]:
    """Return the jobs to do, and those whose output is there and newer than the input."""
    todo: list[Job] = []
    done: list[Job] = []
    for job in jobs:
        is_done = os.path.isfile(job.target) and job.target.stat().st_mtime_ns >= job.source.stat().st_mtime_ns
        (done if is_done and not overwrite else todo).append(job)
    return todo, done
