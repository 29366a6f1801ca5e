"""Tokens of an image cut into square windows, and put together again.

Paper: LGCAA, sec. III-B.
"""

from torch import Tensor
from torch.nn import functional as F


def to_windows(x: Tensor, size: tuple[int, int], window: int) -> tuple[Tensor, Tensor]:
    """Cut tokens (B, H * W, C) into windows (B * n, window ** 2, C), the last ones padded.

    Also return which of their tokens are real, bool (n, window ** 2).
    """
    (height, width), batch = size, len(x)
    pad = (0, 0, 0, -width % window, 0, -height % window)
    real = F.pad(x.new_ones(1, height, width, 1), pad)
    grids = F.pad(x.unflatten(1, size), pad), real

    def cut(grid: Tensor) -> Tensor:
        return grid.unflatten(2, (-1, window)).unflatten(1, (-1, window)).transpose(2, 3).flatten(3, 4).flatten(1, 2)

    windows, inside = (cut(grid) for grid in grids)
    return windows.reshape(batch * windows.shape[1], window**2, -1), inside[0, :, :, 0] > 0


def from_windows(windows: Tensor, size: tuple[int, int], window: int) -> Tensor:
    """Return the inverse of to_windows: (B, H * W, C)."""
    height, width = size
    rows, columns = -(-height // window), -(-width // window)
    grid = windows.reshape(-1, rows, columns, window, window, windows.shape[-1]).transpose(2, 3)
    return grid.flatten(3, 4).flatten(1, 2)[:, :height, :width].flatten(1, 2)
