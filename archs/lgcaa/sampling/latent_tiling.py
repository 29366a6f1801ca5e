"""Overlapping tiles over a map of latents, blended with Gaussian weights."""

from collections.abc import Callable, Iterable
from itertools import pairwise, product
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

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

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
    rows, columns = (_slices(length, tile, overlap) for length in (height, width))
    return [Window(*place) for place in product(rows, columns)]


def cores(height: int, width: int, tile: int, overlap: int) -> list[Window]:
    """The middle of each of `windows`, as far as half of what it shares, counted from its first row and column.

    Together they cover the map once; see `windows` for the arguments.
    """

    def middles(length: int) -> list[slice]:
        tiles = _slices(length, tile, overlap)
        cuts = [0, *((after.start + part.stop) // 2 for part, after in pairwise(tiles)), length]
        return [slice(a - part.start, b - part.start) for part, (a, b) in zip(tiles, pairwise(cuts), strict=True)]

    return [Window(*place) for place in product(middles(height), middles(width))]


def _slices(length: int, tile: int, overlap: int) -> list[slice]:
    side = length if tile == 0 or length <= tile else tile
    return [slice(start, start + side) for start in tile_starts(length, tile, overlap)]


def gaussian_weights(length: int, variance: float = VARIANCE) -> Tensor:
    """Weights (length,) float64 above 0 of a tile along one axis, symmetric about its centre.

    The widely copied form has its centre half a pixel off in one axis.
    """
    distance = (torch.arange(length, dtype=torch.float64) + 0.5) / length - 0.5
    return torch.exp(-distance.square() / (2 * variance))


def shares(tiles: Iterable[slice], length: int) -> dict[int, Tensor]:
    """Each tile's share (n,) float32 in the weighted mean along one axis, by the tile's start; they sum to 1.

    The tiles of a map form a grid, and a weight is a product of one for each axis, so that the shares are, too.

    Args:
        tiles: along the axis; the same ones may come again.
        length: of the axis.
    """
    parts = {part.start: part for part in tiles}
    weights = {start: gaussian_weights(part.stop - start) for start, part in parts.items()}
    total = torch.zeros(length, dtype=torch.float64)
    for start, part in parts.items():
        total[part] += weights[start]
    return {start: (weights[start] / total[part]).float() for start, part in parts.items()}


def blended(
    run: Callable[[Window], Tensor], height: int, width: int, tile: int, overlap: int, factor: int = 1
) -> Tensor:
    """The weighted mean of what `run` gives for each tile; with one tile, that itself.

    Beside the result, memory holds one tile at a time.

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
    targets = [place.enlarged(factor) for place in places]
    rows = shares((target.rows for target in targets), factor * height)
    columns = shares((target.columns for target in targets), factor * width)
    total: Tensor | None = None
    for place, target in zip(places, targets, strict=True):
        part = run(place).float()
        if total is None:
            total = part.new_zeros(*part.shape[:2], factor * height, factor * width)
        weights = torch.outer(rows[target.rows.start], columns[target.columns.start])
        target.of(total).add_(part * weights.to(part.device))
    assert total is not None
    return total
