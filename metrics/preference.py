"""How a quality metric agrees with people's choices: in pairs of images, and among an image's enhanced versions.

The first is what AMO's Table 6 measures (accuracy against the human choice); the second are the misalignments of its
section 3, whose formulas were not to be had: those here are our reconstruction, and docs/guide/iqa_analysis.md says so.

Paper: AMO, section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEFT, TIE, RIGHT = 1, 0, -1
"""A person's choice in a pair."""
ORIGINAL, POSITIVE, SIMILAR, NEGATIVE, UNKNOWN = 0, 1, 2, 3, -1
"""What an image of a group is: HGGT's codes, and -1 where there is no label."""
_CLASSES = (POSITIVE, ORIGINAL, SIMILAR, NEGATIVE)  # as the annotators saw them; original and similar are alike


@dataclass(frozen=True)
class Agreement:
    """A metric against people in pairs.

    Attributes:
        pairs: pairs given.
        ties: pairs of them without a human choice; they are left out.
        missing: pairs with a choice but without both scores; left out, too.
        compared: pairs that count.
        equal: pairs that count of which both images have the same score; each is half right.
        right: pairs that the metric orders as people do, and the halves.
    """

    pairs: int
    ties: int
    missing: int
    compared: int
    equal: int
    right: float

    @property
    def accuracy(self) -> float:
        """Share of right pairs in [0, 1]; NaN where none was compared."""
        return self.right / self.compared if self.compared else float("nan")


def judge_pairs(left: ArrayLike, right: ArrayLike, choices: ArrayLike) -> NDArray[np.float64]:
    """Return whether a metric agrees, pair by pair.

    Scores of both images are (N,), higher is better, NaN where there is none; choices (N,) of LEFT, TIE, RIGHT.
    Outcomes are (N,): 1 it agrees, 0 it does not, 0.5 its scores are equal, NaN where people had a tie or a score is
    missing.

    Example:
        >>> judge_pairs([2, 1, 3], [1, 5, 3], [LEFT, LEFT, RIGHT])
        array([1. , 0. , 0.5])
    """
    first, second = np.asarray(left, np.float64), np.asarray(right, np.float64)
    chosen = np.asarray(choices)
    outcomes = (1 + np.sign(first - second) * chosen) / 2
    outcomes[(chosen == TIE) | np.isnan(first) | np.isnan(second)] = np.nan
    return np.asarray(outcomes)


def count_agreement(outcomes: ArrayLike, choices: ArrayLike) -> Agreement:
    """Count the outcomes of `judge_pairs`, (N,), for the choices (N,) that they came from.

    Example:
        >>> count_agreement([1, 0, 0.5, float("nan")], [LEFT, LEFT, RIGHT, TIE]).accuracy
        0.5
    """
    found, chosen = np.asarray(outcomes, np.float64), np.asarray(choices) != TIE
    counted = found[~np.isnan(found)]
    return Agreement(
        pairs=len(found),
        ties=int((~chosen).sum()),
        missing=int((chosen & np.isnan(found)).sum()),
        compared=len(counted),
        equal=int((counted == 0.5).sum()),
        right=float(counted.sum()),
    )


def compute_complementarity(outcomes: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return how right each metric is where another one is wrong, of (M, N) outcomes: a row of `judge_pairs` for each.

    Shares are (M, M), at [a, b] the mean outcome of metric b over the pairs that metric a gets wrong (outcome 0; equal
    scores are no mistake) and b has an outcome for, NaN where there are none. Further return (M, M) numbers of those
    pairs.

    Example:
        >>> shares, counts = compute_complementarity([[1, 0, 0], [0, 1, 0]])
        >>> shares.tolist(), counts.tolist()
        ([[0.0, 0.5], [0.5, 0.0]], [[2, 2], [2, 2]])
    """
    rows = np.asarray(outcomes, np.float64)
    wrong, known = (rows == 0).astype(np.int64), (~np.isnan(rows)).astype(np.int64)
    counts = wrong @ known.T
    with np.errstate(invalid="ignore"):
        shares = (wrong @ np.nan_to_num(rows).T) / counts
    return shares, counts


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """Return in [0, 1]; NaN of none."""
        return self.count / self.total if self.total else float("nan")


@dataclass(frozen=True)
class Misalignment:
    """A metric against the labels of groups: an original and its enhanced versions.

    Attributes:
        positive: pairs (positive, original) of which the positive has the lower score: positive misalignment.
        negative: pairs (negative, original) of which the negative has the higher score: negative misalignment.
        positive_all: as `positive`, against every member of a lower class (original, similar, negative).
        negative_all: as `negative`, against every member of a higher class (original, similar, positive).
        top: how often the best score is that of the original, a positive, a similar and a negative, by code.
        holding: groups that hold a negative.
        negative_on_top: those groups of `holding` whose best score is a negative's.
    """

    positive: Share
    negative: Share
    positive_all: Share
    negative_all: Share
    top: dict[int, Share]
    holding: Share
    negative_on_top: Share


def measure_misalignment(quality: ArrayLike, labels: ArrayLike) -> Misalignment:
    """Return positive and negative misalignment of a metric, our reconstruction.

    Quality is (N, V) scores of N groups of V images, higher is better, NaN where there is none; labels are (N, V) of
    ORIGINAL, POSITIVE, SIMILAR, NEGATIVE, UNKNOWN. Equal scores are no misalignment. An image without a label or score
    is in no pair. The best of a group is the first of those with the highest score, as AMO draws it; a group counts
    there if its labelled images all have a score.

    Example:
        >>> found = measure_misalignment([[2, 1, 3]], [[ORIGINAL, POSITIVE, NEGATIVE]])
        >>> found.positive.value, found.negative.value, found.negative_on_top.value
        (1.0, 1.0, 1.0)
    """
    scores, codes = np.asarray(quality, np.float64), np.asarray(labels)
    whole = ((codes == UNKNOWN) | ~np.isnan(scores)).all(axis=1) & (codes != UNKNOWN).any(axis=1)
    usable = np.where((codes == UNKNOWN) | np.isnan(scores), -np.inf, scores)
    top = np.take_along_axis(codes, usable.argmax(axis=1)[:, None], axis=1)[:, 0][whole]
    holds = (codes == NEGATIVE).any(axis=1)[whole]
    return Misalignment(
        positive=_count_below(scores, codes, POSITIVE, [ORIGINAL]),
        negative=_count_below(-scores, codes, NEGATIVE, [ORIGINAL]),
        positive_all=_count_below(scores, codes, POSITIVE, _CLASSES[1:]),
        negative_all=_count_below(-scores, codes, NEGATIVE, _CLASSES[:-1]),
        top={code: Share(int((top == code).sum()), len(top)) for code in _CLASSES},
        holding=Share(int(holds.sum()), len(holds)),
        negative_on_top=Share(int((top[holds] == NEGATIVE).sum()), int(holds.sum())),
    )


def _count_below(scores: NDArray[np.float64], codes: NDArray[np.int_], code: int, others: Sequence[int]) -> Share:
    """Count, within groups, pairs of an image of class `code` and one of `others`, and those where it has less."""
    known = ~np.isnan(scores)
    first = ((codes == code) & known)[:, :, None]
    pairs = first & (np.isin(codes, others) & known)[:, None, :]
    return Share(int((pairs & (scores[:, :, None] < scores[:, None, :])).sum()), int(pairs.sum()))
