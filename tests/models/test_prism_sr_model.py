import os
from copy import deepcopy

from prismsr.utils.errors import UserError
from prismsr.utils.weights.files import WeightsError

import pytest
import torch
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn
from torch.nn import functional as F

STEPS = 5


def _options(tmp_path, model_type, train):
    return {
        "name": "test",
        "model_type": model_type,
        "scale": 4,
        "num_gpu": 0,
        "dist": False,
        "rank": 0,
        "world_size": 1,
        "is_train": True,
        "network_g": {
            "type": "RRDBNet",
            "num_in_ch": 3,
            "num_out_ch": 3,
            "num_feat": 8,
            "num_block": 1,
            "num_grow_ch": 4,
        },
        "network_d": {"type": "VGGStyleDiscriminator", "num_in_ch": 3, "num_feat": 4},
        "path": {"models": str(tmp_path), "training_states": str(tmp_path)},
        "train": {
            "ema_decay": 0.9,
            "optim_g": {"type": "Adam", "lr": 1e-3, "weight_decay": 0, "betas": [0.9, 0.99]},
            "optim_d": {"type": "Adam", "lr": 1e-3, "weight_decay": 0, "betas": [0.9, 0.99]},
            "scheduler": {"type": "MultiStepLR", "milestones": [2, 4], "gamma": 0.5},
            **train,
        },
    }


PERCEPTUAL = {"type": "PerceptualLoss", "layer_weights": {"conv2_2": 1.0}, "perceptual_weight": 1.0}
STOCK = {
    "pixel_opt": {"type": "L1Loss", "loss_weight": 1e-2, "reduction": "mean"},
    "perceptual_opt": {**PERCEPTUAL, "style_weight": 0.5, "criterion": "l1"},
    "gan_opt": {"type": "GANLoss", "gan_type": "vanilla", "loss_weight": 5e-3},
}


def _composed(relativistic):
    return {
        "losses": {
            "l_g_pix": STOCK["pixel_opt"],
            "l_g_percep": STOCK["perceptual_opt"],
            "l_g_gan": {"type": "AdversarialLoss", "relativistic": relativistic, "loss_weight": 5e-3},
        }
    }


@pytest.fixture
def batches(photograph_tensor):
    gts = [torch.cat([photograph_tensor[:, :, y : y + 128, x : x + 128] for x in (10, 200)]) for y in range(STEPS)]
    return [{"gt": gt, "lq": F.avg_pool2d(gt, 4)} for gt in gts]


def _train(options, batches):
    set_random_seed(0)
    model = build_model(options)
    logs = []
    for iteration, batch in enumerate(batches, 1):
        model.update_learning_rate(iteration)
        model.feed_data(batch)
        model.optimize_parameters(iteration)
        logs.append(dict(model.get_current_log()))
    return model, logs


@pytest.mark.parametrize(
    ("stock", "relativistic", "extra"),
    [
        ("ESRGANModel", True, {}),
        ("SRGANModel", False, {}),
        ("ESRGANModel", True, {"net_d_iters": 2, "net_d_init_iters": 1}),
    ],
)
def test_same_losses_and_weights_as_basicsr(tmp_path, batches, torch_home, stock, relativistic, extra):
    theirs, their_logs = _train(_options(tmp_path, stock, {**STOCK, **extra}), batches)
    ours, our_logs = _train(_options(tmp_path, "PrismSRModel", {**_composed(relativistic), **extra}), batches)
    assert [
        {key.replace("l_g_percep_style", "l_g_style"): v for key, v in log.items()} for log in our_logs
    ] == their_logs
    for name in ("net_g", "net_d", "net_g_ema"):
        our_net = ours.discriminators["d"] if name == "net_d" else getattr(ours, name)
        for (key, ours_), theirs_ in zip(
            our_net.state_dict().items(), getattr(theirs, name).state_dict().values(), strict=True
        ):
            assert torch.equal(ours_, theirs_), f"{name}.{key}"


def test_psnr_training_needs_no_discriminator(tmp_path, batches):
    options = _options(tmp_path, "PrismSRModel", {"losses": {"l_pix": {"type": "L1Loss"}, "l_gone": None}})
    del options["network_d"], options["train"]["optim_d"]
    model, logs = _train(options, batches[:2])
    assert set(logs[0]) == {"l_pix"}
    assert len(model.optimizers) == 1
    model.save(0, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.state", "2.state.sha256", "net_g_2.pth"]
    assert set(torch.load(tmp_path / "net_g_2.pth", weights_only=True)) == {"params", "params_ema"}


def test_two_discriminators_train_and_are_saved_each(tmp_path, batches):
    losses = {
        "l_g_pix": {"type": "L1Loss"},
        "l_g_gan": {"type": "AdversarialLoss"},
        "l_g_unet": {"type": "AdversarialLoss", "discriminator": "d_unet", "gan_type": "hinge"},
    }
    options = _options(tmp_path, "PrismSRModel", {"losses": losses})
    options["network_d_unet"] = {"type": "UNetDiscriminatorSN", "num_in_ch": 3, "num_feat": 4}
    options["train"]["optim_d_unet"] = options["train"]["optim_d"]
    before = deepcopy(options)
    model, logs = _train(options, batches[:2])
    assert {"l_d_real", "l_d_unet_real", "out_d_unet_fake"} <= set(logs[0])
    model.save(0, 2)
    assert {"net_g_2.pth", "net_d_2.pth", "net_d_unet_2.pth"} <= {path.name for path in tmp_path.iterdir()}
    assert options["train"]["losses"] == before["train"]["losses"]


class _EmaDistance(torch.nn.Module):
    inputs = ("sr", "sr_ema", "lq", "gt_mask")

    def forward(self, sr, sr_ema, lq, gt_mask=None):
        assert lq.shape[-1] * 4 == sr.shape[-1]
        assert gt_mask is None
        assert not sr_ema.requires_grad
        return F.l1_loss(sr, sr_ema)


def test_a_term_gets_what_it_asks_for(tmp_path, batches):
    options = _options(tmp_path, "PrismSRModel", {"losses": {"l_pix": {"type": "L1Loss"}}})
    del options["network_d"], options["train"]["optim_d"]
    set_random_seed(0)
    model = build_model(options)
    model.terms["l_ema"] = _EmaDistance()
    for iteration in (1, 2):
        model.feed_data(batches[0])
        model.optimize_parameters(iteration)
    assert model.get_current_log()["l_ema"] > 0


def test_a_term_that_asks_for_something_unknown_is_told(tmp_path, batches):
    options = _options(tmp_path, "PrismSRModel", {"losses": {"l_pix": {"type": "L1Loss"}}})
    del options["network_d"], options["train"]["optim_d"]
    model = build_model(options)
    term = torch.nn.Identity()
    term.inputs = ("depth",)
    model.terms["l_odd"] = term
    model.feed_data(batches[0])
    there = ", ".join(sorted([*batches[0], "discriminators", "sr", "sr_ema"]))
    with pytest.raises(UserError, match=rf"'depth'.*: {there}"):
        model.optimize_parameters(1)


def test_swinir_validates_images_of_any_size(make_model):
    net = {"type": "SwinIR", "upscale": 4, "img_size": 8, "window_size": 4, "depths": [1], "num_heads": [2],
           "embed_dim": 8, "mlp_ratio": 2, "upsampler": "pixelshuffledirect"}  # fmt: skip
    model = make_model(None, network_g=net)
    for height, width in ((9, 14), (8, 8)):
        model.lq = torch.rand(1, 3, height, width)
        model.test()
        assert model.output.shape == (1, 3, 4 * height, 4 * width)
        assert model.lq.shape == (1, 3, height, width)


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("hacked",)


class _Reads(nn.Module):
    """A network that reads its weights with pickle, as those of other packages may."""

    def __init__(self, file):
        super().__init__()
        torch.load(file, weights_only=False)


@pytest.mark.parametrize("network", ["network_g", "network_d"])
def test_files_that_networks_read_are_read_as_tensors(tmp_path, monkeypatch, network):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(ARCH_REGISTRY._obj_map, "_Reads", _Reads)
    torch.save(_Evil(), "evil.pth")
    options = _options(tmp_path, "PrismSRModel", _composed(False))
    options[network] = {"type": "_Reads", "file": "evil.pth"}
    with pytest.raises(WeightsError, match=r"evil\.pth was not read"):
        build_model(options)
    assert not (tmp_path / "hacked").exists()
