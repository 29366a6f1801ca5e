"""Correlation of a metric's scores with mean opinion scores (MOS), by the three PLCC protocols in use, SRCC and KRCC.

PLCC is quoted in three ways that are not comparable with one another: of the raw scores; after a cubic polynomial
(PIPAL, the NTIRE challenges, RecycleD, DualFormer); after a monotone logistic (VQEG, most classical IQA papers).

Paper: SFD, tables 3 and 4.
"""

import warnings
from dataclasses import dataclass

from prismsr.utils.errors import UserError

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit
from scipy.stats import kendalltau, pearsonr, spearmanr

Vector = NDArray[np.float64]
PARAMETERS = 4  # of the cubic and of the logistic alike: as many points would be met exactly
CALLS = 20_000  # of the logistic before the fit is given up


class CorrelationError(UserError, ValueError):
    """These scores have no such correlation or fit; the message says why."""

    exit_code = 1


@dataclass(frozen=True)
class Correlations:
    """How well scores follow MOS.

    Attributes:
        count: number of images.
        plcc: Pearson's correlation of the raw scores, in [-1, 1]; negative where a lower score is better.
        plcc_cubic: Pearson's correlation after `fit_cubic`, in [0, 1] whatever the direction; None without a fit.
        plcc_logistic: the same after `fit_logistic4`; None without a fit.
        srcc: Spearman's rank correlation, signed.
        krcc: Kendall's tau-b, signed.
        notes: why a fit is missing.
    """

    count: int
    plcc: float
    plcc_cubic: float | None
    plcc_logistic: float | None
    srcc: float
    krcc: float
    notes: tuple[str, ...] = ()


def fit_cubic(scores: ArrayLike, mos: ArrayLike) -> Vector:
    """Return MOS (n,) as predicted of scores (n,), n >= 5, by the least-squares cubic; it need not be monotone.

    CorrelationError as `correlate`, and for fewer than 5 images or 4 different scores.

    Example:
        >>> fit_cubic([1, 2, 3, 4, 5], [1, 8, 27, 64, 125]).round(6)
        array([  1.,   8.,  27.,  64., 125.])
    """
    x, y = _check_vectors(scores, mos)
    _require_enough(x, "cubic")
    z = _standardise(x)  # the same family of curves, without the powers of large numbers
    return np.asarray(np.polyval(np.polyfit(z, y, 3), z), np.float64)


def evaluate_logistic4(x: ArrayLike, upper: float, lower: float, middle: float, width: float) -> Vector:
    """Return `lower + (upper - lower) / (1 + exp(-(x - middle) / |width|))`, monotone in x; (n,) for (n,).

    Example:
        >>> evaluate_logistic4([-100, 0, 100], upper=5, lower=1, middle=0, width=1)
        array([1., 3., 5.])
    """
    return lower + (upper - lower) * expit((np.asarray(x, np.float64) - middle) / abs(width))


def find_logistic4(scores: ArrayLike, mos: ArrayLike) -> tuple[float, float, float, float]:
    """Return least-squares (upper, lower, middle, width) of `evaluate_logistic4`.

    Upper is below lower where lower scores are better. The search starts from max(mos), min(mos), mean(scores),
    std(scores) / 4. The first two change places for scores that fall with MOS.

    Raises:
        CorrelationError: as `correlate`, fewer than 5 images or 4 different scores, or no fit is found.

    Example:
        >>> scores = [0, 1, 2, 3, 4]
        >>> parameters = find_logistic4(scores, evaluate_logistic4(scores, 5, 1, 2, 1))
        >>> [round(value, 6) for value in parameters]
        [5.0, 1.0, 2.0, 1.0]
    """
    x, y = _check_vectors(scores, mos)
    _require_enough(x, "logistic")
    z, scale = _standardise(x), _standardise(y)
    high, low = (scale.max(), scale.min()) if np.corrcoef(z, scale)[0, 1] >= 0 else (scale.min(), scale.max())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # about the parameters' covariance, which nobody reads
            found, _ = curve_fit(evaluate_logistic4, z, scale, p0=(high, low, 0.0, 0.25), maxfev=CALLS)
    except RuntimeError as error:
        raise CorrelationError(f"the logistic fit found no end after {CALLS} evaluations") from error
    upper, lower = found[:2] * y.std() + y.mean()
    return float(upper), float(lower), float(found[2] * x.std() + x.mean()), float(abs(found[3]) * x.std())


def fit_logistic4(scores: ArrayLike, mos: ArrayLike) -> Vector:
    """Return MOS (n,) as predicted of scores (n,), n >= 5, by the least-squares logistic of 4 parameters, monotone.

    CorrelationError as `find_logistic4`, and where the best logistic is a constant.

    Example:
        >>> scores = [0, 1, 2, 3, 4]
        >>> fit_logistic4(scores, evaluate_logistic4(scores, 5, 1, 2, 1)).round(4)
        array([1.4768, 2.0758, 3.    , 3.9242, 4.5232])
    """
    parameters = find_logistic4(scores, mos)
    with np.errstate(invalid="ignore", divide="ignore"):
        fitted = evaluate_logistic4(scores, *parameters)
    spread = np.ptp(fitted)
    if not np.isfinite(spread) or spread <= 1e-9 * np.ptp(np.asarray(mos, np.float64)):
        raise CorrelationError("the logistic fit is a constant: the scores say nothing monotone about MOS")
    return fitted


def correlate(scores: ArrayLike, mos: ArrayLike) -> Correlations:
    """Return all correlations of a metric with MOS.

    Args:
        scores: (n,) scores of the metric, any range.
        mos: (n,) mean opinion scores of the same images, higher is better.

    Raises:
        CorrelationError: not two vectors of equal length, fewer than 2 images, NaN or infinite values, or all scores
            (or all MOS) equal. A fit that fails alone is None, with a note.

    Example:
        >>> found = correlate([9, 7, 6, 4, 1], [1, 2, 3, 4, 5])
        >>> [round(value, 4) for value in (found.plcc, found.plcc_cubic, found.srcc, found.krcc)]
        [-0.9851, 0.9969, -1.0, -1.0]
    """
    x, y = _check_vectors(scores, mos)
    fitted: dict[str, float | None] = {}
    notes = []
    for name, fit in (("cubic", fit_cubic), ("logistic", fit_logistic4)):
        try:
            fitted[name] = _measure_plcc(fit(x, y), y)
        except CorrelationError as error:
            fitted[name] = None
            notes.append(f"no PLCC {name}: {error}")
    ranks = float(spearmanr(x, y).statistic), float(kendalltau(x, y).statistic)
    return Correlations(len(x), _measure_plcc(x, y), fitted["cubic"], fitted["logistic"], *ranks, tuple(notes))


def _measure_plcc(scores: Vector, mos: Vector) -> float:
    return float(pearsonr(*_check_vectors(scores, mos)).statistic)


def _check_vectors(scores: ArrayLike, mos: ArrayLike) -> tuple[Vector, Vector]:
    x, y = np.asarray(scores, np.float64), np.asarray(mos, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise CorrelationError(f"scores and MOS must be two vectors of one length; got {x.shape} and {y.shape}")
    if len(x) < 2:
        raise CorrelationError(f"a correlation needs at least 2 images; got {len(x)}")
    for name, values in (("scores", x), ("MOS", y)):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            where = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
            raise CorrelationError(f"{len(bad)} of the {name} are NaN or infinite, at position {where} (from 0)")
        if np.ptp(values) <= 1e-12 * np.abs(values).max():
            raise CorrelationError(f"all {len(values)} {name} are equal ({values[0]:g}): no correlation is defined")
    return x, y


def _require_enough(x: Vector, name: str) -> None:
    different = len(np.unique(x))
    if len(x) <= PARAMETERS or different < PARAMETERS:
        raise CorrelationError(
            f"the {name} has {PARAMETERS} parameters and needs more than {PARAMETERS} images with at least "
            f"{PARAMETERS} different scores; got {len(x)} images with {different}"
        )


def _standardise(values: Vector) -> Vector:
    return (values - values.mean()) / values.std()
