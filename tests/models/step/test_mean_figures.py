"""Means of figures over steps: which steps count, when they begin anew, and that a resumed run reads the same."""

import math
import random

from prismsr.models.step.mean_figures import MeanFigures

import pytest
import torch


def _steps(number=7):
    draw = random.Random(0)
    steps = [{"l_d_real": draw.random(), "l_d_fake": draw.random()} for _ in range(number)]
    for step in steps[1::2]:  # the generator's update has its turn every second step
        step["l_g_pix"] = draw.random()
    steps[2]["l_d_fake"] = math.nan  # a refused one
    return steps


def _expect(steps, name):
    values = [step[name] for step in steps if math.isfinite(step.get(name, math.nan))]
    return sum(values) / len(values)


def _add(figures, steps):
    for step in steps:
        figures.add({name: torch.tensor(value, dtype=torch.float64) for name, value in step.items()})


def test_means_of_the_steps_in_which_a_figure_occurs_and_is_finite():
    figures, steps = MeanFigures(), _steps()
    _add(figures, steps)
    means = figures.read()
    assert list(means) == ["l_d_real", "l_d_fake", "l_g_pix"]
    for name, mean in means.items():
        assert mean.item() == pytest.approx(_expect(steps, name), rel=1e-14)
    assert figures.read() == means  # reading twice takes nothing away
    _add(figures, steps[:1])
    assert {name: mean.item() for name, mean in figures.read().items()} == steps[0]


def test_without_a_finite_value_nan():
    figures = MeanFigures()
    figures.add({"l_pix": torch.tensor(math.inf)})
    assert math.isnan(figures.read()["l_pix"].item())


@pytest.mark.parametrize("cut", [0, 3, 5])
def test_goes_on_to_the_same_bits(tmp_path, cut):
    whole, first, second = MeanFigures(), MeanFigures(), MeanFigures()
    steps = _steps()
    _add(whole, steps)
    _add(first, steps[:cut])
    torch.save(first.state(), tmp_path / "state")
    second.load_state(torch.load(tmp_path / "state", weights_only=True), torch.device("cpu"))
    _add(second, steps[cut:])
    assert second.read() == whole.read()


def test_a_checkpoint_after_a_reading_holds_nothing():
    figures = MeanFigures()
    _add(figures, _steps())
    figures.read()
    assert figures.state() == {}
