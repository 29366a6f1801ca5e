"""The one catalogue of metrics, and the check of the no-reference metrics that option files name."""

import re
import subprocess
import sys

from prismsr.metrics import catalog
from prismsr.metrics.catalog import TABLE, find_metric, list_metrics
from prismsr.tools.evaluation.columns import MetricSpec, read_metric_settings
from prismsr.tools.iqa.people import build_scorers
from prismsr.tools.reproduction.needs import find_metric_lack
from prismsr.tools.weight_files.wanted import collect_wanted
from prismsr.utils.errors import OptionError
from prismsr.utils.options.check import check_options
from prismsr.utils.options.files import load_options
from prismsr.utils.options.problems import errors_among

import numpy as np
import pytest
from basicsr.utils.registry import METRIC_REGISTRY


@pytest.mark.parametrize(
    ("spellings", "name", "source"),
    [
        (["niqe", "calculate_niqe", "calculate-niqe"], "niqe", "basicsr"),
        (["niqe-pyiqa", "niqe_pyiqa", "pyiqa:niqe"], "niqe-pyiqa", "pyiqa"),
        (["lpips-st", "lpips_st", "calculate_lpips_st"], "lpips-st", "stlpips_pytorch"),
        (["natural_scene", "natural-scene"], "natural_scene", "prismsr"),
        (["sfd_iqa", "sfd-iqa", "calculate_sfd_iqa"], "sfd_iqa", "prismsr"),
        (["topiq", "topiq_nr", "topiq-nr", "pyiqa:topiq-nr"], "topiq_nr", "pyiqa"),
        (["musiq", "pyiqa:musiq"], "musiq", "pyiqa"),
        (["psnr"], "psnr", "prismsr"),
        (["pyiqa:psnr", "psnr-pyiqa"], "psnr-pyiqa", "pyiqa"),
        (["clipiqa+_vitL14_512", "clipiqa+-vitL14-512"], "clipiqa+_vitL14_512", "pyiqa"),
    ],
)
def test_one_metric_by_all_its_spellings(spellings, name, source):
    pytest.importorskip("pyiqa")
    for spelling in spellings:
        metric = find_metric(spelling)
        assert (metric.name, metric.source) == (name, source)
        assert MetricSpec(spelling).known is metric  # evaluate.py and evaluate_iqa.py
        assert read_metric_settings([f"{spelling}.a=1"], "--metric-options") == {name: {"a": 1}}


def test_every_tool_asks_the_catalogue(tmp_path):
    """A name that is known everywhere, or a reason why it cannot be used."""
    for ask in (
        lambda name: build_scorers([name], {}),  # analyse_iqa.py
        lambda name: find_metric_lack(name, tmp_path),  # reproduce.py
        lambda name: collect_wanted({}, [name], tmp_path),  # weights.py
    ):
        for name in ("natural-scene", "natural_scene", "niqe", "calculate_niqe"):
            assert not isinstance(ask(name), OptionError)
        with pytest.raises(OptionError, match="did you mean 'niqe'"):
            ask("niqee")
    with pytest.raises(OptionError, match="lpips-st"):
        build_scorers(["lpips-st"], {})


def test_a_formula_needs_no_weights():
    assert find_metric("piqe").needs == () != find_metric("musiq").needs


def test_it_agrees_with_pyiqa():
    """Kinds and directions, and no two names that differ in dashes and underscores alone."""
    pyiqa = pytest.importorskip("pyiqa")
    configs = pyiqa.default_model_configs.DEFAULT_CONFIGS
    found = {metric.pyiqa: metric for metric in map(find_metric, list_metrics()) if metric.source == "pyiqa"}
    assert set(found) == set(configs)
    for name, metric in found.items():
        assert find_metric(f"pyiqa:{name}") is metric
        assert metric.lower_better == bool(configs[name].get("lower_better")), name
        if metric.reference != "set":
            assert metric.reference == {"NR": "none", "FR": "full"}[configs[name]["metric_mode"]], name
    assert len({re.sub("[-_]", "", name) for name in list_metrics()}) == len(list_metrics())


def test_without_pyiqa(monkeypatch):
    monkeypatch.setattr(catalog, "_read_pyiqa_configs", dict)
    catalog._make_catalogue.cache_clear()
    try:
        assert {find_metric(name).pyiqa for name in ("musiq", "pyiqa:musiq")} == {"musiq"}
        assert find_metric("pyiqa:niqe").name == "niqe-pyiqa"
        assert list_metrics() == [metric.name for metric in TABLE]
        with pytest.raises(OptionError, match=r"pyiqa.*not installed"):
            find_metric("ilniqe")
    finally:
        catalog._make_catalogue.cache_clear()


def test_registered_functions_are_known_everywhere():
    @METRIC_REGISTRY.register()
    def calculate_my_range(img: np.ndarray) -> float:
        return float(np.ptp(img))

    calculate_my_range.better = "lower"
    try:
        metric = find_metric("my-range", "none")
        assert metric == find_metric("calculate_my_range")
        assert (metric.name, metric.lower_better, metric.pixels) == ("my_range", True, True)
    finally:
        METRIC_REGISTRY._obj_map.pop("calculate_my_range")
    with pytest.raises(OptionError):
        find_metric("my_range")


def test_it_is_read_without_torch_basicsr_and_pyiqa(repository):
    program = f"""
import sys, types
for name in ("prismsr", "prismsr.metrics"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [{str(repository / "src")!r} + "/" + name.replace(".", "/")]
sys.modules |= dict.fromkeys(("torch", "torchvision", "basicsr", "pyiqa.models"))
from prismsr.metrics.catalog import find_metric
print(find_metric("topiq").name, find_metric("lpips_st").reference)
assert "pyiqa" not in sys.modules and sys.modules["torch"] is None
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "topiq_nr full\n"


# ------------------------------------------------------------------------------------------------------- option files


@pytest.fixture
def fine_tuning(repository):
    return load_options(repository / "options" / "amo" / "swinir_amo_ft_x4.yml")


def _errors(opt):
    problems = check_options(opt, "x.yml", missing_paths="note", is_train=True)
    return {problem.key: problem.message for problem in errors_among(problems)}


def test_the_papers_metrics_are_known(fine_tuning):
    assert _errors(fine_tuning) == {}
    assert {"musiq", "nima", "qalign", "topiq_nr", "paq2piq"} <= set(list_metrics("none"))
    assert not {"fid", "lpips", "psnr"} & set(list_metrics("none"))


def test_every_place_is_checked_at_once(fine_tuning):
    fine_tuning["scoring"]["metric"] = "music"
    fine_tuning["train"]["losses"]["l_g_iqa"]["metric"] = "lpips"
    fine_tuning["val"]["metrics"]["musiq"]["metric"] = "natural_scen"
    errors = _errors(fine_tuning)
    assert "did you mean 'musiq'?" in errors["scoring.metric"]
    assert "lpips compares two images" in errors["train.losses.l_g_iqa.metric"]
    assert "did you mean 'natural_scene'?" in errors["val.metrics.musiq.metric"]


def test_both_spellings_and_ours(fine_tuning):
    for name in ("pyiqa:musiq", "natural-scene", "sfd_iqa", "topiq", "niqe-pyiqa"):
        fine_tuning["scoring"]["metric"] = name
        assert _errors(fine_tuning) == {}
