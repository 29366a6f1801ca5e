"""Overlapping tiles over a map of latents, blended with Gaussian weights."""

from collections.abc import Callable
from typing import NamedTuple

from prismsr.utils.tiling import tile_starts

import torch
from torch import Tensor

VARIANCE = 0.01
"""Of the weights, on an axis where the tile is 1 long: SeeSR's and StableSR's value."""


class Window(NamedTuple):
    """Place of a tile in the map."""

    rows: slice
    columns: slice

    def of(self, maps: Tensor) -> Tensor:
        """The tile (B, C, h, w) of maps (B, C, H, W)."""
        return maps[..., self.rows, self.columns]

    def enlarged(self, factor: int) -> "Window":
        """The same place in a map that is `factor` times as large."""
        return Window(*(slice(part.start * factor, part.stop * factor) for part in self))


def windows(height: int, width: int, tile: int, overlap: int) -> list[Window]:
    """Tiles of at most tile x tile that cover the map, evenly, the last ones flush with its border.

    Args:
        height: of the map.
        width: of the map.
        tile: side; 0 for one window.
        overlap: what neighbours share at the least, up to half of `tile`.

    Raises:
        ValueError: see `prismsr.utils.tiling.tile_starts`.
    """

    def slices(length: int) -> list[slice]:
        side = length if tile == 0 or length <= tile else tile
        return [slice(start, start + side) for start in tile_starts(length, tile, overlap)]

    return [Window(rows, columns) for rows in slices(height) for columns in slices(width)]


def gaussian_weights(height: int, width: int, variance: float = VARIANCE) -> Tensor:
    """Weights (height, width) float32 above 0, symmetric about the tile's centre in both axes.

    The widely copied form has its centre half a pixel off in one axis.
    """

    def axis(length: int) -> Tensor:
        distance = (torch.arange(length, dtype=torch.float64) + 0.5) / length - 0.5
        return torch.exp(-distance.square() / (2 * variance))

    return torch.outer(axis(height), axis(width)).float()


def blended(
    run: Callable[[Window], Tensor], height: int, width: int, tile: int, overlap: int, factor: int = 1
) -> Tensor:
    """The weighted mean of what `run` gives for each tile; with one tile, that itself.

    Args:
        run: gives (B, C, factor * h, factor * w) for a window of h x w; all on one device.
        height: of the whole map.
        width: of the whole map.
        tile: see `windows`.
        overlap: see `windows`.
        factor: by which the result is larger than the map.

    Returns:
        (B, C, factor * height, factor * width), float32 where there are several tiles.
    """
    places = windows(height, width, tile, overlap)
    if len(places) == 1:
        return run(places[0])
    total: Tensor | None = None
    for place, target in ((place, place.enlarged(factor)) for place in places):
        part = run(place).float()
        if total is None:
            total = part.new_zeros(*part.shape[:2], factor * height, factor * width)
            norm = part.new_zeros(factor * height, factor * width)
            weights = gaussian_weights(*part.shape[2:]).to(part.device)
        target.of(total).add_(part * weights)
        target.of(norm).add_(weights)
    assert total is not None
    return total.div_(norm)
