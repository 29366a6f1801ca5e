"""A training step asks the device for nothing, so that the CPU runs ahead of a GPU."""

from contextlib import nullcontext

from prismsr.data.degradation.real_esrgan import build_degradation
from prismsr.tools.benchmarks.random_training import build_random, load_random

import pytest
import torch
from basicsr.utils.img_process_util import filter2D
from no_waiting import NoWaiting

FUSED = {"type": "Adam", "lr": 1e-3, "fused": True}
ORDER = {
    "resize_prob": [0.2, 0.7, 0.1],
    "resize_range": [0.5, 1.2],
    "noise_range": [1, 20],
    "poisson_scale_range": [0.05, 2],
    "gray_noise_prob": 0.5,
    "jpeg_range": [50, 95],
}
LOSSES = {
    "l_g_pix": {"type": "L1Loss"},
    "l_g_grad": {"type": "GradientLoss"},
    "l_g_buddy": {"type": "BestBuddyLoss"},
    "l_g_back": {"type": "BackProjectionLoss"},
    "l_g_ldl": {"type": "LDLLoss"},
    "l_g_gan": {"type": "AdversarialLoss", "relativistic": True, "view": "textured"},
}
SSL = {"type": "SelfSimilarityLoss", "search": 9, "window": 3, "mask_stride": 3}


def _degradation(gaussian, device="cpu"):
    orders = {f"{key}{suffix}": value for suffix in ("", "2") for key, value in ORDER.items()}
    probabilities = {"gaussian_noise_prob": gaussian, "gaussian_noise_prob2": gaussian, "second_blur_prob": 0.5}
    section = {"gt_size": 32, "queue_size": 8, **orders, **probabilities}
    return build_degradation({"scale": 4, "degradation": section}, device)


def _kernels(count):
    pulse = torch.zeros(count, 9, 9)
    pulse[:, 4, 4] = 1
    blur = filter2D(pulse[:, None].clone(), torch.full((count, 3, 3), 1 / 9))[:, 0]
    return {"kernel1": blur, "kernel2": blur, "sinc_kernel": pulse}


def _train(model, batches, watch):
    for iteration, batch in enumerate(batches, 1):
        with watch():
            model.feed_data(batch)
            model.optimize_parameters(iteration)


@pytest.mark.parametrize("gaussian", [0, 1])
def test_degradation_and_step_ask_for_nothing(make_model, make_batch, gaussian):
    model = make_model("spectral", FUSED, losses=LOSSES, grad_clip=1.0)
    model.guard.deferred = True
    model.degradation = _degradation(gaussian)
    batches = [{"gt": make_batch(number, size=64)["gt"], **_kernels(4)} for number in range(4)]
    _train(model, batches, NoWaiting)


def test_a_step_on_latents_asks_for_nothing():
    opt, _ = load_random("demo/resshift_ssl_tiny.yml")
    opt["datasets"]["train"] |= {"batch_size_per_gpu": 2}
    del opt["train"]["losses"]["l_ssl"]  # on a CPU it is swept; the kernels are tested for themselves
    opt["train"]["optim_g"]["fused"] = True
    model, batch = build_random(opt, torch.device("cpu"))
    model.guard.deferred = True
    _train(model, [{**batch, "gt_path": ["a", "b"]}] * 3, NoWaiting)


def test_who_waits_is_named():
    where = r"_local_scalar_dense.* waits .* called by test_no_waiting.py:\d+"
    with pytest.raises(AssertionError, match=where), NoWaiting():
        torch.ones(2).sum().item()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here")
@pytest.mark.parametrize("train", [{}, {"amp": "bf16", "grad_clip": 1.0}], ids=["float32", "bf16"])
def test_cuda_runs_a_step_without_waiting(make_model, make_batch, train):
    model = make_model("spectral", losses={**LOSSES, "l_g_ssl": SSL}, num_gpu=1, **train)
    assert model.guard.deferred
    model.degradation = _degradation(0.5, "cuda")
    batches = [{"gt": make_batch(number, size=64)["gt"].pin_memory(), **_kernels(4)} for number in range(6)]
    _train(model, batches[:3], nullcontext)  # cuDNN and Triton prepare
    torch.cuda.set_sync_debug_mode("error")
    try:
        _train(model, batches[3:], nullcontext)
    finally:
        torch.cuda.set_sync_debug_mode("default")
