"""Arrange public test sets from their archives, checked, and make their LR images (docs/guide/testsets.md)."""

import argparse
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

from prismsr.data.prepare.common import claim_folder, find_inputs
from prismsr.data.prepare.downsample import write_lr
from prismsr.data.prepare.testsets.arrange import arrange
from prismsr.data.prepare.testsets.check import read_sizes
from prismsr.data.test_sets.layouts import Size, TestSet
from prismsr.data.test_sets.sets import DOWNLOADS, FOLDER, TEST_SETS, count_images, find_test_set
from prismsr.utils.command_line import add_workers, print_list, whole_number
from prismsr.utils.errors import OptionError
from prismsr.utils.files import list_visible_files
from prismsr.utils.processes import run_jobs

SCALES = (2, 3, 4)
_DERIVED = "sfd"  # the recipe of the sets that are another set's images, degraded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of the step."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="test sets, see --list")
    parser.add_argument("--list", action="store_true", help="show all sets: what is there, what to download from where")
    parser.add_argument(
        "--downloads", type=Path, default=Path(DOWNLOADS), help="folder with the archives (default: %(default)s)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(FOLDER), help="folder of the arranged sets (default: %(default)s)"
    )
    parser.add_argument(
        "--scale",
        type=int,
        nargs="+",
        choices=SCALES,
        default=[4],
        help="factors of the bicubic LR images (default: 4)",
    )
    parser.add_argument(
        "--degraded", type=whole_number(1), metavar="N", help="also make N degraded LR images of each GT image, x4"
    )
    parser.add_argument(
        "--recipe", default="ssl", help="their degradation: ssl, hggt, ... or an option file (%(default)s)"
    )
    parser.add_argument("--seed", type=whole_number(0), default=0, help="seed of degraded LR images (default: 0)")
    parser.add_argument(
        "--force", action="store_true", help="take a set that is not as published; --list tells it then"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what an earlier run made there")
    add_workers(parser)


def run(args: argparse.Namespace) -> int:
    """Show the sets, or arrange those that are named."""
    if args.list:
        print(listing(args.output))
        return 0
    if not args.names:
        raise OptionError("name a test set, or give --list to see them")
    for test_set in [find_test_set(name) for name in args.names]:
        prepare_set(test_set, args)
    return 0


def prepare_set(test_set: TestSet, args: argparse.Namespace) -> None:
    """Arrange a set and make its LR images; what exists is kept.

    Raises:
        OptionError: its archive, or the set that it is made from, is not there.
        DataError: it is not as published, or an image is damaged.
    """
    folder = args.output / test_set.name
    if test_set.kind == "degraded":
        source = args.output / Path(str(test_set.gt)).parent.name / "GT"
        if not source.is_dir():
            raise OptionError(f"{test_set.name} is made from {source}, which is not there; arrange that set first")
        _degrade(test_set, source, folder / "LR", 1, _DERIVED, args)
        return
    problems = arrange(test_set, args.downloads, args.output, force=args.force, overwrite=args.overwrite)
    for part in test_set.counts:
        print(f"{test_set.name}: {_describe(folder / part)}")
    if problems:
        print(f"{test_set.name}: not as published:")
        print_list(problems)
    if test_set.kind == "bicubic":
        for scale in args.scale:
            output = folder / f"LRbicx{scale}"
            claim_folder(output, {"command": "testset", "set": test_set.name, "scale": scale}, args.overwrite)
            work = partial(write_lr, output=output, scale=scale, multiple=None)
            _for_each(test_set, folder / "GT", output, work, args)
    if args.degraded:
        if test_set.gt is None or test_set.kind == "multi_gt":
            raise OptionError(f"--degraded: {test_set.name} has no single GT images to degrade")
        output = folder / f"LRx{test_set.scale}_{Path(args.recipe).stem}_{args.degraded}"
        _degrade(test_set, folder / "GT", output, args.degraded, args.recipe, args)


def _degrade(test_set: TestSet, gt: Path, output: Path, number: int, recipe: str, args: argparse.Namespace) -> None:
    from prismsr.data.prepare.testsets.degrade import read_recipe, write_degraded

    read_recipe(recipe, test_set.scale)  # in vain, so that what is wrong with it is told before any work
    options: dict[str, Any] = {"scale": test_set.scale, "recipe": recipe, "number": number, "seed": args.seed}
    claim_folder(output, {"command": "testset", "set": test_set.name, **options}, args.overwrite)
    _for_each(test_set, gt, output, partial(write_degraded, output=output, **options), args)


def _for_each(test_set: TestSet, gt: Path, output: Path, work: Any, args: argparse.Namespace) -> None:
    jobs = [(path, key) for key, path in find_inputs(gt, output).items()]
    run_jobs(work, jobs, workers=args.workers, label=f"{test_set.name} {output.name}")
    print(f"{test_set.name}: {_describe(output)}")


def _describe(folder: Path) -> str:
    sizes = read_sizes(folder)
    if not sizes:
        return f"{folder}: {len(list_visible_files(folder))} files"
    small, large = (_text(pick(sizes.values(), key=lambda size: size[0] * size[1])) for pick in (min, max))
    return f"{folder}: {len(sizes)} images, {small if small == large else f'{small} to {large}'}"


def _text(size: Size) -> str:
    return f"{size[1]}x{size[0]}"


def listing(output: Path) -> str:
    """Return all sets, a paragraph each: what of them is in `output`, and what to put into the downloads folder."""
    return "\n".join(_list_set(test_set, output / test_set.name) for test_set in TEST_SETS.values())


def _list_set(test_set: TestSet, folder: Path) -> str:
    parts = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    held = ", ".join(f"{part.name} {count_images(part)}" for part in parts if count_images(part))
    size = f"{test_set.count} images, {test_set.kind}, x{test_set.scale}"
    rows = [("for", ", ".join(test_set.tables)), ("put", ", ".join(test_set.archives)), ("from", test_set.source)]
    rows += [("terms", test_set.licence), ("note", test_set.note)]
    lines = [f"{test_set.name} ({size}): {f'{held} in {folder}' if held else 'not there'}"]
    wrap = partial(textwrap.wrap, width=112, subsequent_indent=" " * 8, break_on_hyphens=False)
    return "\n".join([*lines, *(line for name, value in rows for line in wrap(value, initial_indent=f"  {name:6}"))])
