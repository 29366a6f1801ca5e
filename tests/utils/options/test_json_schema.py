"""The JSON Schema of option files: the committed one is today's, files here fit it, wrong ones do not."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prismsr.tools import check_options as tool
from prismsr.utils.options.check import check_options
from prismsr.utils.options.files import load_options
from prismsr.utils.options.json_schema import file_schema
from prismsr.utils.options.problems import errors_among
from prismsr.utils.options.yaml_loader import read_yaml

import pytest
from basicsr.utils import registry
from jsonschema import Draft202012Validator, ValidationError
from option_files import change

REGISTRIES = ("ARCH_REGISTRY", "DATASET_REGISTRY", "LOSS_REGISTRY", "METRIC_REGISTRY", "MODEL_REGISTRY")


@pytest.fixture(scope="module", autouse=True)
def own_types() -> Iterator[None]:
    """What BasicSR and the rooms register, without the types of other tests, and of a command's own metric."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in REGISTRIES:
            found = getattr(registry, name)
            homes = [(key, item, item.__module__.split(".")) for key, item in found]
            own = {key: item for key, item, at in homes if at[0] in ("basicsr", "prismsr") and at[1] != "tools"}
            monkeypatch.setattr(found, "_obj_map", own)
        yield


@pytest.fixture(scope="module")
def validator(own_types: None) -> Draft202012Validator:
    schema = file_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def leaves(errors: Any) -> Iterator[ValidationError]:
    for error in errors:
        yield from leaves(error.context) if error.context else [error]


def wrong_places(validator: Draft202012Validator, options: dict[str, Any]) -> set[str]:
    errors = leaves(validator.iter_errors(options))
    return {".".join(map(str, error.absolute_path)) for error in errors}


def test_committed_schema_is_what_the_command_writes(repository: Path, tmp_path: Path) -> None:
    assert tool.main(["--schema", str(tmp_path / "schema.json")]) == 0
    written = (tmp_path / "schema.json").read_text(encoding="utf8")
    text = "stale; write it by `python tools/check_options.py --schema options/schema.json`"
    assert written == (repository / "options" / "schema.json").read_text(encoding="utf8"), text


def test_option_files_fit_and_refer_to_it(repository: Path, validator: Draft202012Validator) -> None:
    """As they are written, parts that others inherit as well; and with what they inherit, where all keys are needed."""
    for file in (repository / "options").rglob("*.yml"):
        text = file.read_text(encoding="utf8")
        relative = os.path.relpath(repository / "options" / "schema.json", file.parent)
        assert text.startswith(f"# yaml-language-server: $schema={relative}\n"), file
        assert wrong_places(validator, read_yaml(text, str(file))[0]) == set(), file
        assert "_base_" in file.parts or wrong_places(validator, load_options(file)) == set(), file


WRONG = [
    ("manual_sed", 0, ""),
    ("num_gpu", ..., ""),
    ("num_gpu", "all", "num_gpu"),
    ("manual_seed", True, "manual_seed"),
    ("scale", 0, "scale"),
    ("model_type", "PrismSrMode", "model_type"),
    ("network_g", ..., ""),
    ("network_g.type", ..., "network_g"),
    ("network_g.type", "SRVGG", "network_g.type"),
    ("network_g.num_feats", 4, "network_g"),
    ("network_g.num_feat", "64", "network_g.num_feat"),
    ("network_g.act_type", "gelu", "network_g.act_type"),
    ("network_g", {"type": "LGCAANet", "base": {"pth": "x"}}, "network_g.base"),
    ("network_g", {"type": "FeatD", "channels": [1, 2]}, "network_g.channels"),
    ("clip", {"layers": [1, 2, 3.5]}, "clip.layers.2"),
    ("degradation", {"noise_rang": [1, 2]}, "degradation"),
    ("datasets.valid", {"name": "x"}, "datasets"),
    ("datasets.train", ..., "datasets"),
    ("datasets.train.type", "PairedMask", "datasets.train.type"),
    ("datasets.train.use_flip", True, "datasets.train"),
    ("datasets.train.gt_size", ..., "datasets.train"),
    ("datasets.train.batch_size_per_gpu", True, "datasets.train.batch_size_per_gpu"),
    ("path.strict_load_g", "yes", "path.strict_load_g"),
    ("path.pretrain_netwrok_g", None, "path"),
    ("train.total_iter", 0.5, "train.total_iter"),
    ("train.total_iter", ..., "train"),
    ("train.ema_decay", 1.5, "train.ema_decay"),
    ("train.optim_g.lr", ..., "train.optim_g"),
    ("train.optim_g.betas", [0.9, 1.0], "train.optim_g.betas.1"),
    ("train.scheduler.type", "StepLR", "train.scheduler.type"),
    ("train.losses.pix", {"type": "L1Loss"}, "train.losses"),
    ("train.losses.l_pix.weight", 1, "train.losses.l_pix"),
    ("train.losses.l_pix", {"type": "FeatureLoss"}, "train.losses.l_pix"),
    ("train.losses.l_pix", {"type": "L1Loss", "reduction": "avg"}, "train.losses.l_pix.reduction"),
    ("train.losses.l_pix", {"type": "NoiseLoss", "gt": "gt"}, "train.losses.l_pix"),
    ("val.val_freq", ..., "val"),
    ("val.metrics.psnr.crop_border", ..., "val.metrics.psnr"),
    ("val.metrics.psnr.better", "up", "val.metrics.psnr.better"),
    ("val.sampling", {"steps": 4}, "val"),
    ("logger", ..., ""),
    ("logger.wandb", {"projct": "x"}, "logger.wandb"),
]


@pytest.mark.parametrize(("path", "value", "place"), WRONG)
def test_wrong_files_do_not_fit(
    validator: Draft202012Validator, experiment: dict[str, Any], path: str, value: Any, place: str
) -> None:
    assert wrong_places(validator, experiment) == set()
    wrong = change(experiment, path, value)
    assert place in wrong_places(validator, wrong)
    assert errors_among(check_options(wrong, "x.yml", missing_paths="note", is_train=True))


def test_a_part_needs_nothing_but_says_nothing_wrong(validator: Draft202012Validator) -> None:
    """Without the model's type the keys of every model may stand there; null takes back what is inherited."""
    losses = {"l_pix": {"loss_weight": 2}, "l_ssl": None}
    assert wrong_places(validator, {"_base_": "x.yml", "train": {"optim_d": None, "losses": losses}}) == set()
    assert wrong_places(validator, {"name": "x", "_base_": ["a.yml"], "model_type": "SRModel"}) == set()
    assert wrong_places(validator, {"train": {"pixel_opt": {"loss_weight": 1}, "losses": {}}}) == set()
    pixel = {"type": "L1Loss", "gt": "gt"}  # BasicSR's models know no such key
    assert wrong_places(validator, {"train": {"pixel_opt": pixel}}) != set()
    assert wrong_places(validator, {"train": {"losses": {"l_pix": pixel}}}) == set()
    assert wrong_places(validator, {"train": {"scheduler": {"_replace_": True, "type": "MultiStepLR"}}}) == set()
    assert "train.total_iter" in wrong_places(validator, {"_base_": "x.yml", "train": {"total_iter": 0}})
    assert "train" in wrong_places(validator, {"train": {"total_iters": 1}})
    assert wrong_places(validator, {"model_type": "SRModel", "train": {"losses": {}}}) == {"train"}
    assert wrong_places(validator, {"name": "x", "model_type": "SRModel"}) == {""}


def test_optimisers_are_those_of_the_model(validator: Draft202012Validator) -> None:
    optimizer = {"type": "AdamW", "lr": 1e-3}
    assert wrong_places(validator, {"model_type": "PrismSRModel", "train": {"optim_d2": optimizer}}) == set()
    found = wrong_places(validator, {"model_type": "SRModel", "train": {"optim_g": optimizer}})
    assert "train.optim_g.type" in found


def test_descriptions_come_from_fields_and_docstrings(validator: Draft202012Validator) -> None:
    defs = validator.schema["$defs"]
    assert defs["logger"]["properties"]["print_freq"]["description"]
    ours = next(choice["then"] for choice in defs["loss"]["allOf"] if "SelfSimilarityLoss" in str(choice["if"]))
    assert "odd" in ours["properties"]["window"]["description"]
