"""The check of the no-reference metrics that option files name."""

from prismsr.metrics.catalog import pyiqa_metrics
from prismsr.utils.options.check import check_options
from prismsr.utils.options.files import load_options
from prismsr.utils.options.problems import errors_among

import pytest


@pytest.fixture
def fine_tuning(repository):
    return load_options(repository / "options" / "amo" / "swinir_amo_ft_x4.yml")


def _errors(opt):
    problems = check_options(opt, "x.yml", missing_paths="note", is_train=True)
    return {problem.key: problem.message for problem in errors_among(problems)}


def test_the_papers_metrics_are_known(fine_tuning):
    assert _errors(fine_tuning) == {}
    assert {"musiq", "nima", "qalign", "topiq_nr", "paq2piq"} <= set(pyiqa_metrics())
    assert not {"fid", "lpips", "psnr"} & set(pyiqa_metrics())


def test_every_place_is_checked_at_once(fine_tuning):
    fine_tuning["scoring"]["metric"] = "music"
    fine_tuning["train"]["losses"]["l_g_iqa"]["metric"] = "lpips"
    fine_tuning["val"]["metrics"]["musiq"]["metric"] = "natural_scen"
    errors = _errors(fine_tuning)
    assert "did you mean 'musiq'?" in errors["scoring.metric"]
    assert "no no-reference metric named 'lpips'" in errors["train.losses.l_g_iqa.metric"]
    assert "did you mean 'natural_scene'?" in errors["val.metrics.musiq.metric"]


def test_both_spellings_and_ours(fine_tuning):
    for name in ("pyiqa:musiq", "natural_scene", "sfd_iqa"):
        fine_tuning["scoring"]["metric"] = name
        assert _errors(fine_tuning) == {}
