"""LR images enlarged to the size of HR, whole for a training step or window by window for images of any size."""

from prismsr.archs.latent.sampling.latent_tiling import Window

import torch
from torch import Tensor
from torch.nn import functional as F


def enlarge(lq: Tensor, size: tuple[int, int], clamp: bool = True) -> Tensor:
    """Return LR images (B, 3, h, w) at HR's size (H, W), bicubic, clamped to [0, 1]: condition, source of colours."""
    enlarged = F.interpolate(lq, size, mode="bicubic")
    return enlarged.clamp(0, 1) if clamp else enlarged


class EnlargedImage:
    """What `enlarge` returns, mirrored at its right and lower border to multiples, of which only windows exist.

    LR images are RGB (B, 3, h, w) in [0, 1]. `size` is (H, W) of HR, without what is mirrored, `padded` with it.
    """

    def __init__(self, lq: Tensor, size: tuple[int, int], multiple: int = 1, clamp: bool = True) -> None:
        self.lq, self.size, self.clamp = lq, size, clamp
        self.padded = -(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple

    def window(self, place: Window) -> Tensor:
        """Return the part (B, 3, h, w) of the padded image, on the LR images' device."""
        y, x = (
            _positions(part, length, source)
            for part, length, source in zip(place, self.size, self.lq.shape[-2:], strict=True)
        )
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).to(self.lq)
        grid = grid.expand(len(self.lq), -1, -1, -1)
        part = F.grid_sample(self.lq, grid, mode="bicubic", padding_mode="border", align_corners=False)
        return part.clamp_(0, 1) if self.clamp else part

    def rows(self, top: int, bottom: int) -> Tensor:
        """Return whole rows (B, 3, bottom - top, W) without what is mirrored."""
        return self.window(Window(slice(top, bottom), slice(0, self.size[1])))


def _positions(part: slice, length: int, source: int) -> Tensor:
    """Return where the pixels of a window lie in the LR image, (n,) float64, as grid_sample counts: -1 to 1.

    Those from `length`, the enlarged axis's, on are mirrored, again and again where that is short.
    """
    pixels = torch.arange(part.start, part.stop)
    period = max(2 * (length - 1), 1)
    pixels = pixels % period
    pixels = torch.minimum(pixels, period - pixels)
    return (2 * pixels.double() + 1) / length - 1
