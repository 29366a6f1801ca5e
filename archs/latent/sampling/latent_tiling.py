"""Overlapping tiles over a map of latents, blended with Gaussian weights."""

from collections.abc import Callable
from itertools import pairwise, product
from typing import NamedTuple

from prismsr.utils.tiling import split_axis, weigh_tiles

import torch
from torch import Tensor


class Window(NamedTuple):
    """Place of a tile in the map."""

    rows: slice
    columns: slice

    @property
    def size(self) -> tuple[int, int]:
        """Return (h, w)."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def of(self, maps: Tensor) -> Tensor:
        """Return the tile (B, C, h, w) of maps (B, C, H, W)."""
        return maps[..., self.rows, self.columns]

    def enlarge(self, factor: int) -> "Window":
        """Return the same place in a map that is `factor` times as large."""
        return Window(*(slice(part.start * factor, part.stop * factor) for part in self))


def split_map(height: int, width: int, tile: int, overlap: int, multiple: int = 1) -> list[Window]:
    """Return tiles of at most tile x tile that cover the map, evenly, the last ones flush with its border.

    With tile 0 there is one window. Neighbours share at least `overlap`, up to half of `tile`; all tiles keep to a grid
    of `multiple`. ValueError as `prismsr.utils.tiling.split_axis`.
    """
    rows, columns = (split_axis(length, tile, overlap, multiple) for length in (height, width))
    return [Window(*place) for place in product(rows, columns)]


def split_cores(height: int, width: int, tile: int, overlap: int) -> list[Window]:
    """Return the middle of each tile of `split_map`, as far as half of what it shares, counted from its start.

    Together they cover the map once; see `split_map` for the arguments.
    """

    def middles(length: int) -> list[slice]:
        tiles = split_axis(length, tile, overlap)
        cuts = [0, *((after.start + part.stop) // 2 for part, after in pairwise(tiles)), length]
        return [slice(a - part.start, b - part.start) for part, (a, b) in zip(tiles, pairwise(cuts), strict=True)]

    return [Window(*place) for place in product(middles(height), middles(width))]


def blend_windows(
    run: Callable[[Window], Tensor],
    height: int,
    width: int,
    tile: int,
    overlap: int,
    factor: int = 1,
    multiple: int = 1,
) -> Tensor:
    """Return the weighted mean of what `run` gives for each tile of a map; with one tile, that itself.

    Beside the result, memory holds one tile at a time. `run` gives (B, C, factor * h, factor * w) for a window of h x
    w, all on one device. The result is (B, C, factor * height, factor * width), float32 where there are several tiles;
    see `split_map`.
    """
    places = split_map(height, width, tile, overlap, multiple)
    if len(places) == 1:
        return run(places[0])
    rows, columns = (weigh_tiles(side, tile, overlap, factor, multiple, window="gaussian") for side in (height, width))
    total: Tensor | None = None
    for place, (down, across) in zip(places, product(rows, columns), strict=True):
        part = run(place).float()
        if total is None:
            total = part.new_zeros(*part.shape[:2], factor * height, factor * width)
        weights = torch.outer(torch.from_numpy(down.weights), torch.from_numpy(across.weights))
        place.enlarge(factor).of(total).add_(part * weights.to(part.device))
    assert total is not None
    return total
