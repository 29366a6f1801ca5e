"""Edge pixels of a ground-truth image: where the self-similarity loss is evaluated.

Paper: SSL, eq. 3.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA_WEIGHTS = (19595.0, 38470.0, 7471.0)
"""ITU-R BT.601 luma in 1/65536, the integers that 8-bit converters use."""


def luma_8bit(image: Tensor) -> Tensor:
    """Return luma of an RGB image as an 8-bit conversion gives it: `(19595 R + 38470 G + 7471 B + 32768) >> 16`.

    Grey is its own luma.

    Every number on the way is a whole number below 2^24, so that float32 holds it exactly.

    Args:
        image: (B, 3, H, W) RGB or (B, 1, H, W) grey in [0, 1], any float type; rounded to 8 bit and saturated first.

    Returns:
        (B, 1, H, W) float32, whole numbers in [0, 255].
    """
    levels = (image.float() * 255).round().clamp(0, 255)
    if levels.shape[1] == 1:
        return levels
    red, green, blue = levels.split(1, dim=1)
    weighted = red * LUMA_WEIGHTS[0] + green * LUMA_WEIGHTS[1] + blue * LUMA_WEIGHTS[2]
    return ((weighted + 32768) / 65536).floor()


@torch.no_grad()
def edge_mask(gt: Tensor, threshold: float = 20.0, absolute: bool = False) -> Tensor:
    """Return edge pixels by the Laplacian of the 8-bit luma, eq. 3 of "Self-similarity Loss" (ACM MM 2024).

    The Laplacian is the cross [0 1 0; 1 -4 1; 0 1 0] with the border mirrored (edge pixel not repeated), saturated to
    [0, 255]. Its negative side is cut off, as in the authors' masks, so that the darker side of an edge is marked;
    `absolute=True` marks both sides (about twice as many pixels).

    Args:
        gt: (B, 3, H, W) ground truth, RGB in [0, 1], or (B, 1, H, W) grey, any float type, sides of 2 pixels or more.
        threshold: a pixel is an edge where the Laplacian is strictly greater; in grey levels of 0..255.
        absolute: use the Laplacian's magnitude instead of its positive part.

    Returns:
        (B, 1, H, W) bool, True at edge pixels.

    Raises:
        ValueError: `gt` is not a float batch of RGB or grey, or is too small.
    """
    if gt.dim() != 4 or gt.shape[1] not in (1, 3) or min(gt.shape[2:]) < 2 or not gt.is_floating_point():
        raise ValueError(
            f"gt: got shape {tuple(gt.shape)} of {gt.dtype}; allowed: (B, 3 or 1, H, W) float with H, W of 2 or more"
        )
    luma = F.pad(luma_8bit(gt), (1, 1, 1, 1), mode="reflect")
    neighbours = luma[..., :-2, 1:-1] + luma[..., 2:, 1:-1] + luma[..., 1:-1, :-2] + luma[..., 1:-1, 2:]
    laplacian = neighbours - 4 * luma[..., 1:-1, 1:-1]
    strength = laplacian.abs() if absolute else laplacian
    return strength.clamp(0, 255) > threshold
