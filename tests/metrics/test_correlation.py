"""Correlations against scipy.stats and data whose answer is known."""

from prismsr.metrics.correlation import (
    CorrelationError,
    correlate,
    evaluate_logistic4,
    find_logistic4,
    fit_cubic,
    fit_logistic4,
)

import numpy as np
import pytest
from scipy import stats


@pytest.fixture
def ties() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    mos = rng.integers(1, 6, 200).astype(float)
    return np.round(mos + rng.normal(0, 1.5, 200)), mos


def test_equal_scipy_with_ties_and_by_hand(ties: tuple[np.ndarray, np.ndarray]) -> None:
    found = correlate(*ties)
    assert found.plcc == pytest.approx(np.corrcoef(*ties)[0, 1], abs=1e-12)
    ranks = [stats.rankdata(values) for values in ties]
    assert found.srcc == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-12)
    signs = [np.sign(values[:, None] - values) for values in ties]
    tau_b = (signs[0] * signs[1]).sum() / np.sqrt((signs[0] ** 2).sum() * (signs[1] ** 2).sum())
    assert found.krcc == pytest.approx(tau_b, abs=1e-12)


def test_cubic_is_numpys_polyfit_and_exact_on_a_cubic() -> None:
    x = np.linspace(900, 1700, 60)  # the range of PIPAL's scores
    mos = 2 + 3e-3 * (x - 1300) - 2e-8 * (x - 1300) ** 3
    assert fit_cubic(x, mos) == pytest.approx(mos, abs=1e-9)
    small = np.random.default_rng(0).normal(size=80)
    noisy = small + np.random.default_rng(2).normal(size=80)
    assert fit_cubic(small, noisy) == pytest.approx(np.polyval(np.polyfit(small, noisy, 3), small), abs=1e-10)


@pytest.mark.parametrize("true", [(80.0, 10.0, 5.0, 0.7), (10.0, 80.0, 5.0, 0.7), (4.5, 1.2, -300.0, 20.0)])
def test_logistic_recovers_its_parameters(true: tuple[float, ...]) -> None:
    x = np.linspace(true[2] - 6 * true[3], true[2] + 5 * true[3], 120)
    found = find_logistic4(x, evaluate_logistic4(x, *true))
    assert found == pytest.approx(true, rel=1e-5)
    noise = np.random.default_rng(3).normal(0, abs(true[0] - true[1]) / 50, 120)
    assert find_logistic4(x, evaluate_logistic4(x, *true) + noise) == pytest.approx(true, rel=0.1)


def test_logistic_is_monotone_and_independent_of_units() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(6, 2, 300)
    mos = 50 - 8 * x + rng.normal(0, 10, 300)
    fitted = fit_logistic4(x, mos)
    assert (np.diff(fitted[np.argsort(x)]) <= 1e-9).all()
    assert fit_logistic4(1000 * x - 7, mos / 20) == pytest.approx(fitted / 20, abs=1e-4)


def test_protocols_differ_on_a_curve_and_ranks_do_not() -> None:
    x = np.linspace(0, 10, 100)
    found = correlate(x, evaluate_logistic4(x, 100, 0, 5, 0.4))
    assert found.count == 100
    assert found.srcc == pytest.approx(1)
    assert found.krcc == pytest.approx(1)
    assert found.plcc_logistic == pytest.approx(1)
    assert found.plcc_cubic is not None
    assert found.plcc < found.plcc_cubic < 0.99
    assert found.notes == ()


def test_lower_is_better_keeps_its_sign_where_there_is_one() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=150)
    mos = x + rng.normal(size=150)
    up, down = correlate(x, mos), correlate(-x, mos)
    assert (down.plcc, down.srcc, down.krcc) == pytest.approx((-up.plcc, -up.srcc, -up.krcc))
    assert (down.plcc_cubic, down.plcc_logistic) == pytest.approx((up.plcc_cubic, up.plcc_logistic), abs=1e-6)


@pytest.mark.parametrize(
    ("scores", "mos", "message"),
    [
        ([3.0] * 6, range(6), r"all 6 scores are equal \(3\)"),
        (range(6), [0.1 + 0.2] * 6, "all 6 MOS are equal"),
        ([1, np.nan, 3, np.inf], range(4), r"2 of the scores are NaN or infinite, at position 1, 3 \(from 0\)"),
        (range(3), [1, 2, np.nan], "1 of the MOS are NaN"),
        (range(3), range(4), r"got \(3,\) and \(4,\)"),
        ([1], [2], "at least 2 images; got 1"),
    ],
)
def test_what_has_no_correlation_says_why(scores: list[float], mos: list[float], message: str) -> None:
    for function in (correlate, fit_cubic, fit_logistic4):
        with pytest.raises(CorrelationError, match=message):
            function(list(scores), list(mos))


def test_too_few_points_for_a_fit_leave_the_rest() -> None:
    found = correlate([1, 2, 4, 3], [1, 2, 3, 4])
    assert found.srcc == pytest.approx(0.8)
    assert found.plcc_cubic is found.plcc_logistic is None
    assert "got 4 images with 4" in found.notes[0]
    with pytest.raises(CorrelationError, match="6 images with 2"):
        fit_logistic4([1, 1, 1, 2, 2, 2], range(6))
