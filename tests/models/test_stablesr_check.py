from copy import deepcopy

from prismsr.utils.options.files import load_options

import pytest
from option_files import find_errors


@pytest.fixture(scope="module")
def main_file(repository):
    return load_options(repository / "options" / "diffusion" / "stablesr_ssl_x4.yml")


@pytest.mark.parametrize(
    ("path", "value", "key", "text"),
    [
        ("network_g.struct.mult", [1, 2], None, ""),
        ("network_g.struct.chanels", 3, "network_g.struct.chanels", "channels"),
        ("network_g.init", "zeros", "network_g.init", "zero"),
        ("train.losses.l_noise", None, "train.losses", "NoiseLoss"),
        ("train.amp", None, "train.amp", "frozen_dtype"),
        ("val.sampling.amp", None, "val.sampling.amp", "frozen_dtype"),
        ("model_type", "LGCAAModel", "model_type", "go together"),
        ("val.sampling.cfw_weight", 0.5, "val.sampling.cfw_weight", "network_g.cfw"),
        ("val.sampling.control_scale", 1, "val.sampling.control_scale", "unknown"),
        ("degradation.gt_size", 480, "degradation.gt_size", "multiple of 64"),
        ("network_d", {"type": "UNetDiscriminatorSN", "num_in_ch": 3}, "network_d", "without a discriminator"),
    ],
)
def test_mistakes_are_told_with_their_keys(main_file, path, value, key, text):
    opt = deepcopy(main_file)
    *sections, last = path.split(".")
    section = opt
    for name in sections:
        section = section.setdefault(name, {})
    if "amp" in path:
        opt["network_g"]["base"]["frozen_dtype"] = "bfloat16"
    section[last] = value
    errors = find_errors(opt)
    assert text in errors[key] if key else not errors


def test_crops_are_divided_by_what_vae_and_unet_reduce_by(main_file):
    opt = deepcopy(main_file)
    opt["network_g"]["struct"]["mult"] = [1, 2]
    for base, size, told in (({}, 40, True), ({}, 48, False), ({"vae_path": "x"}, 40, False)):
        opt["network_g"]["base"] = {"path": None, **base}
        opt["degradation"]["gt_size"] = size
        assert ("degradation.gt_size" in find_errors(opt)) == told
