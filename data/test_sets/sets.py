"""The public test sets: which there are, and whether they are where `tools/prepare.py testset` puts them."""

import re
from pathlib import Path

from prismsr.data.test_sets.layouts import TestSet
from prismsr.data.test_sets.table import FOLDER, SETS
from prismsr.utils.errors import UserError
from prismsr.utils.files import list_images
from prismsr.utils.images import IMAGE_SUFFIXES
from prismsr.utils.names import did_you_mean

__all__ = ["DOWNLOADS", "FOLDER", "TEST_SETS", "TestSet", "count_images", "find_test_set", "list_missing"]

DOWNLOADS = "datasets/downloads"
TEST_SETS: dict[str, TestSet] = {test_set.name: test_set for test_set in SETS}
_ALIASES = {
    "bsd100": "BSDS100",
    "b100": "BSDS100",
    "div2kvalhr": "DIV2K100",
    "dped": "DPED-iPhone",
    "hggt": "HGGT-Test100",
}


def find_test_set(name: str) -> TestSet:
    """Return the set of this name; capitals, blanks and hyphens do not count, so that the papers' names do, too.

    UserError, with the nearest name, where there is none.
    """
    by_plain = {_simplify(known): known for known in TEST_SETS} | _ALIASES
    found = by_plain.get(_simplify(name))
    if found is None:
        raise UserError(f"there is no test set {name!r}{did_you_mean(name, TEST_SETS)}")
    return TEST_SETS[found]


def _simplify(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def list_missing(test_set: TestSet, root: str | Path = ".") -> str | None:
    """Return what an arranged set lacks and what to do, or None where all its files are there. They are only counted.

    `gt` and `lq` start from the folder `root`, the repository's.
    """
    per_image = test_set.counts.get("GT", test_set.count) if test_set.kind == "multi_gt" else test_set.count
    for folder, count in ((test_set.gt, per_image), (test_set.lq, test_set.count)):
        if folder is None:
            continue
        held = count_images(Path(root, folder))
        if held != count:
            state = f"holds {held} of {count} images" if held else "is not there"
            return f"{test_set.name}: {folder} {state}; {_what_to_do(test_set)}"
    return _list_missing_labels(test_set, Path(root))


def _list_missing_labels(test_set: TestSet, root: Path) -> str | None:
    """Return what lacks of people's labels: fewer would give other majorities, and so other references, unseen."""
    wanted = test_set.counts.get("labels", 0)
    if not wanted or test_set.gt is None:
        return None
    folder = Path(test_set.gt).parent / "labels"
    held = sum(1 for _ in (root / folder).rglob("*.json"))
    if held == wanted:
        return None
    return f"{test_set.name}: {folder} holds {held} of {wanted} labels; {_what_to_do(test_set)}"


def _what_to_do(test_set: TestSet) -> str:
    command = f"run `python tools/prepare.py testset {test_set.name}` (docs/guide/testsets.md)"
    if not test_set.archives:
        return f"{command}, after DIV2K100"
    return f"put {test_set.archives[0].rstrip('*')}, from {test_set.source}, into {DOWNLOADS} and {command}"


def count_images(folder: Path) -> int:
    """Number of visible images in a folder and its subfolders; 0 where there is no such folder."""
    return len(list_images(folder, IMAGE_SUFFIXES))
