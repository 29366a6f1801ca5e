"""Run a network over an image in tiles that overlap and are blended, with memory for one row of tiles.

Along each axis two neighbours share at least `overlap` pixels. In the middle of what they share one fades into the
other by a raised cosine as wide as a quarter of `overlap`; the outer three eighths of a tile's overlap, where the
network saw too little, are not used at all. So a network whose output depends on at most 3/8 of `overlap` pixels to
each side gives what it gives for the whole image, up to rounding.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

VERSION = 2
"""Of how tiles are laid out and blended; results that were kept from another are made anew."""
VARIANCE = 0.01
"""Of Gaussian weights, on an axis where the tile is 1 long: SeeSR's and StableSR's value."""
Window = Literal["cosine", "gaussian"]


@dataclass(frozen=True)
class AxisTile:
    """One tile along one axis."""

    start: int
    """First input pixel."""
    stop: int
    """One past the last input pixel."""
    used: slice
    """Output pixels of the tile that have a weight above 0, counted from the tile's own first one."""
    weights: NDArray[np.float32]
    """Weights of those output pixels; over all tiles they sum to 1 everywhere."""


def split_axis(length: int, tile: int, overlap: int, multiple: int = 1) -> list[slice]:
    """Return the fewest tiles that cover an axis, as short as the overlap lets them be, and evenly placed.

    Args:
        length: pixels along the axis; a multiple of `multiple`.
        tile: pixels of a tile at the most; rounded down to a multiple of `multiple`. 0 or `length` and more: one tile.
        overlap: pixels that neighbours share at the least; at most half of `tile`.
        multiple: grid that all tiles keep to, e.g. the window of window attention.

    Returns:
        Tiles of one size, (length + (n - 1) * overlap) / n for n tiles, rounded up to the grid.

    Raises:
        ValueError: `overlap` is more than half of the tile, or the tile smaller than `multiple`.

    Example:
        >>> split_axis(10, 8, 2)
        [slice(0, 6, None), slice(4, 10, None)]
    """
    if tile == 0 or length <= tile:
        return [slice(0, length)]
    units, most, shared = length // multiple, tile // multiple, -(-overlap // multiple)
    if most <= shared or overlap < 0 or 2 * overlap > most * multiple:
        raise ValueError(
            f"tile {tile} and overlap {overlap}: the overlap is at most half of a tile (on a {multiple}-grid)"
        )
    count = -(-(units - shared) // (most - shared))
    side = -(-(units + (count - 1) * shared) // count)
    starts = [index * (units - side) // (count - 1) * multiple for index in range(count)]
    return [slice(start, start + side * multiple) for start in starts]


def weigh_tiles(
    length: int, tile: int, overlap: int, scale: int = 1, multiple: int = 1, window: Window = "cosine"
) -> list[AxisTile]:
    """Return the tiles along one axis with their weights for an output that is `scale` times as long.

    Args:
        length, tile, overlap, multiple: see `split_axis`.
        scale: of the output.
        window: "cosine" fades between neighbours and leaves a tile's border out; "gaussian" weighs all of a tile, most
            its middle.

    Raises:
        ValueError: see `split_axis`.
    """
    tiles = split_axis(length, tile, overlap, multiple)
    weigh = {"cosine": _weigh_by_cosine, "gaussian": _weigh_by_gaussian}[window]
    result = []
    for part, weights in zip(tiles, weigh(tiles, overlap, scale), strict=True):
        kept = np.flatnonzero(weights)
        used = slice(int(kept[0]), int(kept[-1]) + 1)
        result.append(AxisTile(part.start, part.stop, used, weights[used].astype(np.float32)))
    return result


def _weigh_by_cosine(tiles: list[slice], overlap: int, scale: int) -> list[NDArray[np.float64]]:
    cuts = [scale * (after.start + part.stop) / 2 for part, after in pairwise(tiles)]
    result = []
    for index, part in enumerate(tiles):
        position = np.arange(scale * part.start, scale * part.stop) + 0.5  # centres of the output pixels
        weights = np.ones(len(position))
        if index > 0:
            weights *= _raise_cosine(position - cuts[index - 1], scale * overlap / 4)
        if index < len(cuts):
            weights *= 1 - _raise_cosine(position - cuts[index], scale * overlap / 4)
        result.append(weights)
    return result


def _raise_cosine(distance: NDArray[Any], width: float) -> NDArray[Any]:
    """Return 0 to the left of a ramp around 0, 1 to the right, a raised cosine in between."""
    if width <= 0:
        return (distance > 0).astype(np.float64)
    return 0.5 - 0.5 * np.cos(np.pi * (distance / width + 0.5).clip(0, 1))


def _weigh_by_gaussian(tiles: list[slice], overlap: int, scale: int) -> list[NDArray[np.float64]]:
    """Weigh symmetrically about a tile's centre; the widely copied form has its centre half a pixel off in one axis."""
    side = scale * (tiles[0].stop - tiles[0].start)
    distance = (torch.arange(side, dtype=torch.float64) + 0.5) / side - 0.5
    weights = torch.exp(-distance.square() / (2 * VARIANCE))
    total = torch.zeros(scale * tiles[-1].stop, dtype=torch.float64)
    places = [slice(scale * part.start, scale * part.stop) for part in tiles]
    for place in places:
        total[place] += weights
    return [(weights / total[place]).numpy() for place in places]


def blend_rows(
    run: Callable[[Tensor], Tensor], image: Tensor, scale: int, tile: int, overlap: int, multiple: int = 1
) -> Iterator[tuple[int, Tensor]]:
    """Yield the output of a network in bands of finished rows, from top to bottom.

    Args:
        run: maps (1, C, h, w) to (1, C', scale * h, scale * w), on any device.
        image: (1, C, H, W) on the CPU; H and W are multiples of `multiple`.
        scale: of the network.
        tile: side of the tiles in input pixels at the most; 0: the whole image at once.
        overlap: input pixels that neighbours share at the least.
        multiple: grid that the tiles keep to.

    Yields:
        First output row of the band, and its rows (C', h, scale * W) float32 on the CPU, which may be overwritten.

    Raises:
        ValueError: see `split_axis`.
    """
    rows = weigh_tiles(image.shape[-2], tile, overlap, scale, multiple)
    columns = weigh_tiles(image.shape[-1], tile, overlap, scale, multiple)
    rest: Tensor | None = None  # of the band above: what the next row of tiles adds to
    for index, row in enumerate(rows):
        band = _blend_band(run, image, scale, row, columns)
        if rest is not None:
            band[:, : rest.shape[1]] += rest
        last = index + 1 == len(rows)
        finished = band.shape[1] if last else scale * (rows[index + 1].start - row.start)
        yield scale * row.start, band[:, :finished]
        rest = band[:, finished:].clone()


def _blend_band(
    run: Callable[[Tensor], Tensor], image: Tensor, scale: int, row: AxisTile, columns: list[AxisTile]
) -> Tensor:
    """Return the weighted sum of the tiles of one row, (C', scale * tile, scale * W) float32."""
    band: Tensor | None = None
    down = torch.from_numpy(row.weights)[:, None]
    for column in columns:
        output = run(image[..., row.start : row.stop, column.start : column.stop])[0]
        part = output[:, row.used, column.used].float().cpu() * (down * torch.from_numpy(column.weights))
        if band is None:
            band = part.new_zeros(part.shape[0], scale * (row.stop - row.start), scale * image.shape[-1])
        left = scale * column.start + column.used.start
        band[:, row.used, left : left + part.shape[2]] += part
    assert band is not None
    return band
