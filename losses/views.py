"""What a discriminator is shown instead of the images: functions (sr, gt) -> (sr', gt'), by name.

Paper: SSL, table 1, SPSR and BebyGAN.
"""

from collections.abc import Callable

from prismsr.losses.gradient_loss import gradient_map
from prismsr.losses.negative_loss import local_variance
from prismsr.utils.full_precision import widen

import torch
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)


@torch.no_grad()
def flat_mask(gt: Tensor, size: int = 11, std: float = 0.025) -> Tensor:
    """Return the flat pixels of GT: the standard deviation of luma in a window around them is below `std`.

    "Best-Buddy GANs for Highly Detailed Image Super-Resolution", AAAI 2022. Luma is .2989 R + .587 G + .114 B;
    the deviation is unbiased, the border mirrored.

    Args:
        gt: (B, 3, H, W), RGB in [0, 1]; half precision is computed in float32.
        size: side of the window in pixels, odd.
        std: where flat ends.

    Returns:
        (B, 1, H, W) bool, True where flat.

    Example:
        >>> gt = torch.zeros(1, 3, 16, 32)
        >>> gt[..., 31] = 1
        >>> flat_mask(gt)[0, 0, 8].sum()  # the window reaches 5 pixels to each side
        tensor(26)
    """
    with torch.autocast(gt.device.type, enabled=False):
        gt = widen(gt)
        luma = (gt * gt.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return torch.cat([local_variance(image, size) for image in luma.split(1)]).sqrt() < std  # 121 values a pixel


def show_gradients(sr: Tensor, gt: Tensor) -> tuple[Tensor, Tensor]:
    """Return both images' gradient maps, as SPSR's second discriminator sees them."""
    return gradient_map(sr), gradient_map(gt)


def show_textured(sr: Tensor, gt: Tensor, size: int = 11, std: float = 0.025) -> tuple[Tensor, Tensor]:
    """Return both images with 0 where GT is flat, as BebyGAN's discriminator sees them.

    Args:
        sr: (B, 3, H, W).
        gt: the same shape.
        size: side of the window in pixels, odd.
        std: standard deviation of luma below which a pixel is flat.
    """
    with torch.autocast(sr.device.type, enabled=False):
        sr, gt = widen(sr), widen(gt)
        textured = ~flat_mask(gt, size, std)
        return sr * textured, gt * textured


VIEWS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {"gradient": show_gradients, "textured": show_textured}
"""Views by the name that AdversarialLoss takes; arguments beyond sr and gt are its `view_options`."""
