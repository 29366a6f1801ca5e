"""StableSR's option files: base and SSL differ by the loss alone; each steps at a small size and goes on."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import prismsr
from prismsr.tools import infer
from prismsr.tools.inference import command as infer_command
from prismsr.utils.images import read_image, write_png_atomic
from prismsr.utils.options.check import check_options
from prismsr.utils.options.files import load_options
from prismsr.utils.options.problems import errors_among

import numpy as np
import pytest
import stablesr_case as case
import torch
import yaml
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from lgcaa_case import batch
from trainings import build_resumed, differences

FOLDER = Path(__file__).resolve().parents[2] / "options" / "diffusion"
NAMES = ("stablesr", "stablesr_ssl", "stablesr_ssl_beta500")


@pytest.mark.parametrize(("part", "name", "value"), [("struct", "mult", 4), ("base", "vae", [1])])
def test_a_wrong_type_is_told_before_the_model_compares(part: str, name: str, value: Any) -> None:
    options = load_options(FOLDER / "stablesr_x4.yml")
    options["network_g"].setdefault(part, {})[name] = value
    problems = errors_among(check_options(options, "x.yml", missing_paths="note", is_train=True))
    assert [problem.key for problem in problems] == [f"network_g.{part}.{name}"]


def test_the_files_with_the_loss_are_their_base_and_its_terms() -> None:
    base, ssl, strong = (load_options(FOLDER / f"{name}_x4.yml") for name in NAMES)
    names = [options.pop("name") for options in (base, ssl, strong)]
    assert names == [f"{name}_x4" for name in NAMES]
    assert strong["train"]["losses"].pop("l_ssl").pop("loss_weight") == 500
    assert {ssl["train"]["losses"].pop("l_ssl")["type"], ssl["train"]["losses"]["l_pix"]["type"]} == {
        "SelfSimilarityLoss", "L1Loss",
    }  # fmt: skip
    assert strong == ssl
    del ssl["train"]["losses"]["l_pix"]
    assert ssl == base


def _shrink(name: str, folder: Path) -> dict[str, Any]:
    """Return options for build_model: a small network in float32, and what the launcher adds."""
    options = load_options(FOLDER / f"{name}_x4.yml")
    small = {key: deepcopy(case.NETWORK[key]) for key in ("base", "struct", "context")}
    options["network_g"] = {**options["network_g"], **small}
    options["train"] |= {"amp": None, "accum_iter": 2}
    del options["degradation"]
    launched = case.options(folder)
    return {**launched, **options, "num_gpu": 0, "path": launched["path"]}


@pytest.mark.parametrize("name", NAMES[:2])
def test_each_experiment_has_finite_losses_and_goes_on_from_its_checkpoint(name, tmp_path, snapshot) -> None:
    prismsr.patch_basicsr()
    options = _shrink(name, tmp_path)
    set_random_seed(0)
    model = build_model(options)
    assert all(".spade." in key or key.startswith("encoder.") for key in model.net_g.trained)
    model.feed_data(batch())
    model.optimize_parameters(1)
    logged = model.get_current_log()
    assert set(logged) == set(options["train"]["losses"])
    assert all(torch.isfinite(torch.as_tensor(value)) for value in logged.values()), logged
    model.save(0, 1)
    resumed = build_resumed(options, tmp_path)
    for one in (model, resumed):
        torch.manual_seed(2)
        one.feed_data(batch())
        one.optimize_parameters(2)
    assert differences(snapshot(model), snapshot(resumed)) == []


def test_a_photograph_is_enlarged_by_infer(tmp_path, photograph, monkeypatch) -> None:
    monkeypatch.setattr(infer_command, "ROOT", tmp_path)
    options = _shrink("stablesr", tmp_path)
    file = tmp_path / "stablesr.yml"
    sampling = {**options["val"]["sampling"], "amp": None, "steps": 2, "tile": 8, "tile_overlap": 4, "vae_tile": 0}
    written = {"scale": 4, "name": "stablesr", "model_type": "StableSRModel", "network_g": options["network_g"]}
    file.write_text(yaml.safe_dump({**written, "manual_seed": 0, "val": {"sampling": sampling}}))
    set_random_seed(0)
    net = build_model(options).net_g
    torch.save({"params": net.state_dict(), "stablesr": net.sections}, tmp_path / "net.pth")
    write_png_atomic(tmp_path / "in" / "cat.png", photograph[100:110, 100:112])
    weights = ["--model", str(file), "--weights", str(tmp_path / "net.pth"), "--device", "cpu"]
    images = []
    for name in ("one", "two"):
        assert infer.main([*weights, "-i", str(tmp_path / "in"), "-o", str(tmp_path / name)]) == 0
        images.append(read_image(tmp_path / name / "cat.png"))
    assert images[0].shape == (40, 48, 3) and np.array_equal(*images)
