"""Which reference belongs to which SR image, by name; everything that does not fit is told before anything runs."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prismsr.data.images.source import FolderSource
from prismsr.data.multi_gt.groups import group_keys
from prismsr.data.multi_gt.labels import read_labels
from prismsr.metrics.images import Align, check_sizes
from prismsr.utils.errors import OptionError
from prismsr.utils.images import IMAGE_SUFFIXES, ImageReadError, image_size
from prismsr.utils.names import list_first

References = Literal["single", "positives", "original", "all"]
REFERENCES = ("single", "positives", "original", "all")
SEPARATOR = "+"  # between the name of a GT and that of one of its LRs
SHOWN = 10


class MatchingError(OptionError):
    """The folders do not fit each other; the message names the images."""


@dataclass(frozen=True)
class Item:
    """An SR image, named by its key without the suffix, and files of the ground truths that it is compared with.

    There are several where the metric is the mean over them, none without GT. Images of one `group`, the ground truth's
    key, are averaged first.
    """

    name: str
    group: str
    sr: Path
    references: tuple[Path, ...] = ()


def match(
    sr: Path,
    gt: Path | None,
    *,
    suffix: str | None = None,
    references: References = "single",
    several: bool = False,
    labels: Path | None = None,
) -> list[Item]:
    """Return pairs by name, sorted.

    A key is the path in the folder without extension. The SR images' keys are those of the GTs, or all of them with one
    suffix more, such as _x4; it is found where `suffix` is None.

    Args:
        sr: folder of SR images.
        gt: folder of ground truths; None where no metric compares.
        suffix: what all SR keys end with beyond the GT's; "" for nothing.
        references: "single": gt holds one image per name. Else it holds a folder per version (original, 01, ...):
            "positives" compares with those that people labelled so, "original" with it alone, "all" with all versions.
        several: SR images NAME+ANYTHING belong to the GT NAME, as the many LRs of one image.
        labels: annotators' folder or CSV, for "positives"; None for `labels` beside gt.

    Raises:
        MatchingError: names that do not fit; it lists what is missing and what is extra.
        ImageSourceError, DataError: a folder or the labels cannot be used.
    """
    made = FolderSource(sr, IMAGE_SUFFIXES).paths
    if gt is None:
        names = _strip_suffix(made, suffix or "", sr)
        groups = {name: find_group(name) if several else name for name in names}
        return [Item(name, groups[name], path) for name, path in sorted(names.items())]
    wanted = _find_references(gt, references, labels)
    if several:
        return _match_several(made, wanted, sr, gt)
    if suffix is None:
        suffix = find_common_suffix(made, wanted)
    names = _strip_suffix(made, suffix, sr)
    missing, extra = sorted(wanted.keys() - names.keys()), sorted(names.keys() - wanted.keys())
    how = f"the suffix {suffix!r}" if suffix else "equal names"
    _refuse_others(missing, extra, sr, gt, "have no image in", f". Compared by {how}; --suffix gives another")
    return [Item(name, name, path, wanted[name]) for name, path in sorted(names.items())]


def find_group(name: str) -> str:
    """Return the name of the GT that an SR image NAME+ANYTHING belongs to, by the last "+" in it."""
    return name.rpartition(SEPARATOR)[0] or name


def find_common_suffix(sr: Iterable[str], gt: Collection[str]) -> str:
    """Return the suffix with which most SR keys are a GT's key; the shortest where several are equal, "" for none."""
    counts: Counter[str] = Counter()
    for key in sr:
        counts.update(key[end:] for end in range(1, len(key) + 1) if key[:end] in gt)
    return min(counts, key=lambda suffix: (-counts[suffix], len(suffix), suffix), default="")


def _strip_suffix(made: Mapping[str, Path], suffix: str, root: Path) -> dict[str, Path]:
    other = sorted(key for key in made if not key.endswith(suffix) or key == suffix)
    if other:
        raise MatchingError(
            f"{root}: {len(other)} of {len(made)} images do not end with the suffix {suffix!r}: {list_first(other)}; "
            "give the right one by --suffix, or move them away"
        )
    return {key.removesuffix(suffix): path for key, path in made.items()}


def _refuse_others(missing: Sequence[str], extra: Sequence[str], sr: Path, gt: Path, belongs: str, hint: str) -> None:
    told = []
    if missing:
        told.append(f"{len(missing)} images of {gt} have no SR image in {sr}: {list_first(missing)}")
    if extra:
        told.append(f"{len(extra)} SR images of {sr} {belongs} {gt}: {list_first(extra)}")
    if told:
        raise MatchingError(f"{'; '.join(told)}{hint}")


def _match_several(made: Mapping[str, Path], wanted: Mapping[str, tuple[Path, ...]], sr: Path, gt: Path) -> list[Item]:
    groups = {key: _find_longest(key, wanted) for key in made}
    extra = sorted(key for key, group in groups.items() if group is None)
    missing = sorted(wanted.keys() - set(groups.values()))
    _refuse_others(missing, extra, sr, gt, f"are no NAME{SEPARATOR}ANYTHING of an image of", "")
    return [Item(key, str(groups[key]), path, wanted[str(groups[key])]) for key, path in sorted(made.items())]


def _find_longest(key: str, wanted: Collection[str]) -> str | None:
    """Return the GT's name in NAME+ANYTHING; names may hold a plus themselves."""
    ends = [index for index, letter in enumerate(key) if letter == SEPARATOR]
    return next((key[:end] for end in reversed(ends) if key[:end] in wanted), None)


# ------------------------------------------------------------------------------------------- several ground truths


def _find_references(gt: Path, kind: References, labels: Path | None) -> dict[str, tuple[Path, ...]]:
    """Return files of the references by name of the image."""
    paths = FolderSource(gt, IMAGE_SUFFIXES).paths
    if kind == "single":
        return {key: (path,) for key, path in paths.items()}
    groups = group_keys(paths, str(gt))
    positive = _find_positives(gt, labels) if kind == "positives" else {}
    found = {}
    for name, keys in zip(groups.names, groups.keys, strict=True):
        versions = dict(zip(groups.versions, keys, strict=True))
        chosen = positive.get(name, ()) if kind == "positives" else (versions if kind == "all" else groups.versions[:1])
        found[name] = tuple(paths[versions[version]] for version in versions if version in chosen)
    if empty := sorted(name for name, files in found.items() if not files):
        raise MatchingError(
            f"{gt}: {len(empty)} images have no positive version: {list_first(empty)}; see --references"
        )
    return found


def _find_positives(gt: Path, labels: Path | None) -> dict[str, list[str]]:
    place = labels or gt.resolve().parent / "labels"
    if labels is None and not place.is_dir():
        raise MatchingError(f"--references positives needs the labels; there is no folder {place}, name it by --labels")
    judged = read_labels(place)
    return {
        name: [version for version, given in versions.items() if given.label == "Positive"]
        for name, versions in judged.items()
    }


# ------------------------------------------------------------------------------------------------------------ sizes


def read_sizes(items: Sequence[Item], align: Align) -> dict[str, tuple[int, int]]:
    """Return (height, width) by name of those SR images whose header can be read; the others are left to the run.

    Raises:
        MatchingError: sizes differ (see `metrics.images.read_pair`); it names the files.
    """
    found, wrong = {}, []
    for item in items:
        try:
            own = image_size(item.sr)
        except ImageReadError:
            continue
        found[item.name] = own
        for path in item.references:
            try:
                other = image_size(path)
            except ImageReadError:
                continue
            if not check_sizes(own, other, align):
                wrong.append(f"{item.sr} is {own[1]} x {own[0]} and {path} {other[1]} x {other[0]}")
    if wrong:
        rest = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        hint = (
            "cut the ground truths, or let --align crop do it" if align == "equal" else "SR images must not be larger"
        )
        raise MatchingError(f"{len(wrong)} pairs have different sizes ({hint}): {'; '.join(wrong[:SHOWN])}{rest}")
    return found
