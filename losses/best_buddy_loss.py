"""The best-buddy loss (BebyGAN, AAAI 2022): each patch of SR is compared with the patch of GT that suits it best.

Paper: SSL, table 1, BebyGAN.
"""

from prismsr.utils.full_precision import widen
from prismsr.utils.registry import LOSS_REGISTRY

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 3
SCALES = (0.5, 0.25)
"""Sizes in which GT gives further candidates."""
CHUNK_BYTES = 2**25
"""Of the table that compares some patches with all candidates; the whole one has 1.3 N^2 entries an image."""


def best_buddy_loss(sr: Tensor, gt: Tensor) -> Tensor:
    """Return the mean of |p - b(p)|, a scalar, over the 3 x 3 patches p of SR, side by side, and b(p) their buddies.

    b(p) = argmin over c of |p - c|^2 + |g(p) - c|^2, with g(p) the GT patch at p's place; candidates c are all such
    patches of GT and of GT at 1/2 and 1/4 (bicubic). The choice gets no gradient. "Best-Buddy GANs for Highly Detailed
    Image Super-Resolution", AAAI 2022. The table of distances is made and used piece by piece.

    Args:
        sr: (B, C, H, W), sides of 12 pixels or more; what is left of a side that is no multiple of 3 does not count.
        gt: the same shape; gets no gradient.

    Raises:
        ValueError: the images are too small.

    Example:
        >>> gt = torch.rand(1, 3, 12, 12)
        >>> best_buddy_loss(gt, gt)
        tensor(0.)
        >>> moved = gt.roll(3, -1)  # by one patch: an L1 loss would see a difference
        >>> bool(best_buddy_loss(moved, gt) < (moved - gt).abs().mean())
        True
    """
    if min(sr.shape[-2:]) < SIDE / SCALES[-1]:
        raise ValueError(f"sr: got shape {tuple(sr.shape)}; allowed: (B, C, H, W) with sides of 12 or more")
    with torch.autocast(sr.device.type, enabled=False):
        sr, gt = widen(sr), widen(gt)
        patches = _split_patches(sr)
        return F.l1_loss(patches, choose_buddies(patches.detach(), gt.detach()))


@torch.no_grad()
def choose_buddies(patches: Tensor, gt: Tensor) -> Tensor:
    """Return the buddies (B, N, 9 C) of patches (B, N, 9 C) of SR, of GT (B, C, H, W); see `best_buddy_loss`.

    The sum of both squared distances is least where c (p + g) - |c|^2 is largest, from wherever they are measured.
    """
    smaller = [F.interpolate(gt, scale_factor=scale, mode="bicubic", align_corners=False) for scale in SCALES]
    aligned = _split_patches(gt)
    candidates = torch.cat([aligned, *map(_split_patches, smaller)], 1)
    middle = candidates.mean(1, keepdim=True)  # distances from it are small numbers, which float32 tells apart
    around = candidates - middle
    squares = around.square().sum(2)
    rows = max(1, CHUNK_BYTES // (candidates.shape[1] * candidates.element_size()))
    chosen = torch.empty_like(patches)
    for image, both in enumerate(patches + aligned - 2 * middle):
        for start in range(0, len(both), rows):
            merit = torch.addmm(squares[image], both[start : start + rows], around[image].T, beta=-1)
            chosen[image, start : start + rows] = candidates[image, merit.argmax(1)]
    return chosen


def _split_patches(images: Tensor) -> Tensor:
    return F.unfold(images, SIDE, stride=SIDE).transpose(1, 2).contiguous()


@LOSS_REGISTRY.register()
class BestBuddyLoss(nn.Module):
    """`loss_weight * best_buddy_loss`.

    Args:
        loss_weight: weight of the loss; 1 in BebyGAN's release.
    """

    inputs = ("sr", "gt")

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        """Return scalar loss of images (B, C, H, W)."""
        return self.loss_weight * best_buddy_loss(sr, gt)
