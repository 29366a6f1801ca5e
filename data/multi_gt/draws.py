"""Which versions a sample takes: its ground truth and, for the negative loss, a negative and a positive version.

Paper: AMO, choice of ground truths.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prismsr.data.multi_gt.groups import SHOWN, Groups
from prismsr.data.multi_gt.labels import LABELS, Label
from prismsr.data.multi_gt.sampling_rules import LABELLED, Rule, draw
from prismsr.utils.errors import DataError

import numpy as np
from numpy.typing import NDArray

ORIGINAL, POSITIVE, SIMILAR, NEGATIVE = range(4)
"""HGGT's codes of effective labels; the original has none."""
ANNOTATORS = 3  # of HGGT; the negative loss weighs a label by the share of them that gave it


class Judgements(NamedTuple):
    """Effective labels of all groups.

    Attributes:
        codes: (groups, V) int8, ORIGINAL in the first column, else POSITIVE, SIMILAR or NEGATIVE.
        votes: (groups, V) float32, annotators that gave the label as a share of three, at most 1.
    """

    codes: NDArray[np.int8]
    votes: NDArray[np.float32]


class Taken(NamedTuple):
    """Indices of versions: the ground truth (None: chosen later), a negative and a positive (None: there is none)."""

    target: int | None
    negative: int | None
    positive: int | None


def judge_versions(labels: Mapping[str, Mapping[str, Label]], groups: Groups, where: str) -> Judgements:
    """Return the labels of the groups' versions; DataError for groups without a label of one of their versions."""
    shape = len(groups.names), len(groups.versions)
    codes, votes = np.zeros(shape, np.int8), np.zeros(shape, np.float32)
    numbers = {label: code for code, label in enumerate(LABELS, POSITIVE)}
    missing = []
    for row, name in enumerate(groups.names):
        given = labels.get(name, {})
        for column, version in enumerate(groups.versions[1:], 1):
            if version in given:
                codes[row, column] = numbers[given[version].label]
                votes[row, column] = min(given[version].votes / ANNOTATORS, 1)
            else:
                missing.append(f"{name} ({version})")
    if missing:
        raise DataError(
            f"{where}: {len(missing)} versions have no label, first {', '.join(missing[:SHOWN])}; these files name the "
            f"groups as the images do, and the versions {', '.join(groups.versions[1:])}."
        )
    return Judgements(codes, votes)


def choose_groups(rule: Rule, negatives: bool, codes: NDArray[np.int8]) -> NDArray[np.intp]:
    """Return rows of the groups to train on, as in HGGT.

    With negatives those with any label but Similar; otherwise, where the ground truth is a positive version, those that
    have one; else all.
    """
    if negatives:
        return np.flatnonzero((codes[:, 1:] != SIMILAR).any(1))
    return np.flatnonzero((codes[:, 1:] == POSITIVE).any(1)) if rule in LABELLED else np.arange(len(codes))


def list_candidates(rule: Rule, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Return the versions that may become GT, (groups, V); the original where none is positive, as in HGGT."""
    if rule in ("sma", "amo"):
        return np.ones(codes.shape, bool)
    chosen = codes == POSITIVE if rule in LABELLED else np.zeros(codes.shape, bool)
    chosen[:, 0] = ~chosen.any(1)
    return chosen


class VersionDraws(NamedTuple):
    """Draws of the kept groups, each from three uniform numbers.

    Attributes:
        candidates: (groups, V) bool, the versions that may become the ground truth.
        weights: (groups, V) probabilities of them; None where the model chooses.
        codes: (groups, V) effective labels, for negatives; None without.
    """

    candidates: NDArray[np.bool_]
    weights: NDArray[np.float64] | None
    codes: NDArray[np.int8] | None

    def of(self, row: int, uniforms: Sequence[float]) -> Taken:
        """Return the versions of a group's sample by three numbers in [0, 1): ground truth, negative and positive.

        The draws are independent of each other. All three numbers are always given, so that an option does not shift
        the stream they come from.
        """
        target = None if self.weights is None else draw(self.weights[row], uniforms[0])
        if self.codes is None:
            return Taken(target, None, None)
        return Taken(target, self._any(row, NEGATIVE, uniforms[1]), self._any(row, POSITIVE, uniforms[2]))

    def _any(self, row: int, code: int, uniform: float) -> int | None:
        assert self.codes is not None
        having = self.codes[row] == code
        return draw(having, uniform) if having.any() else None
