from copy import deepcopy

from prismsr.utils.options.files import load_options

import pytest
from option_files import find_errors


@pytest.fixture(scope="module")
def main_file(repository):
    return load_options(repository / "options" / "lgcaa" / "lgcaa_x4.yml")


def test_the_main_file_has_nofind_errors(main_file):
    assert find_errors(main_file) == {}


@pytest.mark.parametrize(
    ("path", "value", "key", "text"),
    [
        ("network_g.lgcaa.mode", "locl", "network_g.lgcaa.mode", "none"),
        ("network_g.rgb", None, "train.losses.l_percep", "rgb is null"),
        ("train.losses", {"l_noise": {"type": "NoiseLoss"}}, "network_g.rgb", "must be null"),
        ("train.losses.l_noise", None, "train.losses", "NoiseLoss"),
        ("network_g.base.frozen_dtype", "bfloat16", "train.amp", "is required"),
        ("model_type", "PrismSRModel", "model_type", "go together"),
        ("val.sampling.tile_overlap", 40, "val.sampling", "at most half"),
        ("val.sampling.schedular", "ddim", "val.sampling.schedular", "scheduler"),
        ("train.decoded", {"t_max": 1000}, "train.decoded.t_max", "999"),
        ("degradation", None, "degradation", "is required"),
        ("train.accum_iter", 7, "train.accum_iter", "divide"),
        ("network_d", {"type": "UNetDiscriminatorSN", "num_in_ch": 3}, "network_d", "without a discriminator"),
        ("train.losses.l_neg", {"type": "NegativeLoss"}, "train.losses.l_neg", "asks for gt_negative"),
        ("train.optim_g.type", "Adam9bit", "train.optim_g.type", "Adam8bit"),
        (
            "datasets.train.crop_pad_size",
            128,
            "degradation.gt_size",
            "at most datasets.train.crop_pad_size, 128; got 256",
        ),
        ("datasets.train.crop_pad_size", None, "datasets.train.crop_pad_size", "is required with crop: ldm"),
        ("datasets.train.dataroot_gt_mask", "x", "datasets.train.dataroot_gt_mask", "does not go with crop: ldm"),
    ],
)
def test_mistakes_are_told_with_their_keys(main_file, path, value, key, text):
    opt = deepcopy(main_file)
    *sections, last = path.split(".")
    section = opt
    for name in sections:
        section = section.setdefault(name, {})
    section[last] = value
    if path.endswith("frozen_dtype"):
        opt["train"]["amp"] = None
    errors = find_errors(opt)
    assert key in errors and text in errors[key]


LPIPS, DISTRIBUTION = {"type": "LPIPSLoss", "backbone": "st_alexnet"}, {"type": "PixelDistributionLoss"}
EQ_2 = {"type": "AlexNetFeatureLoss"}


@pytest.mark.parametrize(
    ("head", "size", "loss", "base", "least"),
    [
        ("down", 256, LPIPS, {}, None),
        ("multiscale", 256, EQ_2, {}, None),
        ("down", 248, LPIPS, {}, 256),
        ("multiscale", 128, EQ_2, {}, 256),
        ("multiscale", 128, DISTRIBUTION, {}, None),
        ("pixelshuffle", 32, EQ_2, {}, None),
        ("pixelshuffle", 24, EQ_2, {}, 32),
        ("up", 24, LPIPS, {}, 32),
        ("down", 64, LPIPS, {"vae_path": "x", "condition_channels": [16, 32]}, None),
        ("down", 56, LPIPS, {"vae_path": "x", "condition_channels": [16, 32]}, 64),
        ("down", 64, LPIPS, {"controlnet_path": "x"}, None),  # its files say by how much it reduces
    ],
)
def test_crops_are_large_enough_for_alexnet(main_file, head, size, loss, base, least):
    opt = deepcopy(main_file)
    opt["network_g"] = {**opt["network_g"], "rgb": head, "base": {**opt["network_g"]["base"], **base}}
    opt["train"]["losses"] = {"l_noise": {"type": "NoiseLoss"}, "l_percep": loss}
    opt["degradation"]["gt_size"] = size
    errors = find_errors(opt)
    assert list(errors) == ([] if least is None else ["degradation.gt_size"])
    if least is not None:
        assert f"must be at least {least}: train.losses.l_percep" in errors["degradation.gt_size"]
        assert f"got {size}" in errors["degradation.gt_size"]


def test_crops_are_multiples_of_the_vaes_factor(main_file):
    half = {"vae_path": "x", "condition_channels": [16, 32]}
    for size, base, told in ((250, {}, True), (252, {}, True), (250, half, False)):
        opt = deepcopy(main_file)
        opt["network_g"] = {**opt["network_g"], "base": {**opt["network_g"]["base"], **base}}
        opt["degradation"]["gt_size"], opt["scale"] = size, 2
        message = f"must be a multiple of 8, by which the VAE reduces; got {size}"
        assert (message in find_errors(opt).get("degradation.gt_size", "")) == told


def test_crops_of_pairs_are_named_by_their_dataset(repository):
    opt = load_options(repository / "options" / "demo" / "lgcaa_tiny.yml")
    assert find_errors(opt) == {}
    opt["network_g"]["rgb"] = "down"  # 1/2 of the crops
    opt["datasets"]["train"]["gt_size"] = 64
    assert find_errors(opt) == {}
    opt["datasets"]["train"]["gt_size"] = 60
    assert list(find_errors(opt)) == ["datasets.train.gt_size"]
