"""Agreement with people's choices and misalignment with labels, against plain loops and figures by hand."""

import math

from prismsr.metrics.preference import (
    LEFT,
    NEGATIVE,
    ORIGINAL,
    POSITIVE,
    RIGHT,
    SIMILAR,
    TIE,
    UNKNOWN,
    compute_complementarity,
    count_agreement,
    judge_pairs,
    measure_misalignment,
)

import numpy as np
import pytest

NAN = math.nan


def test_outcomes_by_hand():
    left = [3, 3, 2, 2, NAN, 5, 1]
    right = [1, 1, 2, 4, 1, NAN, 1]
    choices = [LEFT, RIGHT, LEFT, RIGHT, LEFT, TIE, TIE]
    outcomes = judge_pairs(left, right, choices)
    np.testing.assert_array_equal(outcomes, [1, 0, 0.5, 1, NAN, NAN, NAN])
    found = count_agreement(outcomes, choices)
    assert (found.pairs, found.ties, found.missing, found.compared, found.equal) == (7, 2, 1, 4, 1)
    assert found.right == 2.5 and found.accuracy == 0.625


def test_nothing_to_compare():
    found = count_agreement(judge_pairs([1], [2], [TIE]), [TIE])
    assert found.compared == 0 and math.isnan(found.accuracy)


def test_accuracy_against_a_loop():
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 5, (2, 300)).astype(float)
    left[rng.random(300) < 0.1] = NAN
    choices = rng.choice([LEFT, TIE, RIGHT], 300)
    right_count, count = 0.0, 0
    for one, other, choice in zip(left, right, choices, strict=True):
        if choice == TIE or math.isnan(one):
            continue
        count += 1
        better = LEFT if one > other else RIGHT
        right_count += 0.5 if one == other else float(better == choice)
    found = count_agreement(judge_pairs(left, right, choices), choices)
    assert (found.compared, found.right) == (count, right_count)
    # turned around, a metric is as wrong as it was right
    turned = count_agreement(judge_pairs(-left, -right, choices), choices)
    assert turned.accuracy == pytest.approx(1 - found.accuracy)


def test_complementarity_by_hand():
    outcomes = [
        [0, 0, 0, 1, 1, 0.5],
        [1, 0, 0.5, 0, 1, 0],
        [1, NAN, 0, 1, 1, 1],
    ]
    shares, counts = compute_complementarity(outcomes)
    np.testing.assert_array_equal(counts, [[3, 3, 2], [3, 3, 2], [1, 1, 1]])
    np.testing.assert_allclose(shares, [[0, 0.5, 0.5], [0.5, 0, 1], [0, 0.5, 0]])


def test_complementarity_against_a_loop_and_of_a_faultless_metric():
    rng = np.random.default_rng(1)
    outcomes = rng.choice([0, 0.5, 1, NAN], (4, 60))
    outcomes[3] = 1
    shares, counts = compute_complementarity(outcomes)
    for a in range(4):
        for b in range(4):
            wrong = [outcomes[b, n] for n in range(60) if outcomes[a, n] == 0 and not math.isnan(outcomes[b, n])]
            assert counts[a, b] == len(wrong)
            np.testing.assert_allclose(shares[a, b], np.mean(wrong) if wrong else NAN)


def test_misalignment_by_hand():
    labels = [
        [ORIGINAL, POSITIVE, POSITIVE, SIMILAR, NEGATIVE],
        [ORIGINAL, POSITIVE, SIMILAR, SIMILAR, UNKNOWN],
        [ORIGINAL, NEGATIVE, NEGATIVE, SIMILAR, POSITIVE],
    ]
    quality = [
        [50, 40, 60, 55, 70],  # one positive below the original; the negative above all others
        [50, 50, 60, 10, 99],  # equal is no mistake; the best has no label
        [50, 49, 51, 50, 80],
    ]
    found = measure_misalignment(quality, labels)
    assert (found.positive.count, found.positive.total) == (1, 4)
    assert (found.negative.count, found.negative.total) == (2, 3)
    # lower classes: first group 3 each (40: below all three; 60: below 70), second 3 (50 < 60), third 4
    assert (found.positive_all.count, found.positive_all.total) == (3 + 1 + 1 + 0, 6 + 3 + 4)
    # higher classes: first group 4 (above all), third 3 each (49: none; 51: above original and similar)
    assert (found.negative_all.count, found.negative_all.total) == (4 + 0 + 2, 4 + 6)
    assert {code: share.count for code, share in found.top.items()} == {
        ORIGINAL: 0, POSITIVE: 1, SIMILAR: 1, NEGATIVE: 1,
    }  # fmt: skip
    assert (found.holding.count, found.holding.total) == (2, 3)
    assert (found.negative_on_top.count, found.negative_on_top.total) == (1, 2)
    assert found.negative_on_top.value == 0.5


def test_the_first_of_equal_scores_is_on_top():
    found = measure_misalignment([[1, 1], [1, 2]], [[ORIGINAL, POSITIVE], [ORIGINAL, POSITIVE]])
    assert (found.top[ORIGINAL].count, found.top[POSITIVE].count) == (1, 1)
    assert found.positive.value == 0 and math.isnan(found.negative.value)


def test_misalignment_against_loops():
    rng = np.random.default_rng(2)
    quality = rng.integers(0, 6, (80, 5)).astype(float)
    quality[rng.random((80, 5)) < 0.05] = NAN
    labels = rng.choice([POSITIVE, SIMILAR, NEGATIVE, UNKNOWN], (80, 5))
    labels[:, 0] = ORIGINAL
    rank = {POSITIVE: 2, ORIGINAL: 1, SIMILAR: 1, NEGATIVE: 0}
    counts = dict.fromkeys(("pos", "pos_total", "neg", "neg_total", "hold", "hold_total", "on_top"), 0)
    for scores, codes in zip(quality, labels, strict=True):
        for one, code in zip(scores, codes, strict=True):
            for other, other_code in zip(scores, codes, strict=True):
                if UNKNOWN in (code, other_code) or math.isnan(one) or math.isnan(other):
                    continue
                if code == POSITIVE and rank[other_code] < 2:
                    counts["pos_total"] += 1
                    counts["pos"] += one < other
                if code == NEGATIVE and rank[other_code] > 0:
                    counts["neg_total"] += 1
                    counts["neg"] += one > other
        labelled = [(score, code) for score, code in zip(scores, codes, strict=True) if code != UNKNOWN]
        if any(math.isnan(score) for score, _ in labelled):
            continue
        counts["hold_total"] += 1
        if any(code == NEGATIVE for _, code in labelled):
            counts["hold"] += 1
            counts["on_top"] += max(labelled, key=lambda pair: pair[0])[1] == NEGATIVE
    found = measure_misalignment(quality, labels)
    assert (found.positive_all.count, found.positive_all.total) == (counts["pos"], counts["pos_total"])
    assert (found.negative_all.count, found.negative_all.total) == (counts["neg"], counts["neg_total"])
    assert (found.holding.count, found.holding.total) == (counts["hold"], counts["hold_total"])
    assert (found.negative_on_top.count, found.negative_on_top.total) == (counts["on_top"], counts["hold"])
    assert sum(share.count for share in found.top.values()) == counts["hold_total"]
