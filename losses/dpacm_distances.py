"""Distances of DPACM's losses (arXiv 2510.13649, sec. III-C): of features, of pixel values, and LPIPS.

Paper: LGCAA, eq. 2 and 3.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Distribution = Literal["w1_printed", "w1_sorted", "w1_sorted_batch"]


def feature_distance(maps: Sequence[Tensor], targets: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return eq. 2: sum over layers l of w_l * mean (phi_l(x_rgb) - phi_l(x))^2, a scalar.

    The paper prints the squared L2 norm without layers or reduction; the mean over all entries is our reconstruction.

    Args:
        maps: (B, C_l, H_l, W_l) of X_RGB.
        targets: the same of the HR image.
        weights: w_l; a layer with 0 is left out.
    """
    rows = zip(maps, targets, weights, strict=True)
    return torch.stack([weight * F.mse_loss(a, b) for a, b, weight in rows if weight]).sum()


def lpips_distance(maps: Sequence[Tensor], targets: Sequence[Tensor], linear: Sequence[Tensor]) -> Tensor:
    """Return LPIPS of each image (B,): sum_l of the mean over positions of w_l . (unit(phi_l(x)) - unit(phi_l(y)))^2.

    unit divides by the length over channels. Where all channels are 0 the gradient is 0, not NaN.

    Args:
        maps: (B, C_l, H_l, W_l).
        targets: the same of the other images.
        linear: w_l >= 0, (C_l,).
    """

    def layer(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
        squares = (F.normalize(a, dim=1, eps=1e-10) - F.normalize(b, dim=1, eps=1e-10)).square()
        return (squares * weight.view(1, -1, 1, 1)).sum(1).mean((1, 2))

    return torch.stack([layer(*row) for row in zip(maps, targets, linear, strict=True)]).sum(0)


def distribution_distance(x_rgb: Tensor, x: Tensor, kind: Distribution = "w1_printed") -> Tensor:
    """Return how far apart pixel values are, a scalar.

    "w1_printed" is eq. 3, (1 / N) sum |x - x_rgb|: the mean absolute difference, which the paper calls the
    Wasserstein-1 distance. "w1_sorted" is that distance, between the values of each channel of each image, of which
    there are equally many: the mean of |sort(x) - sort(x_rgb)|. "w1_sorted_batch" pools the images of the batch.

    Args:
        x_rgb: (B, C, H, W).
        x: the same shape.
        kind: see above.
    """
    if kind == "w1_printed":
        return (x - x_rgb).abs().mean()
    if kind == "w1_sorted_batch":
        values = [image.transpose(0, 1).flatten(1) for image in (x, x_rgb)]
    else:
        values = [image.flatten(2) for image in (x, x_rgb)]
    return (values[0].sort(-1).values - values[1].sort(-1).values).abs().mean()
