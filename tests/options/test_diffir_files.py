"""DiffIR's option files: the file with the loss is its base and one term; each stage steps at a small size."""

from pathlib import Path
from typing import Any

import prismsr
from prismsr.utils.options.files import load_options

import pytest
import torch
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from diffir_case import TINY, make_options, make_teacher
from torch.nn import functional as F
from trainings import build_resumed, differences

FOLDER = Path(__file__).resolve().parents[2] / "options" / "diffusion"
STAGES = ("s1", "s2_prior", "s2", "gan", "ssl")
SHOWN = {"s1": {"l_g_pix"}, "s2_prior": {"l_prior"}, "s2": {"l_g_pix", "l_prior"}}
SHOWN["ssl"] = SHOWN["s2"] | {"l_g_percep", "l_g_gan", "l_d_real", "l_d_fake", "out_d_real", "out_d_fake", "l_g_ssl"}


def test_the_file_with_the_loss_is_its_base_and_one_term() -> None:
    base, options = (load_options(FOLDER / f"diffir_{stage}_x4.yml") for stage in ("gan", "ssl"))
    assert options["train"]["losses"].pop("l_g_ssl")["type"] == "SelfSimilarityLoss"
    assert (options.pop("name"), base.pop("name")) == ("diffir_ssl_x4", "diffir_gan_x4")
    assert options == base


def test_each_stage_starts_from_the_one_before() -> None:
    options = {stage: load_options(FOLDER / f"diffir_{stage}_x4.yml") for stage in STAGES}
    starts = {stage: opt["path"].get("pretrain_network_g", "//").split("/")[1] for stage, opt in options.items()}
    assert starts == {
        "s1": "",
        "s2_prior": "diffir_s1_x4",
        "s2": "diffir_s2_prior_x4",
        "gan": "diffir_s2_x4",
        "ssl": "diffir_s2_x4",
    }


def _shrink(stage: str, folder: Path, vgg19_weights: Path) -> dict[str, Any]:
    """Return options for build_model: small networks, and what the launcher adds."""
    options = load_options(FOLDER / f"diffir_{stage}_x4.yml")
    small = {"DiffIRS1": TINY, "DiffIRS2": TINY, "UNetDiscriminatorSN": {"num_feat": 2}}
    for key in [key for key in options if key.startswith("network_")]:
        options[key].update(small[options[key]["type"]])
    if "l_g_percep" in options["train"]["losses"]:
        options["train"]["losses"]["l_g_percep"]["weights"] = str(vgg19_weights)
    del options["degradation"]
    launched = make_options(folder, {}, stage=1 if stage == "s1" else 2)
    return {**launched, **options, "num_gpu": 0, "path": launched["path"]}


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "gan"])  # whose terms are all in ssl
def test_each_stage_has_finite_losses_and_the_last_goes_on_from_its_checkpoint(
    stage, tmp_path, vgg19_weights, photograph_tensor, snapshot
) -> None:
    prismsr.patch_basicsr()
    torch.save(make_teacher(), tmp_path / "net_s1_1.pth")
    options = _shrink(stage, tmp_path, vgg19_weights)
    gt = torch.cat([photograph_tensor[:, :, :32, left : left + 32] for left in (60, 140)])
    batch = {"gt": gt, "lq": F.avg_pool2d(gt, 4), "gt_path": ["a.png", "b.png"]}
    set_random_seed(0)
    model = build_model(options)
    model.feed_data(batch)
    model.optimize_parameters(1)
    logged = model.get_current_log()
    assert set(logged) == SHOWN[stage]
    assert all(torch.isfinite(torch.as_tensor(value)) for value in logged.values()), logged
    if stage != "ssl":  # see tests/models/test_diffir_model.py
        return
    model.save(0, 1)
    resumed = build_resumed(options, tmp_path)
    for one in (model, resumed):
        torch.manual_seed(2)
        one.feed_data(batch)
        one.optimize_parameters(2)
    assert differences(snapshot(model), snapshot(resumed)) == []
