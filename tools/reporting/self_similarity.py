"""How far an image's self-similarity is from its ground truth's, as a metric for the demo's report.

Paper: SSL, eq. 4.
"""

from typing import Any

from prismsr.losses.self_similarity.self_similarity_loss import self_similarity_loss
from prismsr.metrics.tensors import make_metric_tensor

import numpy as np
import torch
from basicsr.utils.registry import METRIC_REGISTRY


@METRIC_REGISTRY.register()
@torch.no_grad()
def calculate_self_similarity(img: np.ndarray, img2: np.ndarray, crop_border: int = 0, **kwargs: Any) -> float:
    """Return 1000 times the self-similarity loss at a third of the edge pixels of the ground truth: 0 for equal images.

    Args:
        img: BGR image in [0, 255], (H, W, 3).
        img2: ground truth of the same shape.
        crop_border: pixels left out at each edge.
        kwargs: ignored (BasicSR hands every metric the same arguments).

    Raises:
        ValueError: shapes differ, or an image is smaller than the search area.
    """
    sr, gt = (make_metric_tensor(image, crop_border=crop_border) for image in (img, img2))
    return 1000 * self_similarity_loss(sr, gt, mask_stride=3).item()


calculate_self_similarity.better = "lower"
