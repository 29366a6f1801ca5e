"""Build the degradation of an option file, with its choice among versions of a ground truth."""

from collections.abc import Mapping
from typing import Any

from prismsr.data.degradation.options import DegradationOptions
from prismsr.data.degradation.real_esrgan import RealESRGANDegradation
from prismsr.data.multi_gt.online_choice import build_gt_choice

import torch


def build_degradation(opt: Mapping[str, Any], device: torch.device | str = "cpu") -> RealESRGANDegradation | None:
    """The degradation that an option file asks for, or None where it has no section `degradation`.

    Args:
        opt: the whole option file; `degradation` and `scale` are read, and `datasets.train` and `scoring` for what
            chooses among versions of a ground truth.
        device: where it works.
    """
    if opt.get("degradation") is None:
        return None
    degradation = RealESRGANDegradation(DegradationOptions.model_validate(opt["degradation"]), opt["scale"])
    dataset = (opt.get("datasets") or {}).get("train") or {}
    if dataset.get("sampling") is not None:
        degradation.choice = build_gt_choice(opt, device)
    return degradation.to(device)
