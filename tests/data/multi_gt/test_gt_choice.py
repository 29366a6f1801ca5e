import re

from prismsr.data.multi_gt import online_choice
from prismsr.data.multi_gt.online_choice import GTChoice, build_gt_choice
from prismsr.data.multi_gt.options import MultiGTOptions
from prismsr.metrics.no_reference import NRMetric
from prismsr.utils.errors import OptionError

import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F


class Mean(nn.Module):
    """100 times the mean of an image; it counts its calls."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def forward(self, images):
        self.shapes.append(tuple(images.shape))
        assert not torch.is_grad_enabled()
        return 100 * images.mean((1, 2, 3))


@pytest.fixture
def metric():
    return NRMetric(Mean(), "mean", "1", False, (0.0, 100.0))


def _versions(qualities):
    """Grey images (B, V, 3, 4, 4) of these qualities."""
    return (torch.tensor(qualities) / 100)[..., None, None, None].expand(-1, -1, 3, 4, 4)


def test_the_best_candidate_by_one_call(metric):
    versions = _versions([[60.0, 65.0, 70.0], [80.0, 20.0, 30.0], [10.0, 10.0, 9.0]])
    candidates = torch.tensor([[True, True, False], [True, True, True], [True, True, True]])
    state = torch.get_rng_state()
    index = GTChoice("amo", 10.0, metric)(versions, candidates)
    assert index.tolist() == [1, 0, 0] and index.dtype == torch.int64
    assert metric.net.shapes == [(9, 3, 4, 4)]
    assert torch.equal(torch.get_rng_state(), state)


def test_lower_is_better():
    metric = NRMetric(Mean(), "mean", "1", True, (0.0, 50.0))
    index = GTChoice("amo", 10.0, metric)(_versions([[60.0, 50.0, 70.0]]), torch.ones(1, 3, dtype=torch.bool))
    assert index.tolist() == [1]


@pytest.mark.parametrize("rule", ["sma", "smp"])
def test_draws_follow_the_softmax(metric, rule):
    qualities = torch.tensor([60.0, 65.0, 70.0, 68.0, 62.0])
    allowed = torch.tensor([rule == "sma", True, True, False, True])
    torch.manual_seed(0)
    batch = 4000
    versions = _versions(qualities.expand(batch, 5).tolist())
    index = GTChoice(rule, 10.0, metric)(versions, allowed.expand(batch, 5))
    counts = index.bincount(minlength=5)
    expected = torch.where(allowed, (qualities / 10).exp(), 0)
    expected = expected / expected.sum() * batch
    assert not counts[~allowed].any()
    assert stats.chisquare(counts[allowed], expected[allowed], sum_check=False).pvalue > 0.01
    assert stats.chisquare(counts[allowed]).pvalue < 1e-6  # not uniform
    assert metric.net.shapes == [(batch * 5, 3, 4, 4)]


def test_draws_come_from_the_global_generator(metric):
    versions, candidates = _versions([[60.0, 65.0, 70.0]] * 50), torch.ones(50, 3, dtype=torch.bool)
    choice = GTChoice("sma", 10.0, metric)
    torch.manual_seed(3)
    first, second = choice(versions, candidates), choice(versions, candidates)
    torch.manual_seed(3)
    assert torch.equal(choice(versions, candidates), first) and not torch.equal(first, second)


def test_natural_scene_prefers_the_sharp_version(photograph_tensor):
    sharp = photograph_tensor[0, :, 60:156, 20:212]
    small = F.avg_pool2d(sharp[None], 4)
    blurred = F.interpolate(small, scale_factor=4, mode="bilinear")[0]
    noisy = (sharp + 0.15 * torch.randn(sharp.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    versions = torch.stack([torch.stack([blurred, sharp, noisy]), torch.stack([noisy, blurred, sharp])])
    opt = {"datasets": {"train": {"sampling": "amo"}}, "scoring": {"metric": "natural_scene"}}
    choice = build_gt_choice(opt, "cpu")
    assert choice(versions, torch.ones(2, 3, dtype=torch.bool)).tolist() == [1, 2]


@pytest.fixture
def told(monkeypatch):
    """The warnings that are logged."""
    warnings = []
    monkeypatch.setattr(online_choice.get_root_logger(), "warning", warnings.append)
    return warnings


@pytest.mark.parametrize("rule", ["amo", "sma"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_versions_without_a_finite_score_are_passed_over_and_told(metric, rule, value, told):
    versions = _versions([[60.0, value, 20.0], [value, value, value], [value, value, 30.0], [1.0, 2.0, 3.0]])
    candidates = torch.tensor([[True, True, False], [False, True, True], [True, True, True], [False, False, True]])
    choice = GTChoice(rule, 10.0, metric)
    for _ in range(online_choice.MOST_TOLD + 2):
        assert choice(versions, candidates, ["a.png", "b.png", "c.png", "d.png"]).tolist() == [0, 0, 2, 2]
    assert len(told) == online_choice.MOST_TOLD
    assert all(f"{name}.png (the score is not finite)" in told[0] for name in "abc") and "d.png" not in told[0]


class Fails(nn.Module):
    """The mean, but no batch with a black image in it has one."""

    error = RuntimeError("SVD did not converge")

    def forward(self, images):
        if not images.flatten(1).any(1).all():
            raise self.error
        return 100 * images.mean((1, 2, 3))


def test_a_metric_that_fails_for_a_sample_is_told_and_the_others_are_scored(told):
    choice = GTChoice("amo", 10.0, NRMetric(Fails(), "fails", "1", False, (0.0, 100.0)))
    versions = _versions([[60.0, 65.0, 70.0], [10.0, 30.0, 0.0], [0.0, 0.0, 0.0]])
    index = choice(versions, torch.ones(3, 3, dtype=torch.bool), ["a.png", "b.png"])
    assert index.tolist() == [2, 1, 0]
    (warning,) = told
    assert "b.png (RuntimeError: SVD did not converge)" in warning and "number 3 of the batch (Runt" in warning
    assert "a.png" not in warning


@pytest.mark.parametrize("error", [OptionError("score_range"), torch.OutOfMemoryError("cuda")])
def test_what_no_sample_is_to_blame_for_is_raised(monkeypatch, error):
    monkeypatch.setattr(Fails, "error", error)
    choice = GTChoice("amo", 10.0, NRMetric(Fails(), "fails", "1", False, (0.0, 100.0)))
    with pytest.raises(type(error)):
        choice(_versions([[0.0, 30.0]]), torch.ones(1, 2, dtype=torch.bool))


@pytest.mark.parametrize(
    "train",
    [{}, {"sampling": "origins_only"}, {"sampling": "upos"}, {"sampling": "sma", "scores": "scores.csv"}],
)
def test_where_the_dataset_chooses(train):
    assert build_gt_choice({"datasets": {"train": train}}, "cpu") is None


def test_options_of_the_choice():
    opt = {"datasets": {"train": {"sampling": "smp", "tau": 5.0, "scores": None}}}
    choice = build_gt_choice({**opt, "scoring": {"metric": "natural_scene", "score_range": [0, 30]}}, "cpu")
    assert (choice.rule, choice.tau, choice.metric.score_range) == ("smp", 5.0, (0.0, 30.0))
    plain = {"datasets": {"train": {"sampling": "sma"}}, "scoring": {"metric": "natural_scene"}}
    assert build_gt_choice(plain, "cpu").tau == MultiGTOptions.model_fields["tau"].default == 10  # the paper's
    with pytest.raises(OptionError, match=re.escape("scoring: no metric named 'natural_scen'")):
        build_gt_choice({**opt, "scoring": {"metric": "natural_scen"}}, "cpu")
