"""Image-quality data sets: each reader lists the images of a set with their mean opinion scores (MOS) and sub-types.

Paper: SFD, tables 3 and 4.
"""

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prismsr.utils.errors import UserError
from prismsr.utils.images import IMAGE_SUFFIXES

FILE_HEADERS = ("file", "image_name", "filename", "image", "img", "name", "path")
MOS_HEADERS = ("mos", "score", "mos_zscore")
KIND_HEADERS = ("type", "set", "split", "subset", "kind")
DELIMITERS = (",", ";", "\t", "|", " ")

KONIQ_SCORES = "koniq10k_scores_and_distributions.csv"
KONIQ_SPLITS = "koniq10k_distributions_sets.csv"
KONIQ_KINDS = {"training": "Train", "validation": "Val", "test": "Test"}
PIPAL_KINDS = {
    "00": "Trad.SR",
    "01": "PSNR.SR",
    "02": "kernel mismatch SR",
    "03": "GAN.SR",
    "05": "SR and denoising",
}
"""PIPAL's types by the number in the middle of the file name, as RecycleD's lists have them."""

SOURCES = {
    "csv": "a CSV with the columns file, mos and, if wanted, type; docs/guide/iqa.md describes it",
    "koniq10k": "https://database.mmsp-kn.de/koniq-10k-database.html (images 1024x768 and the scores)",
    "livec": "https://live.ece.utexas.edu/research/ChallengeDB/ (LIVE In the Wild, by request)",
    "pipal": "https://www.jasongt.com/projectpages/pipal.html (training images and Train_Label)",
    "ma": "https://sites.google.com/site/chaoma99/sr-metric (Ma et al. 2017), a list file,mos from RecycleD",
}


class IqaSetError(UserError, ValueError):
    """A data set is not where or as it has to be; the message names the file and where to get the set."""


@dataclass(frozen=True)
class IqaRecord:
    """One image: its path below the set's folder as a name, with slashes, its file, its MOS, and its sub-type or split.

    The mean opinion score is on the set's own scale, higher is better; `kind` is empty where the set has none.
    """

    name: str
    path: Path
    mos: float
    kind: str = ""


@dataclass(frozen=True)
class IqaSet:
    """A data set, by its key in `READERS`, and its images.

    `notes` say what differs from the set as published, or is uncertain about it. `unions` are further groups, as tuples
    of kinds.
    """

    name: str
    records: list[IqaRecord]
    notes: list[str] = field(default_factory=list)
    unions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def split_groups(self) -> dict[str, list[IqaRecord]]:
        """Return the whole set under "all", then every union and every kind, each in the order of the set."""
        kinds = {kind: (kind,) for kind in sorted({record.kind for record in self.records} - {""})}
        found = {"all": list(self.records)}
        for name, members in {**self.unions, **kinds}.items():
            chosen = [record for record in self.records if record.kind in members]
            if chosen:
                found[name] = chosen
        return found


def load_iqa_set(name: str, root: Path, labels: Path | None = None, mos_column: str | None = None) -> IqaSet:
    """Read the list of a data set in its published layout and check that every image is there.

    Args:
        name: key in `READERS`.
        root: the set's folder.
        labels: file of the scores, where it is not at its published place.
        mos_column: header of the MOS column, for files that have several ("MOS" by default).

    Raises:
        IqaSetError: a file is missing or not as it has to be.
    """
    if not root.is_dir():
        raise IqaSetError(f"{root}: no such folder; {name} is to be had from {SOURCES[name]}")
    found = READERS[name](root, labels, mos_column)
    doubled = [key for key, count in Counter(record.name for record in found.records).items() if count > 1]
    if doubled:
        raise IqaSetError(f"{root}: {doubled[0]} is listed more than once ({len(doubled)} such images)")
    missing = [record.path for record in found.records if not record.path.is_file()]
    if missing:
        more = f", and {len(missing) - 1} more of {len(found.records)}" if len(missing) > 1 else ""
        raise IqaSetError(f"{missing[0]}: no such image{more}; {name} is to be had from {SOURCES[name]}")
    return found


# ----------------------------------------------------------------------------------------------- one reader per set


def _read_csv_set(root: Path, labels: Path | None, mos_column: str | None) -> IqaSet:
    rows = _read_table(_find_file("csv", root, labels, "labels.csv", "scores.csv", "mos.csv"), mos_column)
    return IqaSet("csv", [IqaRecord(name, root / name, mos, kind) for name, mos, kind in rows])


def _read_koniq(root: Path, labels: Path | None, mos_column: str | None) -> IqaSet:
    file = _find_file("koniq10k", root, labels, KONIQ_SCORES, f"{Path(KONIQ_SCORES).stem}/{KONIQ_SCORES}", KONIQ_SPLITS)
    rows = _read_table(file, mos_column or "MOS")
    kinds = {name: kind for name, _, kind in rows}
    notes = []
    splits = root / KONIQ_SPLITS
    if splits.is_file():
        kinds = {name: kind for name, _, kind in _read_table(splits, None)}
    elif not any(kinds.values()):
        notes.append(f"{splits} is not there: no figures for the training, validation and test part")
    if mos_column is None and file.name == KONIQ_SPLITS:
        notes.append(f"MOS from {KONIQ_SPLITS}, which is rescaled to about 0..100; RecycleD's lists have 1..5")
    folder = _find_folder("koniq10k", root, "1024x768", "koniq10k_1024x768/1024x768", "koniq10k_1024x768", "images")
    records = [
        IqaRecord(name, folder / name, mos, KONIQ_KINDS.get(kinds.get(name, ""), kinds.get(name, "")))
        for name, mos, _ in rows
    ]
    expected = {"": 10_073} | ({"Train": 7058, "Val": 1000, "Test": 2015} if any(kinds.values()) else {})
    return IqaSet("koniq10k", records, notes + _note_counts(records, expected))


def _read_livec(root: Path, labels: Path | None, mos_column: str | None) -> IqaSet:
    data = labels.parent if labels else root / "Data"
    names = [str(cell.item()) for cell in _read_variable(data, "AllImages_release", "livec")]
    scores = _read_variable(data, "AllMOS_release", "livec")
    if len(names) != len(scores):
        raise IqaSetError(f"{data}: {len(names)} names of images, but {len(scores)} scores")
    records = []
    for index, (name, mos) in enumerate(zip(names, scores, strict=True)):
        training = index < 7  # shown to the observers first, and kept in a folder of their own
        place = f"Images/trainingImages/{name}" if training else f"Images/{name}"
        kind = "observers' training images" if training else "main"
        records.append(IqaRecord(place, root / place, _parse_number(mos, place), kind))
    notes = ["RecycleD's list has all 1169 images; most other papers leave out the 7 training images: row 'main'"]
    return IqaSet("livec", records, notes + _note_counts(records, {"": 1169, "main": 1162}))


def _read_pipal(root: Path, labels: Path | None, mos_column: str | None) -> IqaSet:
    folder = labels or _find_folder("pipal", root, "Train_Label", "train_label", "Train_label")
    files = sorted(folder.glob("*.txt")) if folder.is_dir() else [folder]
    if not files:
        raise IqaSetError(f"{folder}: holds no *.txt; PIPAL is to be had from {SOURCES['pipal']}")
    images = {path.name: path for path in sorted(root.rglob("*.bmp"))}
    records = []
    for name, mos, _ in (row for file in files for row in _read_table(file, mos_column)):
        path = images.get(Path(name).name, root / "Distortion_1" / name)
        parts = Path(name).stem.split("_")
        if len(parts) != 3:
            raise IqaSetError(f"{folder}: {name} is not named as PIPAL's images are (A0001_00_00.bmp)")
        kind = PIPAL_KINDS.get(parts[1], f"type {parts[1]}")
        records.append(IqaRecord(path.relative_to(root).as_posix(), path, mos, kind))
    expected = {"": 23_200, "Trad.SR": 2400, "PSNR.SR": 3200, "kernel mismatch SR": 2000, "GAN.SR": 4800}
    notes = ["SFD does not say which images of PIPAL its Table 3 uses; Table 4 has Trad.SR, PSNR.SR and GAN.SR"]
    counts = _note_counts(records, {**expected, "SR and denoising": 2800})
    return IqaSet("pipal", records, notes + counts, {"all SR": tuple(PIPAL_KINDS.values())})


def _read_ma(root: Path, labels: Path | None, mos_column: str | None) -> IqaSet:
    listed = [path.name for suffix in ("csv", "txt", "mat") for path in sorted(root.glob(f"*.{suffix}"))]
    file = _find_file("ma", root, labels, *listed)
    rows = _read_ma_mat(file) if file.suffix == ".mat" else _read_table(file, mos_column)
    records = [IqaRecord(name, root / name, mos, kind or _find_scale(name)) for name, mos, kind in rows]
    return IqaSet("ma", records, _note_counts(records, {"": 1620}))


READERS: dict[str, Callable[[Path, Path | None, str | None], IqaSet]] = {
    "csv": _read_csv_set,
    "koniq10k": _read_koniq,
    "livec": _read_livec,
    "pipal": _read_pipal,
    "ma": _read_ma,
}


# ------------------------------------------------------------------------------------------------------- their parts


def _find_scale(name: str) -> str:
    """Return `sf4` of Bicubic/sf4/sigma1.2/29030.png: the scaling factor is a folder's name in Ma's set."""
    return next((part for part in Path(name).parts[:-1] if part[:2] == "sf" and part[2:].isdecimal()), "")


def _read_ma_mat(file: Path) -> list[tuple[str, float, str]]:
    """Return names and scores of a .mat with one cell array of names and one vector of numbers of the same length."""
    from scipy.io import loadmat

    try:
        content = {key: value for key, value in loadmat(file).items() if not key.startswith("__")}
    except Exception as error:  # scipy and zlib raise many kinds for a damaged file
        raise IqaSetError(f"{file}: the MATLAB file cannot be read ({error})") from error
    names = [value.ravel() for value in content.values() if value.dtype == object]
    numbers = [value.ravel() for value in content.values() if value.dtype.kind in "fiu"]
    pairs = [(cells, scores) for cells in names for scores in numbers if len(cells) == len(scores)]
    if len(pairs) != 1:
        raise IqaSetError(
            f"{file}: expected one cell array of file names and one vector of as many scores, found {sorted(content)}; "
            "give --labels a list 'file,mos', such as RecycleD's datasets/MaScoreDataset_all_pair.txt"
        )
    return [(str(cell.item()), _parse_number(mos, str(cell)), "") for cell, mos in zip(*pairs[0], strict=True)]


def _read_variable(folder: Path, variable: str, name: str) -> Any:
    from scipy.io import loadmat

    file = folder / f"{variable}.mat"
    if not file.is_file():
        raise IqaSetError(f"{file}: no such file; {name} is to be had from {SOURCES[name]}")
    try:
        return loadmat(file, variable_names=[variable])[variable].ravel()
    except Exception as error:  # KeyError, and the many kinds that scipy and zlib raise for a damaged file
        raise IqaSetError(f"{file}: the variable {variable} cannot be read ({error})") from error


def _find_file(name: str, root: Path, labels: Path | None, *places: str) -> Path:
    candidates = [labels] if labels else [root / place for place in places]
    for path in candidates:
        if path.is_file():
            return path
    looked = candidates[0] if candidates else f"{root}/*.csv, *.txt or *.mat"
    raise IqaSetError(f"{looked}: no such file with the scores; {name} is to be had from {SOURCES[name]}")


def _find_folder(name: str, root: Path, *places: str) -> Path:
    for place in places:
        if (root / place).is_dir():
            return root / place
    raise IqaSetError(f"{root / places[0]}: no such folder; {name} is to be had from {SOURCES[name]}")


def _read_table(file: Path, mos_column: str | None) -> list[tuple[str, float, str]]:
    """Return (file, MOS, kind) of each row of a text table; its header may lack where the second cell is a number."""
    rows = read_cells(file, IqaSetError, DELIMITERS)
    columns, first = _find_columns(rows[0], mos_column, file)
    found = []
    for number, row in enumerate(rows[first:], start=first + 1):
        if len(row) <= max(columns[:2]):
            raise IqaSetError(f"{file}, row {number}: {len(row)} cells; the file and its MOS are expected")
        name, kind = row[columns[0]].replace("\\", "/").lstrip("/"), columns[2]
        if Path(name).suffix.lower() not in IMAGE_SUFFIXES:
            raise IqaSetError(f"{file}, row {number}: {name!r} is no name of an image")
        mos = _parse_number(row[columns[1]], f"{file}, row {number}")
        found.append((name, mos, row[kind] if kind is not None and kind < len(row) else ""))
    return found


def read_cells(file: Path, failure: type[UserError], delimiters: Iterable[str] = ",") -> list[list[str]]:
    """Return the stripped cells of all rows of a text table that are not blank.

    The delimiter is the first one that the first line has. What cannot be read, or is empty, is a `failure`.
    """
    try:
        lines = [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        delimiter = next((mark for mark in delimiters if lines and mark in lines[0].strip()), ",")
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise failure(f"{file}: cannot be read ({error})") from error
    if not rows:
        raise failure(f"{file}: is empty")
    return rows


def _find_columns(header: list[str], mos_column: str | None, file: Path) -> tuple[tuple[int, int, int | None], int]:
    """Return indices of the columns file, MOS and kind, and the index of the first row of data."""
    with suppress(ValueError, IndexError):
        float(header[1])
        return (0, 1, 2 if len(header) > 2 else None), 0
    lower = [cell.strip('"').lower() for cell in header]
    wanted = (FILE_HEADERS, (mos_column.lower(),) if mos_column else MOS_HEADERS, KIND_HEADERS)
    name, mos, kind = (next((lower.index(word) for word in words if word in lower), None) for words in wanted)
    if name is None or mos is None:
        words = f"{' or '.join(FILE_HEADERS)}; {mos_column or ' or '.join(MOS_HEADERS)}"
        raise IqaSetError(f"{file}: no columns for the file and its MOS ({words}) among {', '.join(header)}")
    return (name, mos, kind), 1


def _parse_number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise IqaSetError(f"{where}: the MOS is no number: {value!r}") from error
    if not math.isfinite(number):
        raise IqaSetError(f"{where}: the MOS is {number}")
    return number


def _note_counts(records: list[IqaRecord], expected: Mapping[str, int]) -> list[str]:
    """Return a note for each kind ("" is the whole set) that has not as many images as published."""
    counts = Counter(record.kind for record in records)
    counts[""] = len(records)
    return [
        f"{counts[kind]} images{f' of {kind}' if kind else ''}, published are {number}"
        for kind, number in expected.items()
        if counts[kind] != number
    ]
