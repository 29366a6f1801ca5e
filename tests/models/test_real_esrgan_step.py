"""Training steps on LQ images made by the degradation, beside BasicSR's RealESRGANModel."""

import random
from copy import deepcopy

import numpy as np
import pytest
import torch
from basicsr.models import build_model
from basicsr.utils import DiffJPEG, set_random_seed
from basicsr.utils.img_process_util import filter2D
from basicsr.utils.registry import DATASET_REGISTRY, LOSS_REGISTRY

BATCH, SIDE, GT_SIZE, QUEUE, STEPS = 2, 96, 64, 4, 5
ADAM = {"type": "Adam", "lr": 1e-3, "weight_decay": 0, "betas": [0.9, 0.99]}
DEGRADATION = {
    "gt_size": GT_SIZE,
    "queue_size": QUEUE,
    "second_blur_prob": 0.8,
    **{
        f"{key}{order}": value
        for order in ("", "2")
        for key, value in {
            "resize_prob": [0.2, 0.7, 0.1],
            "resize_range": [0.5, 1.2],
            "gaussian_noise_prob": 0.5,
            "noise_range": [1, 20],
            "poisson_scale_range": [0.05, 2],
            "gray_noise_prob": 0.4,
            "jpeg_range": [50, 95],
        }.items()
    },
}
GAN = {"gan_type": "vanilla", "loss_weight": 0.1}


def _options(tmp_path, model_type, train, top):
    return {
        "name": "test",
        "model_type": model_type,
        "scale": 4,
        "num_gpu": 0,
        "dist": False,
        "rank": 0,
        "world_size": 1,
        "is_train": True,
        "network_g": {"type": "SRVGGNetCompact", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_conv": 2},
        "network_d": {"type": "UNetDiscriminatorSN", "num_in_ch": 3, "num_feat": 4},
        "path": {"models": str(tmp_path), "training_states": str(tmp_path)},
        "train": {"ema_decay": 0.9, "optim_g": dict(ADAM), "optim_d": dict(ADAM), "scheduler": SCHEDULER, **train},
        **top,
    }


SCHEDULER = {"type": "MultiStepLR", "milestones": [100], "gamma": 0.5}


def _ours(tmp_path, **train):
    losses = {
        "l_g_pix": {"type": "L1Loss", "gt": "gt_usm"},
        "l_g_gan": {"type": "AdversarialLoss", "relativistic": False, **GAN},
    }
    return _options(
        tmp_path, "PrismSRModel", {"losses": losses, **train}, {"degradation": {**DEGRADATION, "gt_usm": True}}
    )


@pytest.fixture
def batches(photograph_tensor):
    pulse = torch.zeros(BATCH, 9, 9)
    pulse[:, 4, 4] = 1
    blur = filter2D(pulse[:, None].clone(), torch.full((BATCH, 3, 3), 1 / 9))[:, 0]
    kernels = {"kernel1": blur, "kernel2": blur, "sinc_kernel": pulse}
    gts = [
        torch.cat([photograph_tensor[:, :, y : y + SIDE, x : x + SIDE] for x in (9, 300)]) for y in range(0, 200, 40)
    ]
    return [{"gt": gt.contiguous(), "gt_path": ["a", "b"], **kernels} for gt in gts]


def _train(options, batches, start=0, model=None):
    if model is None:
        set_random_seed(0)
        model = build_model(deepcopy(options))
        set_random_seed(1)
    logs = []
    for iteration, batch in enumerate(batches[start:], start + 1):
        model.feed_data(batch)
        model.optimize_parameters(iteration)
        logs.append(dict(model.get_current_log()))
    return model, logs


@pytest.mark.parametrize("usm_for_d", [False, True])
def test_same_losses_and_weights_as_basicsr(tmp_path, batches, monkeypatch, usm_for_d):
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda module: module)
    plain = DiffJPEG.forward
    monkeypatch.setattr(DiffJPEG, "forward", lambda jpeg, x, quality: plain(jpeg, x, quality).contiguous())
    stock = _options(
        tmp_path,
        "RealESRGANModel",
        {"pixel_opt": {"type": "L1Loss"}, "gan_opt": {"type": "GANLoss", **GAN}},
        {**DEGRADATION, "l1_gt_usm": True, "percep_gt_usm": True, "gan_gt_usm": usm_for_d},
    )
    theirs, their_logs = _train(stock, batches)
    options = _ours(tmp_path)
    options["train"]["losses"]["l_g_gan"]["gt"] = "gt_usm" if usm_for_d else "gt"
    ours, our_logs = _train(options, batches)
    assert our_logs == their_logs
    pairs = [(ours.net_g, theirs.net_g), (ours.discriminators["d"], theirs.net_d), (ours.net_g_ema, theirs.net_g_ema)]
    for one, other in pairs:
        for mine, stock_ in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
            assert torch.equal(mine, stock_)


def test_training_state_holds_the_pool(tmp_path, batches):
    """From the state of step 3 on, the same batches come as without a stop."""
    options = _ours(tmp_path)
    model, _ = _train(options, batches[:3])
    state, generators = model.training_state(), (random.getstate(), np.random.get_state(), torch.get_rng_state())
    expected = []
    for batch in batches[3:]:
        model.feed_data(batch)
        expected.append([model.batch[name] for name in ("lq", "gt", "gt_usm")])
    other = build_model(deepcopy(options))
    other.load_training_state(state)
    random.setstate(generators[0])
    np.random.set_state(generators[1])
    torch.set_rng_state(generators[2])
    for batch, tensors in zip(batches[3:], expected, strict=True):
        other.feed_data(batch)
        assert all(
            torch.equal(*pair) for pair in zip((other.lq, other.gt, other.batch["gt_usm"]), tensors, strict=True)
        )


def test_a_tensor_that_a_dataset_adds_reaches_the_loss_that_names_it(tmp_path, batches, monkeypatch):
    """Through crop and pool, in parts, and with nothing said of it but GIVES and inputs."""

    class Depth(torch.nn.Module):
        inputs = ("sr", "gt", "depth")

        def forward(self, sr, gt, depth):
            seen.append(torch.equal(depth, gt[:, :1] / 2))
            return (sr * depth).mean()

    seen = []
    options = _ours(tmp_path, accum_iter=2)
    options["train"]["losses"]["l_g_depth"] = {"type": "Depth"}
    options["datasets"] = {"train": {"type": "DepthDataset"}}
    monkeypatch.setitem(LOSS_REGISTRY._obj_map, "Depth", Depth)
    monkeypatch.setitem(DATASET_REGISTRY._obj_map, "DepthDataset", type("DepthDataset", (), {"GIVES": ("depth",)}))
    _train(options, [{**batch, "depth": batch["gt"][:, :1] / 2} for batch in batches])
    assert seen == [True] * 2 * STEPS


def test_validation_and_parts_of_a_batch(tmp_path, batches):
    model, logs = _train(_ours(tmp_path, accum_iter=2), batches[:1])
    assert logs[0]["l_g_pix"] > 0
    model.feed_data({"lq": torch.full((1, 3, 8, 8), 0.5), "lq_path": ["a.png"]})
    assert torch.equal(model.lq, torch.full((1, 3, 8, 8), 0.5))
