"""Bring the files of a test set from its archives into the folders that the tools read."""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prismsr.data.prepare.common import claim_folder
from prismsr.data.prepare.testsets.archive import find_archives, fingerprint, list_files, read_files
from prismsr.data.prepare.testsets.check import check_names, check_sizes
from prismsr.data.test_sets.layouts import Layout, TestSet
from prismsr.utils.errors import DataError, OptionError
from prismsr.utils.files import atomic_write, list_visible_files
from prismsr.utils.images import decode_image, encode_png
from prismsr.utils.run_record import PREPARED, read_record, remove_recorded, write_record

from tqdm import tqdm

_PNG = b"\x89PNG\r\n\x1a\n"


class Plan(NamedTuple):
    """What will be read: the layout that fits best, for each place in the arranged set the archive and the file in it.

    `problems` is what is wrong with their numbers and names.
    """

    layout: Layout
    files: dict[str, tuple[Path, str]]
    problems: list[str]

    def record(self, test_set: TestSet) -> dict[str, object]:
        """Return what the arranged set depends on, as its folder keeps it."""
        archives = sorted({archive.name for archive, _ in self.files.values()})
        return {"command": "testset", "set": test_set.name, "layout": self.layout.said, "archives": archives}


def make_plan(test_set: TestSet, downloads: Path) -> Plan:
    """Find the files of a set in the downloads.

    Each archive is tried alone, then all together, for some come in parts; of the layouts the first that is complete is
    taken, else the one that has most files.

    Raises:
        OptionError: no archive of the set is there, or none of its files in those that are.
        DataError: an archive is damaged.
    """
    archives = find_archives(downloads, test_set.archives)
    listings = {archive: list_files(archive) for archive in archives}
    groups = [[archive] for archive in archives] + ([archives] if len(archives) > 1 else [])
    plans = [
        Plan(layout, files, check_names(test_set, files))
        for group in groups
        for layout in test_set.layouts
        if (files := _sort_files(layout, {archive: listings[archive] for archive in group}))
    ]
    if not plans:
        raise OptionError(_nothing_found(test_set, downloads, archives))
    return next((plan for plan in plans if not plan.problems), max(plans, key=lambda plan: len(plan.files)))


def _sort_files(layout: Layout, listings: Mapping[Path, list[str]]) -> dict[str, tuple[Path, str]]:
    files: dict[str, tuple[Path, str]] = {}
    for archive, paths in listings.items():
        for target, path in layout.sort(paths).items():
            files.setdefault(target, (archive, path))
    return files


def _nothing_found(test_set: TestSet, downloads: Path, archives: list[Path]) -> str:
    if not archives:
        names = ", ".join(test_set.archives)
        return f"{test_set.name}: {downloads} has no {names} (zip, tar or folder); it comes from {test_set.source}"
    known = "; ".join(layout.said for layout in test_set.layouts)
    return (
        f"{test_set.name}: none of its files in {', '.join(map(str, archives))}; known layouts: {known} "
        f"(docs/guide/testsets.md). The set comes from {test_set.source}"
    )


def arrange(
    test_set: TestSet, downloads: Path, output: Path, *, force: bool = False, overwrite: bool = False
) -> list[str]:
    """Fill output/NAME from the archives, all or nothing: it is made beside itself and gets its name when complete.

    PNG files are kept byte for byte, unless they have to be cropped; other images become PNG. Return what is not as
    expected, also for a set that is there already; empty without `force`.

    Args:
        test_set: the set.
        downloads: folder with the archives.
        output: folder of the arranged sets.
        force: arrange it even if it is not as expected; what was wrong is kept in the record.
        overwrite: replace the set that is there, its LR images included.

    Raises:
        DataError: it is not as expected, or an image or archive is damaged.
        OptionError: nothing to arrange, or output/NAME was not made by this step.
    """
    folder = output / test_set.name
    if folder.exists() and not overwrite:
        return _check_arranged(test_set, folder)
    if folder.exists() and read_record(folder / PREPARED) is None:
        raise OptionError(f"{folder} was not made by tools/prepare.py (no {PREPARED}); choose another folder with -o")
    plan = make_plan(test_set, downloads)
    _refuse(test_set, plan.problems, force)
    read = {str(archive): fingerprint(archive) for archive in sorted({place[0] for place in plan.files.values()})}
    staging, record = output / f"{test_set.name}.partial", {**plan.record(test_set), "read": read}
    if read_record(staging / PREPARED) not in (None, record):  # what an interrupted run that read the same has is kept
        remove_recorded(staging)
    claim_folder(staging, record, overwrite=False)
    _extract(test_set, plan, staging)
    problems = plan.problems + check_sizes(test_set, staging)
    _refuse(test_set, problems, force)
    write_record(staging / PREPARED, {**plan.record(test_set), "problems": problems})
    _swap(staging, folder)
    return problems


def _check_arranged(test_set: TestSet, folder: Path) -> list[str]:
    record = read_record(folder / PREPARED)
    if record is None or record.get("set") != test_set.name:
        raise OptionError(
            f"{folder} was not made by tools/prepare.py testset (no {PREPARED}); move it away, or choose another "
            "folder with -o"
        )
    accepted = record.get("problems") or []
    files = [path for name in test_set.counts for path in list_visible_files(folder / name)]
    held = [path.relative_to(folder).with_suffix("").as_posix() for path in files]
    problems = [*check_names(test_set, held), *check_sizes(test_set, folder)]
    new = [problem for problem in problems if problem not in accepted]
    if new:
        raise DataError(
            f"{test_set.name}: {folder} is no longer what was arranged: {'; '.join(new)}. --overwrite arranges it anew"
        )
    return problems


def _refuse(test_set: TestSet, problems: list[str], force: bool) -> None:
    if problems and not force:
        raise DataError(
            f"{test_set.name} is not as published: {'; '.join(problems)}. Check the download; --force takes it as it is"
        )


def _extract(test_set: TestSet, plan: Plan, staging: Path) -> None:
    wanted: dict[Path, dict[str, Path]] = defaultdict(dict)
    for target, (archive, name) in plan.files.items():
        path = staging / f"{target}{'.json' if name.lower().endswith('.json') else '.png'}"
        if not path.exists():
            wanted[archive][name] = path
    with tqdm(total=sum(map(len, wanted.values())), desc=test_set.name, unit="file") as bar:
        for archive, paths in wanted.items():
            for name, data in read_files(archive, paths):
                atomic_write(paths[name], _content(data, f"{archive}: {name}", test_set.multiple))
                bar.update()


def _content(data: bytes, where: str, multiple: int) -> bytes:
    """Return what is written for a file of an archive: checked, and an image as PNG whose sides are multiples."""
    if where.lower().endswith(".json"):
        try:
            json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: no JSON ({error})") from error
        return data
    image = decode_image(data, where)
    height, width = image.shape[:2]
    if min(height, width) < multiple:
        raise DataError(f"{where}: {height} x {width} pixels (height x width); {multiple} or more are needed")
    if height % multiple == width % multiple == 0 and data.startswith(_PNG):
        return data
    return encode_png(image[: height - height % multiple, : width - width % multiple])


def _swap(staging: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(staging, folder)
    shutil.rmtree(old, ignore_errors=True)  # also where a run was killed between the two
