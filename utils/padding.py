"""Sizes that a network asks for, such as those of window attention."""

from torch import Tensor
from torch.nn import functional as F


def pad_to_windows(image: Tensor, window_size: int, minimum: int = 0, square: bool = False) -> Tensor:
    """Return the image (B, C, H, W), mirrored at its right and lower border until it has a size that a network takes.

    A side is mirrored again where it is too short to be mirrored once; a side of one pixel is repeated. Both sides
    become multiples of `window_size` with at least `minimum` pixels, and equal where `square`.
    """
    wanted = [max(side, minimum) for side in image.shape[-2:]]
    wanted = [-(-side // window_size) * window_size for side in ([max(wanted)] * 2 if square else wanted)]
    while any(missing := [target - side for target, side in zip(wanted, image.shape[-2:], strict=True)]):
        below, beside = (min(lack, side - 1) for lack, side in zip(missing, image.shape[-2:], strict=True))
        if not below and not beside:
            return F.pad(image, (0, missing[1], 0, missing[0]), mode="replicate")
        image = F.pad(image, (0, beside, 0, below), mode="reflect")
    return image
