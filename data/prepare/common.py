"""What the steps of `tools/prepare.py` share: arguments, the record in the output folder, a run over a folder."""

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prismsr.data.images.source import FolderSource
from prismsr.utils.command_line import add_on_error, add_workers, print_list
from prismsr.utils.errors import OptionError
from prismsr.utils.files import TEMPORARY_SUFFIX
from prismsr.utils.images import IMAGE_SUFFIXES
from prismsr.utils.processes import run_jobs
from prismsr.utils.run_record import PREPARED, describe_differences, read_record, simplify_settings, write_record

OUTPUT_SUFFIXES = (".png", ".mat", ".npy")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --output, --workers, --on-error and --overwrite."""
    parser.add_argument("-o", "--output", type=Path, required=True, help="where the result goes")
    add_workers(parser)
    add_on_error(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="remove what an earlier run made there, and start anew"
    )


def add_folder_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --input, one folder, and the arguments of `add_run_arguments`."""
    parser.add_argument("-i", "--input", type=Path, required=True, help="folder of images, with its subfolders")
    add_run_arguments(parser)


def find_inputs(folder: Path, output: Path) -> dict[str, Path]:
    """Return the images of an input folder, by key; OptionError where a second run would take the output for input."""
    if output.resolve().is_relative_to(folder.resolve()):
        raise OptionError(f"-o {output} lies in the input folder {folder}; choose a folder outside of it")
    return FolderSource(folder, IMAGE_SUFFIXES).paths


def name_input(folder: Path, output: Path) -> str:
    """Return the input folder as the record of `output` names it: relative, so that both can move together."""
    try:
        return Path(os.path.relpath(folder.resolve(), output.resolve())).as_posix()
    except ValueError:  # on two drives of Windows
        return folder.resolve().as_posix()


def claim_folder(folder: Path, parameters: dict[str, Any], overwrite: bool) -> None:
    """Make `folder` the output of a run with these parameters, or go on with an earlier run that had the same.

    What the outputs depend on is kept as JSON in the folder. `overwrite` removes the images of an earlier run first.

    Raises:
        OptionError: the folder holds files that no run recorded, or an earlier run had other parameters.
    """
    parameters = simplify_settings(parameters)
    earlier = read_record(folder / PREPARED)
    if earlier is not None:
        if overwrite:
            _remove(folder, OUTPUT_SUFFIXES)
        elif earlier != parameters:
            raise OptionError(
                f"{folder} was made with other parameters ({describe_differences(earlier, parameters)}); "
                "add --overwrite to make it anew, or choose another folder with -o"
            )
    elif folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise OptionError(
            f"{folder} holds files that tools/prepare.py did not make (no {PREPARED}); choose another folder with -o"
        )
    _remove(folder, (TEMPORARY_SUFFIX,))  # left by a run that was killed
    write_record(folder / PREPARED, parameters)


def _remove(folder: Path, suffixes: tuple[str, ...]) -> None:
    """Delete the files with these suffixes; a folder inside that has a record of its own is another run's."""
    for path in folder.iterdir() if folder.exists() else ():
        if path.is_dir() and not path.is_symlink() and not (path / PREPARED).exists():
            _remove(path, suffixes)
        elif path.is_file() and path.suffix in suffixes:
            path.unlink()


def run_step(
    args: argparse.Namespace, step: str, images: dict[str, Path], work: Callable[..., Any], options: dict[str, Any]
) -> tuple[list[Any], list[str]]:
    """Claim the output folder, then call `work(path, key, output=args.output, **options)` for each image.

    `work`, a function of a module, makes those of an image's outputs that do not exist yet. They depend on `options`
    and the input folder. Return the results, and the messages of the skipped images.
    """
    claim_step(args, step, options)
    jobs = [(path, key) for key, path in images.items()]
    return run_all(args, step, partial(work, output=args.output, **options), jobs)


def claim_step(args: argparse.Namespace, step: str, options: dict[str, Any]) -> None:
    """Claim the output folder of a step, whose outputs depend on `options` and the input folder."""
    parameters = {"command": step, "input": name_input(args.input, args.output), **options}
    claim_folder(args.output, parameters, args.overwrite)


def run_all(
    args: argparse.Namespace, step: str, work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], workers: int = 0
) -> tuple[list[Any], list[str]]:
    """Call `work(*job)` for each job; return the results, and the messages of the skipped jobs."""
    results: list[Any] = []
    how: dict[str, Any] = {"workers": workers or args.workers, "on_error": args.on_error, "label": step}
    return results, run_jobs(work, jobs, consume=results.append, **how)


def print_result(step: str, output: Path, written: list[int], skipped: list[str], note: str = "") -> None:
    """Print the result of a step: the images done, the files written, and the images skipped."""
    text = f"{step}: {len(written)} images, {sum(written)} files written to {output}{note}"
    print(text + (f"; {len(skipped)} images skipped:" if skipped else ""))
    print_list(skipped)
