from copy import deepcopy

from prismsr.utils.option_check import check_options
from prismsr.utils.option_files import load_options
from prismsr.utils.option_problems import errors_among

import pytest


@pytest.fixture(scope="module")
def main_file(repository):
    return load_options(repository / "options" / "lgcaa" / "lgcaa_x4.yml")


def _errors(opt):
    found = errors_among(check_options(opt, "x.yml", missing_paths="note", is_train=True))
    return {problem.key: problem.message for problem in found}


def test_the_main_file_has_no_errors(main_file):
    assert _errors(main_file) == {}


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
        ("train.accum_iter", 7, "train.accum_iter", "divide"),
        ("network_d", {"type": "UNetDiscriminatorSN", "num_in_ch": 3}, "network_d", "without a discriminator"),
        ("train.losses.l_neg", {"type": "NegativeLoss"}, "train.losses.l_neg", "asks for gt_negative"),
        ("train.optim_g.type", "Adam9bit", "train.optim_g.type", "Adam8bit"),
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
    errors = _errors(opt)
    assert key in errors and text in errors[key]
