"""Images as tensors for the networks of metrics, and how their convolutions are computed."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from prismsr.metrics.images import Image, read_bgr

import numpy as np
import torch
from basicsr.metrics.metric_util import reorder_image
from numpy.typing import NDArray
from torch import Tensor


def make_rgb_tensor(image: Image) -> Tensor:
    """Return (3, H, W) float32 RGB in [0, 1] of (H, W, 3) BGR uint8.

    Example:
        >>> make_rgb_tensor(np.array([[[255, 0, 51]]], np.uint8)).flatten()
        tensor([0.2000, 0.0000, 1.0000])
    """
    return torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))).float() / 255


def convolve_exactly() -> AbstractContextManager[None]:
    """Return convolutions on a GPU in float32, not in TF32, and the same at every run."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def choose_device(device: str | None = None) -> str:
    """Return the device, or where none is given the current GPU if there is one, else the CPU.

    Example:
        >>> choose_device("cpu")
        'cpu'
    """
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def make_metric_tensor(image: NDArray[Any], input_order: str = "HWC", crop_border: int = 0) -> Tensor:
    """Return RGB (1, 3, H, W) float32 in [0, 1] of an image as BasicSR hands it to a metric; grey is repeated.

    It is BGR or grey in [0, 255], HWC or CHW. `crop_border` pixels are left out at each edge.

    Example:
        >>> make_metric_tensor(np.array([[[255, 0, 51]]]), "HWC").flatten()
        tensor([0.2000, 0.0000, 1.0000])
    """
    image = reorder_image(image, input_order=input_order)
    if crop_border:
        image = image[crop_border:-crop_border, crop_border:-crop_border]
    bgr = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    rgb = np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1), dtype=np.float32)
    return torch.from_numpy(rgb).unsqueeze(0) / 255.0


def read_tensor(path: Path) -> Tensor:
    """Return RGB (1, 3, H, W) float32 in [0, 1] of an image file, of 8 bits; errors as `read_bgr` has."""
    return make_metric_tensor(read_bgr(path))
