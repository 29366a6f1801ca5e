"""What losses ask for is given by the model or by the training dataset: one rule for all of them."""

from copy import deepcopy

from prismsr.data.paired_image_mask_dataset import PairedImageMaskDataset
from prismsr.models.lgcaa_model import LGCAAModel
from prismsr.models.prism_sr_model import PrismSRModel
from prismsr.utils.options.check import check_options
from prismsr.utils.options.problems import errors_among
from prismsr.utils.options.schema import DatasetOptions
from prismsr.utils.options.sections import count, number, section

import pytest
from basicsr.utils.registry import DATASET_REGISTRY, LOSS_REGISTRY, MODEL_REGISTRY
from torch import nn


class DepthOptions(DatasetOptions):
    dataroot_gt: str
    with_depth: bool = True


class DepthLoss(nn.Module):
    inputs = ("sr", "gt", "depth")

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()

    def forward(self, sr, gt, depth): ...


class PerhapsDepthLoss(DepthLoss):
    def forward(self, sr, gt, depth=None): ...


@pytest.fixture
def registered(monkeypatch):
    """A loss that asks for `depth`, and datasets that give it, give it by an option, and say nothing of it."""
    declared = {"DepthDataset": ("lq", "depth"), "PerhapsDataset": {"depth": "with_depth"}, "SilentDataset": None}
    for name, gives in declared.items():
        attributes = {"OPTIONS": DepthOptions} | ({} if gives is None else {"GIVES": gives})
        monkeypatch.setitem(DATASET_REGISTRY._obj_map, name, type(name, (), attributes))
    for loss in (DepthLoss, PerhapsDepthLoss):
        monkeypatch.setitem(LOSS_REGISTRY._obj_map, loss.__name__, loss)


def _errors(experiment, loss, dataset=None, **changes):
    opt = deepcopy(experiment)
    opt.update(changes)
    opt["train"]["losses"]["l_new"] = loss
    if dataset is not None:
        loading = {"name": "x", "batch_size_per_gpu": 2, "num_worker_per_gpu": 0, "dataroot_gt": "data/gt"}
        opt["datasets"]["train"] = {**loading, **dataset}
    problems = errors_among(check_options(opt, "x.yml", missing_paths="note", is_train=True))
    return {problem.key: problem.message for problem in problems}


@pytest.mark.usefixtures("registered")
def test_a_tensor_of_the_dataset(experiment):
    loss = {"type": "DepthLoss"}
    assert _errors(experiment, loss, {"type": "DepthDataset"}) == {}
    for dataset in (None, {"type": "SilentDataset"}):
        errors = _errors(experiment, loss, dataset)
        assert list(errors) == ["train.losses.l_new"]
        assert "asks for depth" in errors["train.losses.l_new"]
        assert "DepthDataset or PerhapsDataset with with_depth would give that" in errors["train.losses.l_new"]
    assert _errors(experiment, {"type": "PerhapsDepthLoss"}) == {}
    errors = _errors(experiment, loss, {"type": "Silentdataset"})  # who knows what it gives
    assert list(errors) == ["datasets.train.type"]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(("value", "given"), [(True, True), (False, False), (None, False)])
def test_a_tensor_that_takes_an_option_of_the_dataset(experiment, value, given):
    errors = _errors(experiment, {"type": "DepthLoss"}, {"type": "PerhapsDataset", "with_depth": value})
    assert ("train.losses.l_new" not in errors) == given
    assert given or "datasets.train.with_depth" in errors["train.losses.l_new"]


def test_a_tensor_of_the_network(experiment):
    loss = {"type": "BranchLoss"}
    errors = _errors(experiment, loss)
    assert list(errors) == ["train.losses.l_new"]
    assert "asks for sr_branch" in errors["train.losses.l_new"]
    assert "SPSRNet would give that" in errors["train.losses.l_new"]
    assert _errors(experiment, loss, network_g={"type": "SPSRNet"}) == {}


def test_where_nobody_gives_it_the_declaration_is_named(experiment, registered, monkeypatch):
    monkeypatch.setattr(DepthLoss, "inputs", ("sr", "normals"))
    assert "GIVES" in _errors(experiment, {"type": "DepthLoss"})["train.losses.l_new"]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("tensor", "changes"),
    [("sr_ema", {"train": {"ema_decay": 0.9}}), ("sr_clip", {"clip": {}}), ("discriminators", {})],
)
def test_a_tensor_of_the_model(experiment, monkeypatch, tensor, changes):
    monkeypatch.setattr(DepthLoss, "inputs", (tensor,))
    opt = deepcopy(experiment)
    opt["train"]["ema_decay"] = 0
    assert ("train.losses.l_new" in _errors(opt, {"type": "DepthLoss"})) == bool(changes)
    for name, value in changes.items():
        opt[name] = {**opt.get(name, {}), **value}
    assert _errors(opt, {"type": "DepthLoss"}) == {}


@pytest.mark.usefixtures("registered")
def test_losses_that_list_no_inputs_take_sr_and_gt(experiment, monkeypatch):
    monkeypatch.setattr(PrismSRModel, "HANDS", ("sr",))
    monkeypatch.setattr(PairedImageMaskDataset, "GIVES", ())
    assert list(_errors(experiment, None)) == ["train.losses.l_pix"]


@pytest.mark.usefixtures("registered")
def test_models_that_declare_nothing_are_passed_over(experiment, monkeypatch):
    silent = type("SilentModel", (), {"OPTIONS": PrismSRModel.OPTIONS})
    monkeypatch.setitem(MODEL_REGISTRY._obj_map, "SilentModel", silent)
    assert _errors(experiment, {"type": "DepthLoss"}, model_type="SilentModel") == {}


def test_the_gt_that_an_entry_chooses(experiment):
    assert list(_errors(experiment, {"type": "L1Loss", "gt": "gt_usm"})) == ["train.losses.l_new.gt"]
    errors = _errors(experiment, {"type": "NegativeLoss", "gt": "gt"})  # asks for none
    assert "train.losses.l_new.gt" in errors


def test_models_hand_what_their_documentation_says():
    assert set(LGCAAModel.HANDS) - set(PrismSRModel.HANDS) == {"noise_prediction", "noise", "x_rgb"}
    assert not {"discriminators", "sr_ema"} & set(LGCAAModel.HANDS)


def test_parts_that_are_not_there_are_empty():
    opt = {"a": {"b": {"c": 1}}, "x": 1}
    assert section(opt, "a", "b") == {"c": 1}
    assert section(opt, "a", "c") == section(opt, "x", "y") == section(None) == section([], "a") == {}
    assert (number(2.5), number(True), number("2")) == (2.5, None, None)
    assert (count(2), count(0), count(True), count(2.0)) == (2, None, None, None)
