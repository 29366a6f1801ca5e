"""What people said of the enhanced versions: annotators' JSON files or a CSV of their majority.

The files are those of HGGT (Human Guided Ground-truth Generation for Realistic Image Super-resolution, CVPR 2023).

Paper: AMO, after HGGT.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from prismsr.utils.csv_files import read_rows, write_rows
from prismsr.utils.errors import DataError
from prismsr.utils.images import IMAGE_SUFFIXES

from tqdm import tqdm

LABELS = ("Positive", "Similar", "Negative")
COLUMNS = ["name", "version", "label", "votes"]
ORIGINAL = "original"


class Label(NamedTuple):
    """The effective label of a version and how many annotators gave it."""

    label: str
    votes: int


Labels = dict[str, dict[str, Label]]
"""By name of the group, then by version."""


def decide_label(votes: Sequence[str]) -> Label:
    """Return the label that most annotators gave, and their number; where no label has most votes, Similar with 1.

    With three votes this is HGGT's rule: two or three equal votes win, three different ones give (Similar, 1). Fewer or
    more votes, where an annotator is missing, are our extension of it: two equal votes win, two different ones give
    (Similar, 1), and a single vote stands. ValueError without any.
    """
    if not votes:
        raise ValueError("decide_label: no votes.")
    (label, count), *others = Counter(votes).most_common(2)
    return Label("Similar", 1) if others and others[0][1] == count else Label(label, count)


def read_labels(root: str | Path) -> Labels:
    """Return the effective labels of a set.

    Args:
        root: a folder with one subfolder of JSON files per annotator, or the CSV that `tools/prepare.py labels` writes.

    Raises:
        DataError: nothing usable there, or a file that cannot be understood; it names the file.
    """
    path = Path(root)
    if path.is_dir():
        votes = _collect(path).items()
        return {name: {version: decide_label(one) for version, one in given.items()} for name, given in votes}
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder; labels are a CSV or a folder of the annotators' JSON files.")
    return _read_csv(path)


# ------------------------------------------------------------------------------------------------------------ JSON


def _collect(root: Path) -> dict[str, dict[str, list[str]]]:
    votes: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path, name in tqdm(_annotations(root), desc=f"labels of {root.name}", unit="file", delay=2, disable=None):
        for version, label in read_annotations(path, name).items():
            votes[name][version].append(label)
    return votes


def _annotations(root: Path) -> list[tuple[Path, str]]:
    """Return the JSON files of all annotators, each with the name of its group."""
    annotators = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = [
        (path, path.relative_to(annotator).with_suffix("").as_posix())
        for annotator in annotators
        for path in sorted(annotator.rglob("*.json"))
    ]
    if not files:
        raise DataError(f"{root}: no JSON file in its subfolders; each annotator's lie in a subfolder, as A/x.json.")
    inner = [name.partition("/")[2] for _, name in files]
    if len(annotators) == 1 and all(inner) and len(set(inner)) < len(files):  # the same groups, several times
        raise DataError(f"{root}: the annotators' folders seem to lie in {annotators[0]}; give that folder.")
    return files


def read_annotations(path: Path, name: str) -> dict[str, str]:
    """Return one annotator's labels of a group, by version, from a JSON file.

    A picture's version is told by its name (0001-1-2_01, with or without extension) or the folder of its file, and
    where neither tells it by its number, as the HGGT release does: Picture_1 is the original, Picture_2 is 01, and so
    on. The original has no label. A picture that is not listed, or has no key Label, has no vote here.

    Raises:
        DataError: not such a file, a label that is none of LABELS, or two labels of one version.
    """
    found: dict[str, str] = {}
    for picture, entry in _pictures(path):
        version = _version(picture, entry, name)
        if version == ORIGINAL or "Label" not in entry:
            continue
        if version in found:
            raise DataError(f"{path}: two pictures are the version {version} of {name}.")
        found[version] = _label(entry["Label"], f"{path}: {picture}")
    return found


def _pictures(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}).") from error
    pictures = [key for key in content if key.startswith("Picture_")] if isinstance(content, dict) else []
    for key in pictures:
        if not isinstance(content[key], dict) or not key.removeprefix("Picture_").isdecimal():
            raise DataError(f"{path}: {key} must be Picture_NUMBER with Name, File and Label; got {content[key]!r}.")
        yield key, content[key]
    if not pictures:
        raise DataError(f"{path}: no Picture_1, Picture_2, ... in it.")


def _version(picture: str, entry: Mapping[str, Any], name: str) -> str:
    number, stem = int(picture.removeprefix("Picture_")), PurePosixPath(name).name
    if number == 1 and entry.get("Label") is None:
        return ORIGINAL
    version = ORIGINAL if number == 1 else f"{number - 1:02d}"
    for part in (_path(entry.get("Name")), _path(entry.get("File"))):
        if part.name.startswith(f"{stem}_") and part.name != f"{stem}_":
            version = part.name[len(stem) + 1 :]
            break
        if part.name == stem and part.parent.name:
            version = part.parent.name
            break
    return ORIGINAL if version.lower() == ORIGINAL else version


def _path(text: Any) -> PurePosixPath:
    """Return a path as an annotator's machine wrote it, without the extension of an image."""
    path = PurePosixPath(str(text or "").replace("\\", "/"))
    return path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path


def _label(value: Any, where: str) -> str:
    label = str(value).strip().capitalize()
    if label not in LABELS:
        raise DataError(f"{where}: the label is {value!r}; allowed: {', '.join(LABELS)}.")
    return label


# ------------------------------------------------------------------------------------------------------------- CSV


def write_labels(path: Path, labels: Labels) -> int:
    """Write a CSV with the columns name, version, label and votes, and return the number of its rows."""
    rows = [(name, version, *labels[name][version]) for name in sorted(labels) for version in sorted(labels[name])]
    write_rows(path, COLUMNS, rows)
    return len(rows)


def _read_csv(path: Path) -> Labels:
    header, *rows = read_rows(path) or [[]]
    if header != COLUMNS:
        raise DataError(f"{path}: the first line must be {','.join(COLUMNS)}; `tools/prepare.py labels` writes it.")
    labels: Labels = defaultdict(dict)
    for number, row in enumerate(rows, 2):
        where = f"{path}, line {number}"
        if len(row) != len(COLUMNS) or not row[3].isdecimal() or int(row[3]) < 1:
            raise DataError(f"{where}: must be {','.join(COLUMNS)} with votes of 1 or more; got {','.join(row)}.")
        name, version, label, votes = row
        if version in labels[name]:
            raise DataError(f"{where}: {name} has a second label of the version {version}.")
        labels[name][version] = Label(_label(label, where), int(votes))
    return dict(labels)
