"""Pairs of images and people's choices between them, from a CSV file (docs/guide/iqa_analysis.md describes it).

Paper: AMO, table 6.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from prismsr.metrics.preference import LEFT, RIGHT, TIE
from prismsr.tools.iqa.sets import read_cells
from prismsr.utils.errors import UserError

import numpy as np
from numpy.typing import NDArray

CHOICES = {"left": LEFT, "tie": TIE, "right": RIGHT}
CHOICE_COLUMNS, VOTE_COLUMNS = ("left", "right", "choice"), ("left", "right", "left_votes", "right_votes")


class PairsError(UserError, ValueError):
    """A file of pairs cannot be used; the message names it, the line and what is allowed."""


@dataclass(frozen=True)
class PreferencePairs:
    """Pairs of images: paths of the left and the right ones below the set's folder, with slashes.

    `choices` are (N,) LEFT, TIE or RIGHT of `prismsr.metrics.preference`.
    """

    left: list[str]
    right: list[str]
    choices: NDArray[np.int_]

    def list_names(self) -> list[str]:
        """Return all images, each once, in order of appearance."""
        return list(dict.fromkeys(name for pair in zip(self.left, self.right, strict=True) for name in pair))


def read_pairs(path: Path, root: Path) -> PreferencePairs:
    """Read a CSV with a header: left, right, choice (left, right, tie), or left, right, left_votes, right_votes.

    The side with more votes is the choice; equal votes are a tie. Other columns are ignored. Paths start in `root`.

    Raises:
        PairsError: no such file, columns or values, an image that is not there, no pair at all, or ties alone.
    """
    first, *rows = read_cells(path, PairsError)
    header = [cell.lower() for cell in first]
    has_votes = "choice" not in header
    columns = VOTE_COLUMNS if has_votes else CHOICE_COLUMNS
    missing = [column for column in columns if column not in header]
    if missing:
        raise PairsError(
            f"{path}: no column {' or '.join(missing)} among {', '.join(header) or 'none'}; needed are "
            f"{', '.join(CHOICE_COLUMNS)}, or {', '.join(VOTE_COLUMNS)}"
        )
    places = [header.index(column) for column in columns]
    left, right, choices = [], [], []
    for number, row in enumerate(rows, start=2):
        where = f"{path}, row {number}"
        if len(row) <= max(places):
            raise PairsError(f"{where}: {len(row)} cells; {', '.join(columns)} are needed")
        cells = [row[place] for place in places]
        left.append(_check_image(cells[0], root, where))
        right.append(_check_image(cells[1], root, where))
        choices.append(_count_votes(cells[2], cells[3], where) if has_votes else _read_choice(cells[2], where))
    if not choices:
        raise PairsError(f"{path}: holds no pair, only a header")
    if not any(choice != TIE for choice in choices):
        raise PairsError(f"{path}: all {len(choices)} pairs are ties; there is nothing to agree with")
    return PreferencePairs(left, right, np.array(choices))


def _check_image(text: str, root: Path, where: str) -> str:
    name = text.replace("\\", "/").lstrip("/")
    if not (root / name).is_file():
        raise PairsError(f"{where}: no image {root / name}; paths are relative to --root")
    return name


def _read_choice(text: str, where: str) -> int:
    if text.lower() not in CHOICES:
        raise PairsError(f"{where}: the choice is {text!r}; allowed: {', '.join(CHOICES)}")
    return CHOICES[text.lower()]


def _count_votes(left: str, right: str, where: str) -> int:
    try:
        votes = float(left), float(right)
    except ValueError as error:
        raise PairsError(f"{where}: votes must be numbers; got {left!r} and {right!r}") from error
    if not all(math.isfinite(number) and number >= 0 for number in votes):
        raise PairsError(f"{where}: votes must be 0 or more; got {left} and {right}")
    return int(np.sign(votes[0] - votes[1]))
