"""Windows of a feature map, and which of their tokens must not see each other.

Paper: SSL, table 2, ResShift.
"""

from typing import Literal

import torch
from torch import Tensor

Mask = Literal["released", "swin"]
BLOCKED = -100.0
"""Added to the logits of tokens that must not see each other."""


def split_windows(x: Tensor, window: int) -> Tensor:
    """Return the windows (B, rows, columns, window ** 2, C) of a map (B, C, H, W); sides are multiples of `window`."""
    grid = x.unflatten(3, (-1, window)).unflatten(2, (-1, window))
    return grid.permute(0, 2, 4, 3, 5, 1).flatten(3, 4)


def join_windows(windows: Tensor, window: int) -> Tensor:
    """Return the map (B, C, H, W) of windows; the inverse of split_windows."""
    grid = windows.unflatten(3, (window, window)).permute(0, 5, 1, 3, 2, 4)
    return grid.flatten(4, 5).flatten(2, 3)


def make_mask(
    kind: Mask, rows: int, columns: int, window: int, shift: int, device: torch.device | None = None
) -> Tensor:
    """Return what is added to the logits of shifted windows, (rows, columns, N, N) with N = window ** 2.

    "swin" parts what the shift brought together from opposite borders. "released" is what the published weights were
    trained with: in the last row of windows, tokens see their own side of a window alone, left or right of the
    shift; in all other windows there is no mask.

    Example:
        >>> make_mask("released", 2, 1, 2, 1)[1, 0]
        tensor([[   0., -100.,    0., -100.],
                [-100.,    0., -100.,    0.],
                [   0., -100.,    0., -100.],
                [-100.,    0., -100.,    0.]])
    """

    def label(count: int) -> Tensor:  # of the positions along an axis: before the last window, in it, past the shift
        places = torch.arange(count * window, device=device)
        return (places >= (count - 1) * window).long() + (places >= count * window - shift)

    labels = (3 * label(rows)[:, None] + label(columns)).view(1, 1, rows * window, columns * window)
    if kind == "released":
        side = (torch.arange(window, device=device) >= window - shift).long().repeat(rows * window, columns)
        side[: (rows - 1) * window] = 0
        labels = side.view(1, 1, rows * window, columns * window)
    tokens = split_windows(labels, window)[0, ..., 0]
    apart = tokens[..., :, None] != tokens[..., None, :]
    return torch.zeros(apart.shape, device=device).masked_fill(apart, BLOCKED)
