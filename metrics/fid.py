"""Frechet distance between the features of two sets of images: FID with Inception's features.

FID of few images is strongly biased: compare it at equal numbers of images only.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from prismsr.metrics.images import read_bgr
from prismsr.metrics.tensors import convolve_exactly

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

Mode = Literal["clean", "legacy_pytorch"]
MODES = ("clean", "legacy_pytorch")
Features = NDArray[np.float64]
SIDE = 299  # pixels: what Inception takes
_BATCH = 16


def frechet_distance(first: Features, second: Features) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of features (Heusel et al., NIPS 2017, eq. 6).

    With the centred features A, B scaled so that C1 = A^T A and C2 = B^T B, the trace of the root is the sum of the
    singular values of A B^T: exact where there are fewer images than features, without the root of a singular matrix.

    Args:
        first: (n, d) features, n >= 2.
        second: (m, d) features, m >= 2.

    Raises:
        ValueError: fewer than 2 images in a set.

    Example:
        >>> frechet_distance(np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[3.0, 4.0], [5.0, 4.0]]))
        25.0
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"FID needs at least 2 images on each side; got {len(first)} and {len(second)}")
    means = [features.mean(0) for features in (first, second)]
    roots = [(part - mean) / np.sqrt(len(part) - 1) for part, mean in zip((first, second), means, strict=True)]
    small = [_reduce_rows(root) for root in roots]
    root_trace = np.linalg.svd(small[0] @ small[1].T, compute_uv=False).sum()
    traces = sum(np.square(root).sum() for root in roots)
    return float(np.square(means[0] - means[1]).sum() + traces - 2 * root_trace)


def _reduce_rows(root: Features) -> Features:
    """Return a factor A of more rows than columns as its triangle, with the same A^T A."""
    return np.asarray(np.linalg.qr(root, mode="r"), np.float64) if len(root) > root.shape[1] else root


def resize(image: NDArray[np.uint8], mode: Mode) -> Tensor:
    """Return (H, W, 3) RGB uint8 as (3, 299, 299) float32 in [0, 255].

    "clean" is PIL's bicubic of float values with antialiasing, clipped (Parmar et al., CVPR 2022); "legacy_pytorch"
    bilinear without antialiasing, as in pytorch-fid and in BasicSR.

    Example:
        >>> resize(np.full((40, 60, 3), 7, np.uint8), "clean").unique()
        tensor([7.])
    """
    if mode == "clean":
        channels = [Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(image, 2, 0)]
        planes = [np.asarray(plane.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for plane in channels]
        return torch.from_numpy(np.stack(planes).clip(0, 255))
    tensor = torch.from_numpy(np.moveaxis(image, 2, 0).astype(np.float32))[None]
    return F.interpolate(tensor, (SIDE, SIDE), mode="bilinear", align_corners=False)[0]


def cut(image: NDArray[np.uint8], patches: int | None) -> Iterator[NDArray[np.uint8]]:
    """Yield the whole image, or its patches of that side: from the top left, without overlap, what is over is left out.

    ValueError where the image is smaller than one patch.

    Example:
        >>> [patch.shape for patch in cut(np.zeros((5, 9, 3), np.uint8), 4)]
        [(4, 4, 3), (4, 4, 3)]
    """
    if patches is None:
        yield image
        return
    height, width = image.shape[:2]
    if min(height, width) < patches:
        raise ValueError(f"FID on patches of {patches} pixels: the image is {width} x {height}")
    for top in range(0, height - patches + 1, patches):
        for left in range(0, width - patches + 1, patches):
            yield image[top : top + patches, left : left + patches]


@torch.no_grad()
def extract_features(
    files: Sequence[Path],
    network: nn.Module,
    device: str,
    mode: Mode = "clean",
    patches: int | None = None,
    tick: Callable[[], object] = lambda: None,
) -> Features:
    """Return features (n, d) of image files or of their patches; `tick` is called after each file.

    The network, on the device, maps images in [-1, 1], (B, 3, 299, 299), to (B, d, 1, 1) or (B, d), or a list that
    begins with them. See `resize` for the mode, `cut` for patches.

    Raises:
        DataError: an image cannot be read; ValueError: it is smaller than a patch.
    """
    found: list[Features] = []
    waiting: list[Tensor] = []

    def flush() -> None:
        if waiting:
            with convolve_exactly():
                output = network(_normalise(torch.stack(waiting), mode).to(device))
            output = output[0] if isinstance(output, list | tuple) else output
            found.append(output.flatten(1).double().cpu().numpy())
            waiting.clear()

    for file in files:
        for patch in cut(np.ascontiguousarray(read_bgr(file)[..., ::-1]), patches):
            waiting.append(resize(patch, mode))
            if len(waiting) == _BATCH:
                flush()
        tick()
    flush()
    return np.concatenate(found)


def _normalise(images: Tensor, mode: Mode) -> Tensor:
    """Map [0, 255] to [-1, 1]; clean-fid divides by 128, and pytorch-fid by 127.5."""
    return (images - 128) / 128 if mode == "clean" else images / 127.5 - 1


class InceptionFeatures(nn.Module):
    """pyiqa's Inception as `extract_features` calls a network: input as it is, neither resized nor normalised again."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 3, 299, 299) in [-1, 1] to (B, 2048)."""
        features: Tensor = self.net(images, False, False)[0]
        return features.flatten(1)
