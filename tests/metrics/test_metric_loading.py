"""Validation metrics load their networks before a training starts."""

from prismsr.metrics.preloading import load_metrics
from prismsr.utils.options.named import declares
from prismsr.utils.weights.files import WeightsError

import pytest
import torch
from basicsr.utils.registry import METRIC_REGISTRY


def test_missing_weights_are_told_without_an_image(tmp_path):
    options = {"type": "calculate_nr_iqa", "metric": "musiq", "metric_options": {"weights": str(tmp_path / "no.pth")}}
    with pytest.raises(WeightsError, match=r"no\.pth"):
        load_metrics({"musiq": {**options, "better": "higher"}})
    options = {"type": "calculate_sfd_iqa", "feat_d": str(tmp_path / "d.pth"), "prompts": str(tmp_path / "p.pth")}
    with pytest.raises(WeightsError, match=r"d\.pth"):
        load_metrics({"sfd_iqa": options})


def test_what_loads_gets_the_options_and_leaves_the_generators(monkeypatch):
    given = []

    def load(**options):
        given.append(options)
        torch.rand(3)

    measure = declares(load=load)(lambda img: 0.0)
    monkeypatch.setitem(METRIC_REGISTRY._obj_map, "calculate_for_this_test", measure)
    state = torch.get_rng_state()
    load_metrics({"a": {"type": "calculate_for_this_test", "crop_border": 4, "better": "lower"}, "b": {"type": "none"}})
    assert given == [{"crop_border": 4}]
    assert torch.equal(torch.get_rng_state(), state)
