"""SSL's methods: a file with the loss is its base and one term; each trains at a small size, losses finite."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import prismsr
from prismsr.archs import RankerVGG
from prismsr.utils.options.files import load_options

import pytest
import torch
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from spandrel_tiny import TINY
from torch.nn import functional as F
from trainings import build_resumed, differences

SSL = Path(__file__).resolve().parents[2] / "options" / "ssl"
OTHERS = ("dat_ssl_x4.yml", "hat_ssl_x4.yml", "span_ssl_x4.yml")
"""Networks that no paper trained with the loss: swinirgan_ssl_x4.yml with another network."""
WITH_LOSS = sorted(path.name for path in SSL.glob("*_ssl_x4.yml") if path.name not in OTHERS)
EXPERIMENTS = sorted({path.name for path in SSL.glob("*.yml")} - {name.replace("_ssl_x4", "_x4") for name in WITH_LOSS})
"""Without the bases of those with the loss, whose terms they have."""
SMALL: dict[str, dict[str, Any]] = {
    "RRDBNet": {"num_feat": 4, "num_block": 1, "num_grow_ch": 2},
    "SRResNet": {"num_feat": 4, "num_block": 1},
    "SPSRNet": {"num_feat": 4, "num_block": 20},
    "ELAN": {"m_elan": 2, "c_elan": 6},
    **{name: TINY[name] for name in ("DAT", "HAT", "SPAN")},
    "SwinIRExtraWindow": {"embed_dim": 6, "depths": [1], "num_heads": [1], "img_size": 8},
    "VGGStyleDiscriminator": {"num_feat": 2},
    "VGGDiscriminator": {"num_feat": 2},
    "UNetDiscriminatorSN": {"num_feat": 2},
}
"""What makes each network small; a network that is not listed stays as it is, and is too large for a test."""


def test_all_methods_of_the_table_are_here() -> None:
    methods = {name.removesuffix("_ssl_x4.yml") for name in WITH_LOSS}
    table = {"esrgan", "ranksrgan", "spsr", "bebygan", "ldl", "elangan", "swinirgan"}
    assert methods == table | {"realesrgan", "bsrgan", "swinirgan_bsrgan", "elangan_bsrgan"}


@pytest.mark.parametrize("name", WITH_LOSS)
def test_a_file_with_the_loss_is_its_base_and_one_term(name: str) -> None:
    base = load_options(SSL / name.replace("_ssl_x4", "_x4"))
    options = load_options(SSL / name)
    term = options["train"]["losses"].pop("l_g_ssl")
    assert term["type"] == "SelfSimilarityLoss"
    assert (options.pop("name"), base.pop("name")) == (name.removesuffix(".yml"), name.replace("_ssl_x4.yml", "_x4"))
    assert options == base


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_for_another_network_has_all_else_of_swinirgans(name: str) -> None:
    base, options = load_options(SSL / "swinirgan_ssl_x4.yml"), load_options(SSL / name)
    assert (options.pop("name"), base.pop("name")) == (name.removesuffix(".yml"), "swinirgan_ssl_x4")
    assert options.pop("network_g")["type"] == name.removesuffix("_ssl_x4.yml").upper()
    starts = [file.pop("path")["pretrain_network_g"] for file in (options, base)]
    assert starts[0] != starts[1]
    assert options == {key: value for key, value in base.items() if key != "network_g"}


def _find_side(options: dict[str, Any]) -> int:
    if not any(key.startswith("network_d") for key in options) or options["network_d"]["type"] == "UNetDiscriminatorSN":
        return 48  # no discriminator asks for more
    return options["datasets"]["train"].get("gt_size", 128)


def _shrink(options: dict[str, Any], tmp_path: Path, vgg19_weights: Path) -> dict[str, Any]:
    """Return options for build_model: small networks with random weights, and what the launcher adds.

    VGG19 has all layers that the file names where crops are small, and its first four where they are large.
    """
    options = deepcopy(options)
    for key in [key for key in options if key.startswith("network_")]:
        options[key].update(SMALL[options[key]["type"]])
    for loss in options["train"]["losses"].values():
        if loss and loss["type"] == "FeatureLoss":
            loss["weights"] = str(vgg19_weights)
            if _find_side(options) > 48:
                loss["layer_weights"] = {"conv2_2": 1.0}
        if loss and loss["type"] == "RankLoss":
            torch.manual_seed(0)
            torch.save(RankerVGG(num_feat=2).state_dict(), tmp_path / "ranker.pth")
            loss.update(weights=str(tmp_path / "ranker.pth"), num_feat=2)
    options["path"] = {"models": str(tmp_path), "training_states": str(tmp_path)}
    options["datasets"]["train"]["dataset_enlarge_ratio"] = 1
    if "degradation" in options:
        del options["degradation"]  # it has tests of its own
    return {**options, "num_gpu": 0, "dist": False, "rank": 0, "world_size": 1, "is_train": True}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_experiment_has_finite_losses_and_goes_on_from_its_checkpoint(
    name, tmp_path, vgg19_weights, photograph_tensor, snapshot
) -> None:
    prismsr.patch_basicsr()
    options = _shrink(load_options(SSL / name), tmp_path, vgg19_weights)
    side = _find_side(options)
    two = side == 48 or options["network_g"]["type"] == "DAT"  # which normalises a pooled value over the batch
    lefts = (60, 140) if two else (60,)  # one large crop is enough
    gt = torch.cat([photograph_tensor[:, :, :side, left : left + side] for left in lefts])
    set_random_seed(0)
    model = build_model(options)
    before = {key: value.clone() for key, value in model.net_g.state_dict().items()}
    batch = {"gt": gt, "lq": F.avg_pool2d(gt, 4), "gt_path": ["a.png", "b.png"][: len(gt)]}
    model.feed_data(batch)
    model.optimize_parameters(1)
    logged = model.get_current_log()
    assert {key for key, loss in options["train"]["losses"].items() if loss is not None} <= set(logged)
    assert ("l_g_ssl" in logged) == name.endswith("_ssl_x4.yml")
    assert all(torch.isfinite(torch.as_tensor(value)) for value in logged.values()), logged
    assert any(not torch.equal(before[key], value) for key, value in model.net_g.state_dict().items())

    model.save(0, 1)
    resumed = build_resumed(options, tmp_path)
    for one in (model, resumed):
        one.feed_data(batch)
        one.optimize_parameters(2)
    assert differences(snapshot(model), snapshot(resumed)) == []
