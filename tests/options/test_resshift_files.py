"""ResShift's option files: the file with the loss is its base and two terms; each steps at a small size."""

from pathlib import Path

from prismsr.utils.options.files import load_options

import pytest
import resshift_case as case
import torch
from basicsr.utils import set_random_seed
from option_files import find_errors
from trainings import build_resumed, differences

FOLDER = Path(__file__).resolve().parents[2] / "options" / "diffusion"
SSL = {"l_latent", "l_ssl", "l_pix"}


def _load(name):
    return load_options(FOLDER / f"{name}.yml")


def test_the_file_with_the_loss_is_its_base_and_two_terms():
    base, options = _load("resshift_x4"), _load("resshift_ssl_x4")
    added = {name: options["train"]["losses"].pop(name) for name in ("l_ssl", "l_pix")}
    assert [entry["type"] for entry in added.values()] == ["SelfSimilarityLoss", "L1Loss"]
    assert (options.pop("name"), base.pop("name")) == ("resshift_ssl_x4", "resshift_x4")
    assert options == base


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("name", "x", None),
        ("network_g.swin.mask", "none", "network_g.swin.mask"),
        ("network_g.schedule.stepz", 3, "network_g.schedule.stepz"),
        ("model_type", "LGCAAModel", "model_type"),
        ("network_g.type", "LGCAANet", "model_type"),
        ("degradation.gt_size", 128, "degradation.gt_size"),
        ("degradation.enlarge", True, "degradation.enlarge"),
        ("train.losses.l_latent", None, "train.losses"),
        ("train.losses.l_noise", {"type": "NoiseLoss"}, "train.losses.l_noise"),
        ("network_d", {"type": "UNetDiscriminatorSN", "num_in_ch": 3}, "network_d"),
        ("val.sampling.tile", 100, "val.sampling.tile"),
        ("val.sampling.scheduler", "ddim", "val.sampling.scheduler"),
        ("val.sampling.steps", 4, "val.sampling.steps"),
        ("val.sampling.control_scale", 1.0, "val.sampling.control_scale"),
        ("val.sampling.min_side", 512, "val.sampling.min_side"),
        ("network_g.unet.channels", 160, "network_g.unet.channels"),
    ],
)
def test_mistakes_are_told_with_their_keys(path, value, key):
    opt = _load("resshift_x4")
    *sections, last = path.split(".")
    place = opt
    for name in sections:
        place = place[name]
    place[last] = value
    assert key in find_errors(opt) if key else find_errors(opt).keys() == set()


def test_what_a_test_file_samples_is_checked():
    opt = _load("test_realsr_resshift")
    assert find_errors(opt, is_train=False).keys() == set()
    opt["val"]["sampling"]["tile"] = 200
    assert find_errors(opt, is_train=False).keys() == {"val.sampling.tile"}


def _shrink(name, folder):
    """Return options for build_model: a small network, and what the launcher adds."""
    options = _load(name)
    small = case.NETWORK
    for section in ("unet", "swin", "vq"):
        options["network_g"][section] |= small[section]
    options["network_g"]["vq"]["path"] = None
    options["train"] |= {"accum_iter": 1, "amp": None}
    if "l_percep" in options["train"]["losses"]:
        options["train"]["losses"]["l_percep"]["backbone"] = "st_alexnet"
    del options["degradation"]
    return {**case.options(folder), **options, "num_gpu": 0, "path": case.options(folder)["path"]}


@pytest.mark.parametrize(
    ("name", "shown"),
    [("resshift_v3_x4", {"l_latent", "l_percep"}), ("resshift_ssl_x4", SSL)],
)
def test_each_has_finite_losses_and_goes_on_from_its_checkpoint(name, shown, tmp_path, snapshot):
    options = _shrink(name, tmp_path)
    set_random_seed(0)
    model = case.build_model(options)
    model.feed_data(case.batch(side=64))
    model.optimize_parameters(1)
    logged = model.get_current_log()
    assert set(logged) == shown
    assert all(torch.isfinite(torch.as_tensor(value)) for value in logged.values()), logged
    model.save(0, 1)
    resumed = build_resumed(options, tmp_path)
    for one in (model, resumed):
        torch.manual_seed(2)
        one.feed_data(case.batch(side=64, seed=2))
        one.optimize_parameters(2)
    assert differences(snapshot(model), snapshot(resumed)) == []
