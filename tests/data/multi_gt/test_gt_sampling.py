import math

from prismsr.data.multi_gt.sampling_rules import RULES, draw, weigh_choices

import numpy as np
import pytest
from scipy.stats import chisquare


def _naive(quality, candidates, tau):
    total = sum(math.exp(q / tau) for q, allowed in zip(quality, candidates, strict=True) if allowed)
    return [math.exp(q / tau) / total if allowed else 0.0 for q, allowed in zip(quality, candidates, strict=True)]


def test_example_of_the_paper():
    weights = weigh_choices("sma", [60, 65, 70, 68, 62], np.ones(5, bool))
    assert np.allclose(weights, [0.113, 0.187, 0.308, 0.253, 0.139], atol=5e-4)
    assert weigh_choices("sma", [60, 65, 70, 68, 62], np.ones(5, bool), tau=1)[2] == pytest.approx(0.875, abs=5e-4)


@pytest.mark.parametrize("tau", [0.5, 10.0])
def test_softmax_over_the_candidates_of_each_row(tau):
    rng = np.random.default_rng(0)
    quality, candidates = rng.uniform(0, 20, (30, 5)), rng.random((30, 5)) < 0.6
    candidates[:, 0] |= ~candidates.any(1)
    for rule in ("sma", "smp"):
        weights = weigh_choices(rule, np.where(candidates, quality, np.nan), candidates, tau)
        expected = [_naive(*row, tau) for row in zip(quality, candidates, strict=True)]
        assert np.allclose(weights, expected, rtol=1e-12)
        assert weights.dtype == np.float64 and not weights[~candidates].any()


def test_uniform_rules_and_the_best():
    candidates = np.array([[True, False, True, True], [False, True, False, False]])
    for rule in ("origins_only", "upos"):
        assert np.allclose(weigh_choices(rule, None, candidates), [[1 / 3, 0, 1 / 3, 1 / 3], [0, 1, 0, 0]])
    quality = [[1.0, 9.0, 3.0, 3.0], [0.0, -2.0, 5.0, 5.0]]
    assert weigh_choices("amo", quality, candidates).tolist() == [[0, 0, 1, 0], [0, 1, 0, 0]]  # the first of equals


@pytest.mark.parametrize("rule", ["sma", "smp"])
def test_large_scores_do_not_overflow(rule):
    weights = weigh_choices(rule, [1e6, 1e6 - 10, -1e6], [True, True, True])
    assert np.allclose(weights, [1 / (1 + math.exp(-1)), 1 / (1 + math.e), 0])
    assert np.allclose(weigh_choices(rule, [1e-9, 0, 0], [True] * 3), 1 / 3)


def test_what_cannot_be_drawn_is_told():
    for rule in RULES:
        with pytest.raises(ValueError, match="candidate"):
            weigh_choices(rule, [1.0, 2.0], [False, False])
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="quality"):
            weigh_choices("amo", [1.0, value], [True, True])


def test_draws_follow_the_weights():
    weights = np.array([0.0, 0.113, 0.187, 0.0, 0.308, 0.253, 0.139, 0.0])
    rng = np.random.default_rng(5)
    counts = np.bincount([draw(weights, value) for value in rng.random(20000)], minlength=8)
    drawn = weights > 0
    assert not counts[~drawn].any()
    assert chisquare(counts[drawn], weights[drawn] / weights.sum() * 20000).pvalue > 0.01


def test_the_ends_of_the_unit_interval():
    weights = [0.0, 0.1, 0.2, 0.7, 0.0]
    assert draw(weights, 0.0) == 1
    assert draw(weights, np.nextafter(1, 0)) == 3
    assert draw([0.0, 0.0, 1e-300], np.nextafter(1, 0)) == 2
    assert [draw([1, 1], value) for value in (0.49, 0.5)] == [0, 1]
