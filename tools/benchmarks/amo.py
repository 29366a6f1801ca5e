"""Benchmark `amo`: what choosing the ground truth costs in a training step, and low-rank beside full fine-tuning."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prismsr.models.training.basicsr_patches import patch_basicsr
from prismsr.utils.options.files import load_options

import torch
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from torch import Tensor

OPTIONS = Path(__file__).resolve().parents[2] / "options" / "amo"
NETS = ("swinir", "resrgan")
VERSIONS = 5
RANDOM: dict[str, Any] = {"pretrained": False}
"""MUSIQ's weights need a download and do not change its speed."""


def amo(repeat: int, measure: Callable[..., dict[str, Any]]) -> None:
    """Print both comparisons.

    Args:
        repeat: runs of which the best counts.
        measure: runs a workload in a process of its own; tools/benchmark_measure.py has it.
    """
    batch = 8 if torch.cuda.is_available() else 1
    print(f"\nGT patches {batch} x 512x512, crops of 256, five versions; best of {repeat}, without the VGG loss\n")
    print("| net | step | of it the scoring by MUSIQ | share |\n" + "|---" * 4 + "|")
    for net in NETS:
        settings = {"size": 512, "batch": batch, "net": net}
        step, score = (measure(workload, repeat, **settings)["seconds"] for workload in ("amo-step", "amo-score"))
        print(f"| {net} | {step:.2f} s | {score:.2f} s | {score / step:.0%} |", flush=True)
    print(f"\nFine-tuning on MUSIQ, GT {batch} x 256x256\n")
    print("| net | trained | parameters | time | extra peak memory |\n" + "|---" * 5 + "|")
    for net in NETS:
        for workload, trained in (("lora-step", "adapters"), ("full-step", "all weights")):
            done = measure(workload, repeat, size=256, batch=batch, net=net)
            print(
                f"| {net} | {trained} | {done['counted']:,} | {done['seconds']:.2f} s | {done['bytes'] / 1e6:.0f} MB |",
                flush=True,
            )


def build_amo_step(net: str, gt: Tensor, device: torch.device, score_only: bool) -> Callable[[], Tensor]:
    """A step of options/amo/NET_amo_x4.yml without its VGG loss, from the loader's batch on; or its scoring alone.

    Args:
        net: "swinir" or "resrgan".
        gt: (B, 3, H, W) in [0, 1]; the crop has half their side.
        device: where to run.
        score_only: only the choice among the versions' crops.
    """
    opt = _options(f"{net}_amo_x4.yml", gt, device)
    opt["scoring"] = {"metric": "musiq", **RANDOM}
    model = _built(opt)
    batch = _batch(gt)
    side = opt["degradation"]["gt_size"]
    crops = batch["gt_versions"][..., :side, :side].to(device)
    candidates = batch["gt_candidates"].to(device)

    def score() -> Tensor:
        return model.degradation.pairing.choice(crops, candidates).sum()

    def step() -> Tensor:
        model.feed_data(dict(batch))
        model.optimize_parameters(1)
        return torch.zeros(())

    return score if score_only else step


def build_tuning_step(net: str, gt: Tensor, device: torch.device, lora: bool) -> tuple[Callable[[], Tensor], int]:
    """A step of fine-tuning on MUSIQ, without the VGG loss, with the LQ images at hand.

    Args:
        net: "swinir" or "resrgan".
        gt: (B, 3, H, W) in [0, 1].
        device: where to run.
        lora: through adapters, as the paper; or all weights.

    Returns:
        The step, and how many parameters it trains.
    """
    opt = _options(f"{net}_upos_ft_x4.yml", gt, device)
    opt["train"]["losses"]["l_g_iqa"] = {"type": "IQALoss", "metric": "musiq", "metric_options": RANDOM}
    opt["degradation"] = None
    if not lora:
        opt["lora"] = None
    model = _built(opt)
    trained = sum(value.numel() for value in model.net_g.parameters() if value.requires_grad)
    model.feed_data({"gt": gt, "lq": torch.nn.functional.interpolate(gt, scale_factor=0.25, mode="area")})

    def step() -> Tensor:
        model.optimize_parameters(1)
        return torch.zeros(())

    return step, trained


def _options(file: str, gt: Tensor, device: torch.device) -> dict[str, Any]:
    opt: dict[str, Any] = load_options(OPTIONS / file)
    opt["train"]["losses"].pop("l_g_percep")
    opt |= {"num_gpu": int(device.type == "cuda"), "dist": False, "is_train": True, "rank": 0, "world_size": 1}
    opt["path"] = {}
    if opt.get("degradation"):
        opt["degradation"] |= {"gt_size": gt.shape[-1] // 2, "queue_size": len(gt)}
    return opt


def _built(opt: dict[str, Any]) -> Any:
    logging.getLogger("basicsr").setLevel(logging.WARNING)
    set_random_seed(0)
    patch_basicsr()
    return build_model(opt)


def _batch(gt: Tensor) -> dict[str, Any]:
    """What the loader gives: originals, five versions of each (here the same), and kernels that change nothing."""
    kernels = torch.zeros(len(gt), 9, 9)
    kernels[:, 4, 4] = 1
    return {
        "gt": gt,
        "gt_versions": gt.unsqueeze(1).repeat(1, VERSIONS, 1, 1, 1),
        "gt_candidates": torch.ones(len(gt), VERSIONS, dtype=torch.bool),
        **dict.fromkeys(("kernel1", "kernel2", "sinc_kernel"), kernels),
    }
