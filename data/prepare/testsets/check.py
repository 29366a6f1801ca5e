"""Is a test set complete? Its number of files, their names, pairs and sizes, each difference in one line."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from prismsr.data.images.source import FolderSource, ImageSourceError
from prismsr.data.test_sets.layouts import Size, TestSet
from prismsr.utils.images import IMAGE_SUFFIXES, image_size
from prismsr.utils.names import list_first

ORIGINAL = "original"


def check_names(test_set: TestSet, targets: Iterable[str]) -> list[str]:
    """Return what is wrong with the numbers and names of the files found, a line each.

    `targets` are places of the files in the arranged set, e.g. "GT/baby".
    """
    by_folder: dict[str, set[str]] = {folder: set() for folder in test_set.counts}
    for target in targets:
        folder, _, name = target.partition("/")
        by_folder[folder].add(name)
    problems = [
        f"{folder}: {len(by_folder[folder])} files, expected {count}"
        for folder, count in test_set.counts.items()
        if len(by_folder[folder]) != count
    ]
    for folder in ("GT", "LR") if test_set.names else ():
        if folder in by_folder:
            problems += _describe_differences(f"{folder}: ", set(test_set.names), by_folder[folder])
    if "LR" in by_folder and "GT" in by_folder:
        problems += _check_pairs(test_set, by_folder)
    return list(dict.fromkeys(problems))


def _check_pairs(test_set: TestSet, by_folder: Mapping[str, set[str]]) -> list[str]:
    gt = by_folder["GT"]
    if test_set.kind == "multi_gt":
        gt = {name.removeprefix(f"{ORIGINAL}/") for name in gt if name.startswith(f"{ORIGINAL}/")}
    return _describe_differences("LR against GT: ", gt, by_folder["LR"])


def _describe_differences(where: str, wanted: set[str], held: set[str]) -> list[str]:
    told = [("missing", wanted - held), ("unexpected", held - wanted)]
    return [f"{where}{what} {_show(names)}" for what, names in told if names]


def check_sizes(test_set: TestSet, folder: Path) -> list[str]:
    """Return what is wrong with the sizes of the images in an arranged set's folder; only their headers are read.

    ImageReadError where one cannot be read.
    """
    gt, lr = read_sizes(folder / "GT"), read_sizes(folder / "LR")
    problems = _check_gt(test_set, gt)
    if test_set.lq_size is not None:
        problems += _odd("LR", lr, {test_set.lq_size})
    if test_set.kind == "multi_gt":
        gt = {name.removeprefix(f"{ORIGINAL}/"): size for name, size in gt.items()}
    pairs = {name: (gt[name], size) for name, size in lr.items() if name in gt}
    wrong = [
        f"{name} (GT {_text(large)}, LR {_text(small)})"
        for name, (large, small) in pairs.items()
        if large != (small[0] * test_set.scale, small[1] * test_set.scale)
    ]
    return problems + ([f"GT is not {test_set.scale} times LR: {_show(wrong)}"] if wrong else [])


def _check_gt(test_set: TestSet, gt: Mapping[str, Size]) -> list[str]:
    known = test_set.sizes
    problems = []
    if gt and known.all:
        more, less = Counter(gt.values()) - Counter(known.all), Counter(known.all) - Counter(gt.values())
        told = [("unexpected", more), ("missing", less)]
        problems += [f"GT: {what} sizes {_show(map(_text, sizes.elements()))}" for what, sizes in told if sizes]
    if known.among:
        problems += _odd("GT", gt, set(known.among))
    if known.longer is not None:
        wrong = [f"{name} {_text(size)}" for name, size in gt.items() if max(size) != known.longer]
        problems += [f"GT: the longer side should be {known.longer}: {_show(wrong)}"] if wrong else []
    return problems


def _odd(folder: str, sizes: Mapping[str, Size], allowed: set[Size]) -> list[str]:
    wrong = [f"{name} {_text(size)}" for name, size in sizes.items() if size not in allowed]
    expected = " or ".join(sorted(map(_text, allowed)))
    return [f"{folder}: sizes should be {expected}: {_show(wrong)}"] if wrong else []


def read_sizes(folder: Path) -> dict[str, Size]:
    """Return (height, width) of the images in a folder and its subfolders, by key; empty where there are none."""
    try:
        paths = FolderSource(folder, IMAGE_SUFFIXES).paths
    except ImageSourceError:
        return {}
    return {key: image_size(path) for key, path in paths.items()}


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _show(items: Iterable[str]) -> str:
    return list_first(sorted(items), 5)
