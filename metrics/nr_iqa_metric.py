"""Any no-reference metric of `nr_metric` as a metric of option files."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from prismsr.metrics.catalog import check_no_reference
from prismsr.metrics.no_reference import NRMetric, build_nr_metric, list_nr_metric_needs
from prismsr.metrics.score_store import read_file_state
from prismsr.metrics.tensors import choose_device, make_metric_tensor
from prismsr.utils.options.named import declares

import numpy as np
import torch
from basicsr.utils.registry import METRIC_REGISTRY


def _load_network(
    metric: str = "musiq", metric_options: dict[str, Any] | None = None, device: str | None = None, **kwargs: Any
) -> NRMetric:
    return keep_metric(metric, metric_options or {}, choose_device(device))


@METRIC_REGISTRY.register()
@declares(check_options=check_no_reference, weights_needed=list_nr_metric_needs, load=_load_network)
@torch.no_grad()
def calculate_nr_iqa(
    img: np.ndarray,
    metric: str = "musiq",
    metric_options: dict[str, Any] | None = None,
    crop_border: int = 0,
    input_order: Literal["HWC", "CHW"] = "HWC",
    device: str | None = None,
    **kwargs: Any,
) -> float:
    """Return raw score of an image by a no-reference metric; range and direction are the metric's own.

    The network is built at the first call and kept.

    Args:
        img: BGR image in [0, 255], HWC or CHW, as BasicSR's validation hands it over.
        metric: see build_nr_metric: "musiq" and other names of pyiqa, "natural_scene", "sfd_iqa".
        metric_options: further arguments of build_nr_metric, such as weights.
        crop_border: pixels left out at each edge.
        input_order: order of the dimensions.
        device: where to compute; null for the current GPU where there is one.
        kwargs: ignored (BasicSR hands every metric the same arguments).

    Raises:
        OptionError, WeightsError, UserError: see build_nr_metric.

    Example:
        >>> round(calculate_nr_iqa(np.full((96, 96, 3), 127, np.uint8), "natural_scene", device="cpu"), 4)
        21.4347
    """
    network = _load_network(metric, metric_options, device)
    return float(network(make_metric_tensor(img, input_order, crop_border).to(choose_device(device))))


def keep_metric(metric: str, options: dict[str, Any], device: str) -> NRMetric:
    """Return a metric on a device; the last few are kept, so that a further call with equal arguments is cheap.

    Options, see build_nr_metric, are plain values.
    """
    changed = read_file_state(Path(str(options.get("weights"))))
    return _build(metric, json.dumps(options, sort_keys=True), device, changed)


@lru_cache(maxsize=4)
def _build(metric: str, options: str, device: str, changed: str) -> NRMetric:
    return build_nr_metric(metric, **json.loads(options)).to(device)
