"""A part of the generator is trained first."""

from types import SimpleNamespace

from prismsr.models.step.partial_training import PartialTraining, build_partial_training
from prismsr.utils.errors import OptionError
from prismsr.utils.options.check import check_options
from prismsr.utils.options.files import load_options

import pytest
import torch
from torch import nn

ONLY = {"parameters": ["f_"], "until": 2}


def _changed(model, before):
    return {name for name, value in model.net_g.named_parameters() if not torch.equal(value, before[name])}


def test_only_the_named_parameters_learn_and_then_all_do(make_model, make_batch, spsr):
    model = make_model(only=ONLY, optimizer={"type": "AdamW", "lr": 1e-3, "weight_decay": 0.1}, **spsr)
    every = {name for name, _ in model.net_g.named_parameters()}
    for iteration in (1, 2, 3):
        before = {name: value.clone() for name, value in model.net_g.named_parameters()}
        model.feed_data(make_batch(iteration))
        model.optimize_parameters(iteration)
        assert _changed(model, before) == ({"f_last.weight", "f_last.bias"} if iteration <= 2 else every)


def test_a_run_that_goes_on_in_either_part_ends_the_same(make_model, make_batch, spsr, snapshot):
    def train(model, iterations):
        for iteration in iterations:
            model.feed_data(make_batch(iteration))
            model.optimize_parameters(iteration)
        return snapshot(model)

    whole = train(make_model(only=ONLY, **spsr), (1, 2, 3, 4))
    for cut in (1, 2, 3):
        first, second = (make_model(only=ONLY, **spsr) for _ in range(2))
        train(first, range(1, cut + 1))
        for one, other in zip((first.net_g, *first.optimizers), (second.net_g, *second.optimizers), strict=True):
            other.load_state_dict(one.state_dict())
        second.net_g_ema.load_state_dict(first.net_g_ema.state_dict())
        for name, net in second.discriminators.items():
            net.load_state_dict(first.discriminators[name].state_dict())
        resumed = train(second, range(cut + 1, 5))
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_what_never_learns_stays_as_it_is():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].bias.requires_grad_(False)
    part = PartialTraining(net, ["0."], 1)
    found = []
    for iteration in (1, 2):
        part.begin(iteration)
        found.append({name for name, parameter in net.named_parameters() if parameter.requires_grad})
    assert found == [{"0.weight", "0.bias"}, {"0.weight", "0.bias", "1.weight"}]


def test_names_that_do_not_occur_are_told(make_model, spsr):
    with pytest.raises(OptionError, match=r"train\.only\.parameters.*fusion_.*b_last, f_last, first"):
        make_model(only={"parameters": ["f_", "fusion_"], "until": 2}, **spsr)


def test_several_processes_are_refused():
    with pytest.raises(OptionError, match=r"train\.only"):
        build_partial_training(SimpleNamespace(opt={"dist": True, "train": {"only": ONLY}}))


def test_the_option_is_checked(repository):
    opt = load_options(repository / "options" / "ssl" / "esrgan_x4.yml")
    for only, expected in ((ONLY, []), ({"parameters": [], "until": 0}, ["parameters", "until"])):
        opt["train"]["only"] = only
        problems = check_options(opt, "x.yml", missing_paths="note", is_train=True)
        errors = [problem.key for problem in problems if problem.severity == "error"]
        assert errors == [f"train.only.{key}" for key in expected]
