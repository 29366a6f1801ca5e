"""The check of option files whose ground truths have several versions."""

from prismsr.data.multi_gt import sampling_rules as gt_sampling
from prismsr.utils.options.check import check_options
from prismsr.utils.options.files import load_options, merge
from prismsr.utils.options.problems import errors_among

import pytest
from multi_gt_case import KERNELS

LOSSES = {"l_g_pix": {"type": "L1Loss"}}
NEGATIVE = {"l_g_neg": {"type": "NegativeLoss", "loss_weight": 300.0}}


def _problems(opt):
    return check_options(opt, "x.yml", missing_paths="note", is_train=True)


def _errors(opt):
    return {problem.key: problem.message for problem in errors_among(_problems(opt))}


def _notes(opt, key):
    return [problem.message for problem in _problems(opt) if problem.severity == "note" and problem.key == key]


@pytest.fixture(scope="module")
def experiment(repository):
    """RealESRGAN's file with HGGT's one-stage degradation and a data set of several versions."""
    opt = load_options(repository / "options" / "ssl" / "realesrgan_ssl_x4.yml")
    degradation = load_options(repository / "options" / "_base_" / "degradation_hggt_one_order.yml")["degradation"]
    dataset = {
        "name": "HGGT", "type": "MultiGTDataset", "dataroot_gt": "x", "dataroot_labels": "y", "sampling": "upos",
        "use_hflip": True, "use_rot": False, "num_worker_per_gpu": 1, "batch_size_per_gpu": 8, **KERNELS,
    }  # fmt: skip
    opt = merge(opt, {"degradation": {"_replace_": True, **degradation}, "train": {"losses": {"_replace_": True}}})
    opt["train"]["losses"] = {**LOSSES, "l_g_gan": {"type": "AdversarialLoss", "gan_type": "vanilla"}}
    opt["datasets"]["train"] = dataset
    return opt


def _train(**changes):
    return {"datasets": {"train": changes}}


@pytest.mark.parametrize("sampling", gt_sampling.RULES)
def test_each_rule_passes(experiment, sampling):
    opt = merge(experiment, _train(sampling=sampling))
    if sampling in gt_sampling.SCORED:
        assert list(_errors(opt)) == ["scoring"]
        assert f"sampling is {sampling} and there is no score file" in _errors(opt)["scoring"]
        assert _errors(merge(opt, _train(scores="scores.csv"))) == {}
        opt = merge(opt, {"scoring": {"metric": "natural_scene"}})
    assert _errors(opt) == {}
    assert not _notes(opt, "scoring")


def test_scoring_that_scores_nothing_is_noted(experiment):
    scoring = {"scoring": {"metric": "natural_scene"}}
    other = _train(type="RealESRGANMaskDataset", sampling="sma")
    for changes in (_train(), _train(sampling="sma", scores="scores.csv"), other):
        opt = merge(experiment, merge(changes, scoring))
        assert _notes(opt, "scoring") == ["scores no crop: datasets.train chooses its versions without it"]


def test_missing_score_file_is_told(experiment):
    opt = merge(experiment, _train(sampling="sma", scores="none.csv"))
    assert "no such file or folder: none.csv" in _notes(opt, "datasets.train.scores")[0]


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"degradation": None}, "degradation", "is required: datasets.train gives GT images and blur kernels"),
        ({"train": {"losses": NEGATIVE}}, "train.losses.l_g_neg", "datasets.train.negatives"),
        (_train(dataroot_labels=None), "datasets.train.dataroot_labels", "is required with sampling: upos"),
        (_train(scores="x.csv"), "datasets.train.scores", "is not read with sampling: upos"),
    ],
)
def test_what_does_not_agree_is_told(experiment, changes, key, message):
    errors = _errors(merge(experiment, changes))
    assert list(errors) == [key]
    assert message in errors[key]


def test_negatives_and_their_loss(experiment):
    assert _errors(merge(experiment, {**_train(negatives=True), "train": {"losses": NEGATIVE}})) == {}
    assert _notes(merge(experiment, _train(negatives=True)), "datasets.train.negatives") == [
        "no loss uses them (NegativeLoss does)"
    ]


def test_other_models_make_no_lq_images(experiment):
    opt = merge(experiment, {"model_type": "SRModel"})
    assert "must be a model with the section degradation" in _errors(opt)["model_type"]
