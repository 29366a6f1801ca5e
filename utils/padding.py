"""Sizes that window attention asks for."""

from torch import Tensor
from torch.nn import functional as F


def pad_to_windows(image: Tensor, window_size: int) -> Tensor:
    """Return the image (B, C, H, W), mirrored at right and bottom until its sides are multiples of window_size.

    A side is mirrored again where it is too short to be mirrored once.
    """
    while missing := [-side % window_size for side in image.shape[-2:]]:
        below, beside = (min(lack, side - 1) for lack, side in zip(missing, image.shape[-2:], strict=True))
        if not below and not beside:
            break
        image = F.pad(image, (0, beside, 0, below), mode="reflect")
    return image
