from prismsr.models.prism_sr_model import PrismSRModel
from prismsr.utils.options.check import check_options
from prismsr.utils.options.files import load_options

import pytest


def _problems(repository, **train):
    opt = load_options(repository / "options" / "ssl" / "esrgan_x4.yml")
    opt["train"] |= train
    found = check_options(opt, "x.yml", missing_paths="note", is_train=True)
    return [f"{problem.key}: {problem.message}" for problem in found if problem.severity == "error"]


def test_the_new_options_are_known(repository):
    assert PrismSRModel.OPTIONS.model_fields["accum_iter"].default == 1
    given = {"amp": "fp16", "accum_iter": 8, "grad_clip": 1, "channels_last": True, "compile": "max-autotune"}
    assert _problems(repository, **given, grad_checkpointing=True, max_skipped_updates=1) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("amp", "half"), ("accum_iter", 0), ("grad_clip", 0.0), ("compile", "fast"), ("max_skipped_updates", 0)],
)
def test_wrong_values_are_told(repository, key, value):
    (problem,) = _problems(repository, **{key: value})
    assert problem.startswith(f"train.{key}")


def test_a_batch_has_to_be_divisible(repository):
    expected = "train.accum_iter: must divide datasets.train.batch_size_per_gpu, 64; got 3"
    assert _problems(repository, accum_iter=3) == [expected]
