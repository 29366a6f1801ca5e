"""LPIPS-ST: shift-tolerant LPIPS (Ghildyal and Liu, ECCV 2022), by the authors' package stlpips_pytorch."""

from functools import lru_cache
from typing import Any, Literal

from prismsr.metrics.full_reference import LPIPS_ST, FRMetric, build_fr_metric
from prismsr.metrics.tensors import choose_device, make_metric_tensor

import numpy as np
import torch
from basicsr.utils.registry import METRIC_REGISTRY


@lru_cache(maxsize=4)
def _load_network(net: str, device: str) -> FRMetric:
    return build_fr_metric(LPIPS_ST, net=net).to(device)


@METRIC_REGISTRY.register()
@torch.no_grad()
def calculate_lpips_st(
    img: np.ndarray,
    img2: np.ndarray,
    crop_border: int = 0,
    input_order: Literal["HWC", "CHW"] = "HWC",
    net: Literal["alex", "vgg"] = "alex",
    **kwargs: Any,
) -> float:
    """Return LPIPS-ST distance between two images: 0 for equal ones, lower is better.

    Args:
        img: BGR image in [0, 255], HWC or CHW, as BasicSR's validation hands it over.
        img2: image of the same shape.
        crop_border: pixels left out at each edge.
        input_order: order of the dimensions.
        net: backbone; "alex" is the authors' default.
        kwargs: ignored (BasicSR hands every metric the same arguments).

    Raises:
        ValueError: shapes differ.

    Example:
        >>> image = np.zeros((64, 64, 3), np.uint8)
        >>> calculate_lpips_st(image, image)
        0.0
    """
    if img.shape != img2.shape:
        raise ValueError(f"calculate_lpips_st: image shapes differ: {img.shape} and {img2.shape}.")
    tensors = [make_metric_tensor(image, input_order, crop_border).to(choose_device()) for image in (img, img2)]
    return _load_network(net, choose_device())(*tensors).item()
