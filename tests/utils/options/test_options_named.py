"""What an option file names, and the hooks of these classes and functions."""

from typing import Any, ClassVar

from prismsr.models.options import PrismTop, PrismTrainOptions
from prismsr.utils.options.check import check_options
from prismsr.utils.options.named import complete_arguments, dataset_schema, declares, model_schema, named_parts
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.schema import DatasetOptions
from prismsr.utils.weights.needs import Need, needs_of

import pytest
from basicsr.utils.registry import (
    ARCH_REGISTRY,
    DATASET_REGISTRY,
    LOSS_REGISTRY,
    METRIC_REGISTRY,
    MODEL_REGISTRY,
)
from torch import nn


def _weights(arguments, key):
    yield Need(f"file:{arguments['weights']}", join(key, "weights"))


class Judge:
    """Says of each entry that it is wrong, and that its weights are needed."""

    @classmethod
    def check_options(cls, entry, key, opt, is_train):
        yield Problem(key, f"{cls.__name__} of {opt['name']} in {'training' if is_train else 'test'}")

    weights_needed = staticmethod(_weights)


class NewDataset(Judge):
    OPTIONS: ClassVar = DatasetOptions


class NewTop(PrismTop):
    SECTIONS: ClassVar = {"clip": Judge}


class NewTrain(PrismTrainOptions):
    TOP: ClassVar = NewTop


class NewModel(Judge):
    OPTIONS: ClassVar = NewTrain


class NewLoss(Judge, nn.Module):
    def __init__(self, weights: str = "loss.pth") -> None: ...

    def forward(self, sr, gt): ...


class NewArch(Judge, nn.Module):
    def __init__(self, upscale: int, weights: str = "arch.pth") -> None: ...


@declares(check_options=Judge.check_options, weights_needed=_weights)
def calculate_new(img: Any, weights: str = "metric.pth", **kwargs: Any) -> float:
    return 0.0


@pytest.fixture
def opt(experiment, monkeypatch):
    """An option file each of whose parts has hooks."""
    parts = {
        ARCH_REGISTRY: NewArch,
        DATASET_REGISTRY: NewDataset,
        LOSS_REGISTRY: NewLoss,
        METRIC_REGISTRY: calculate_new,
        MODEL_REGISTRY: NewModel,
    }
    for registry, part in parts.items():
        monkeypatch.setitem(registry._obj_map, part.__name__, part)
    loading = {"name": "x", "batch_size_per_gpu": 1, "num_worker_per_gpu": 0}
    experiment["datasets"] = {"train": {**loading, "type": "NewDataset"}, "val": {"name": "x", "type": "NewDataset"}}
    experiment["network_g"] = {"type": "NewArch", "upscale": 4}
    experiment["train"]["losses"] = {"l_new": {"type": "NewLoss"}, "l_gone": None}
    experiment["val"]["metrics"] = {"new": {"type": "calculate_new", "weights": "given.pth"}}
    return {**experiment, "model_type": "NewModel", "clip": {}}


@pytest.mark.parametrize(
    ("is_train", "keys"),
    [
        (True, ["", "network_g", "clip", "datasets.train", "datasets.val", "train.losses.l_new", "val.metrics.new"]),
        (False, ["", "network_g", "datasets.val", "val.metrics.new"]),
    ],
)
def test_the_hooks_of_all_parts_are_called(opt, is_train, keys):
    assert [part.key for part in named_parts(opt, is_train)] == keys
    problems = check_options(opt, "x.yml", missing_paths="note", is_train=is_train)
    said = [problem for problem in problems if " of small in " in problem.message]
    assert [problem.key for problem in said] == keys
    assert {problem.message.split()[-1] for problem in said} == {"training" if is_train else "test"}


def test_needs_are_of_arguments_with_the_signatures_defaults(opt):
    for key in ("train", "val"):
        opt["datasets"][key]["weights"] = f"{key}.pth"
    opt["weights"], opt["clip"] = "model.pth", {"weights": "clip.pth"}
    assert needs_of(opt) == [
        ("file:model.pth", "weights"),
        ("file:arch.pth", "network_g.weights"),
        ("file:clip.pth", "clip.weights"),
        ("file:train.pth", "datasets.train.weights"),
        ("file:val.pth", "datasets.val.weights"),
        ("file:loss.pth", "train.losses.l_new.weights"),
        ("file:given.pth", "val.metrics.new.weights"),
    ]


def test_what_is_not_registered_has_no_hooks(opt):
    opt["network_g"]["type"] = "NewArc"
    opt["train"]["losses"] = {"l_new": "NewLoss"}
    assert [part.key for part in named_parts(opt, is_train=True)] == [
        "", "clip", "datasets.train", "datasets.val", "val.metrics.new",
    ]  # fmt: skip


def test_schemas_are_those_that_are_declared_or_known(opt):
    assert model_schema(opt) is NewTrain and model_schema({"model_type": "NewModl"}) is NewTrain
    assert model_schema({"model_type": "ESRGANModel"}) is not None
    assert dataset_schema(opt["datasets"]["val"]) is DatasetOptions
    assert dataset_schema({"type": "PairedImageDataset"}) is not None and dataset_schema({}) is None


def test_arguments_of_an_entry():
    assert complete_arguments(NewArch, {"type": "NewArch", "upscale": 2}) == {"upscale": 2, "weights": "arch.pth"}
