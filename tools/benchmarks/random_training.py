"""Trainings of option files without data and published weights: random weights, and batches of photographs."""

import importlib.util
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from prismsr.tools.benchmarks.measure import build_training, crop_photographs
from prismsr.utils.options.files import load_options
from prismsr.utils.places import OPTIONS

import torch
from torch.nn import functional as F

KERNEL = 21
RANDOM_NETWORKS: dict[str, dict[str, Any]] = {
    "LGCAANet": {"base": {"path": None, "vae_path": None}, "dino": {"pretrained": False}},
    "StableSRNet": {"base": {"path": None}, "context": "random"},
    "ResShiftNet": {"vq": {"path": None}},
}
"""What a network's section has instead of published weights."""


def load_random(file: str) -> tuple[dict[str, Any], list[str]]:
    """Return the options of a file below options/ for random weights, one part of its batch, and what had to be left
    out.
    """
    opt: dict[str, Any] = load_options(OPTIONS / file)
    for key, value in RANDOM_NETWORKS.get(opt["network_g"]["type"], {}).items():
        section = opt["network_g"].get(key)
        opt["network_g"][key] = {**(section or {}), **value} if isinstance(value, dict) else value
    if opt.get("clip"):
        opt["clip"]["pretrained"] = None
    train, section = opt["train"], opt["datasets"]["train"]
    section["batch_size_per_gpu"] //= train.get("accum_iter") or 1
    train["accum_iter"] = 1
    if opt.get("degradation"):
        opt["degradation"]["queue_size"] = 2 * section["batch_size_per_gpu"]
    left_out = [name for name, term in train["losses"].items() if term and not _randomise(term)]
    for name in left_out:
        del train["losses"][name]
    if section["type"] == "MultiGTDataset":
        section["type"] = "RealESRGANMaskDataset"
        left_out.append("the choice of a ground truth")
    return opt, left_out


def _randomise(term: dict[str, Any]) -> bool:
    """Give a loss term random weights or ones that a package carries; False where there are none."""
    if term["type"] == "IQALoss":
        return False
    if term["type"] == "LPIPSLoss":
        term["backbone"] = "st_alexnet"
    backbone = str(term.get("backbone", ""))
    if backbone == "vgg19":
        term["weights"] = str(_random_vgg19())
    return not backbone.startswith("st_") or importlib.util.find_spec("stlpips_pytorch") is not None


def _random_vgg19() -> Path:
    """Return a file in torchvision's layout of VGG19 with random features; the classifier takes no room."""
    from torchvision.models import vgg19

    path = Path(gettempdir()) / "prismsr_random_vgg19.pth"
    if not path.exists():
        with torch.device("meta"):
            shapes = {key: value.shape for key, value in vgg19().state_dict().items()}
        state = {
            key: torch.zeros(1).expand(shape)
            if key.startswith("classifier")
            else torch.randn(shape) * (2 / max(1, shape[1:].numel())) ** 0.5
            for key, shape in shapes.items()
        }
        unfinished = path.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(path)
    return path


def build_random(opt: dict[str, Any], device: torch.device) -> tuple[Any, dict[str, Any]]:
    """Return a model of the options, and a batch for its `feed_data` as the option file's loader would give it."""
    model = build_training(opt, device)
    section = opt["datasets"]["train"]
    count = section["batch_size_per_gpu"]
    if opt.get("degradation"):
        pulse = torch.zeros(count, KERNEL, KERNEL)
        pulse[:, KERNEL // 2 - 1 : KERNEL // 2 + 2, KERNEL // 2 - 1 : KERNEL // 2 + 2] = 1 / 9
        gt = crop_photographs(section["crop_pad_size"], count)
        return model, {"gt": gt, **dict.fromkeys(("kernel1", "kernel2", "sinc_kernel"), pulse)}
    gt = crop_photographs(section["gt_size"], count).contiguous()
    return model, {"gt": gt, "lq": F.interpolate(gt, scale_factor=1 / opt["scale"], mode="bicubic", antialias=True)}
