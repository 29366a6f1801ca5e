"""Run a network over an image in tiles that overlap and are blended, with memory for one row of tiles.

Along each axis two neighbours share at least `overlap` pixels. In the middle of what they share one fades into the
other by a raised cosine as wide as a quarter of `overlap`; the outer three eighths of a tile's overlap, where the
network saw too little, are not used at all. So a network whose output depends on at most 3/8 of `overlap` pixels to
each side gives what it gives for the whole image, up to rounding.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DEFAULT_TILE = 384
DEFAULT_OVERLAP = 32


@dataclass(frozen=True)
class Span:
    """One tile along one axis."""

    start: int
    """First input pixel."""
    stop: int
    """One past the last input pixel."""
    used: slice
    """Output pixels of the tile that have a weight above 0, counted from the tile's own first one."""
    weights: NDArray[np.float32]
    """Weights of those output pixels; over all tiles they sum to 1 everywhere."""


def tile_starts(length: int, tile: int, overlap: int, multiple: int = 1) -> list[int]:
    """First pixels of tiles of one size that cover an axis evenly and overlap by `overlap` or more.

    Args:
        length: pixels along the axis; a multiple of `multiple`.
        tile: pixels of a tile; rounded down to a multiple of `multiple`. 0 or `length` and more: one tile.
        overlap: pixels that neighbours share at the least; at most half of `tile`.
        multiple: grid that all tiles keep to, e.g. the window of window attention.

    Raises:
        ValueError: `overlap` is more than half of the tile, or the tile smaller than `multiple`.
    """
    if tile == 0 or length <= tile:
        return [0]
    units, side = length // multiple, tile // multiple
    stride = (side * multiple - overlap) // multiple
    if side < 1 or stride < 1 or overlap < 0 or 2 * overlap > side * multiple:
        raise ValueError(
            f"tile {tile} and overlap {overlap}: the overlap is at most half of a tile (on a {multiple}-grid)"
        )
    steps = -(-(units - side) // stride)
    return [index * (units - side) // steps * multiple for index in range(steps + 1)]


def spans(length: int, tile: int, overlap: int, scale: int, multiple: int = 1) -> list[Span]:
    """The tiles along one axis with their weights for an output that is `scale` times as long; see `tile_starts`."""
    starts = tile_starts(length, tile, overlap, multiple)
    side = length if len(starts) == 1 else tile // multiple * multiple
    cuts = [scale * (after + start + side) / 2 for start, after in pairwise(starts)]
    result = []
    for index, start in enumerate(starts):
        position = scale * start + np.arange(scale * side) + 0.5  # centres of the output pixels
        weights = np.ones(scale * side)
        if index > 0:
            weights *= _rise(position - cuts[index - 1], scale * overlap / 4)
        if index < len(cuts):
            weights *= 1 - _rise(position - cuts[index], scale * overlap / 4)
        kept = np.flatnonzero(weights)
        used = slice(int(kept[0]), int(kept[-1]) + 1)
        result.append(Span(start, start + side, used, weights[used].astype(np.float32)))
    return result


def _rise(distance: NDArray[Any], width: float) -> NDArray[Any]:
    """0 to the left of a ramp around 0, 1 to the right, a raised cosine in between."""
    if width <= 0:
        return (distance > 0).astype(np.float64)
    return 0.5 - 0.5 * np.cos(np.pi * (distance / width + 0.5).clip(0, 1))


def blended_rows(
    run: Callable[[Tensor], Tensor], image: Tensor, scale: int, tile: int, overlap: int, multiple: int = 1
) -> Iterator[tuple[int, Tensor]]:
    """The output of a network in bands of finished rows, from top to bottom.

    Args:
        run: maps (1, C, h, w) to (1, C', scale * h, scale * w), on any device.
        image: (1, C, H, W) on the CPU; H and W are multiples of `multiple`.
        scale: of the network.
        tile: side of the tiles in input pixels; 0: the whole image at once.
        overlap: input pixels that neighbours share.
        multiple: grid that the tiles keep to.

    Yields:
        First output row of the band, and its rows (C', h, scale * W) float32 on the CPU, which may be overwritten.

    Raises:
        ValueError: see `tile_starts`.
    """
    rows = spans(image.shape[-2], tile, overlap, scale, multiple)
    columns = spans(image.shape[-1], tile, overlap, scale, multiple)
    rest: Tensor | None = None  # of the band above: what the next row of tiles adds to
    for index, row in enumerate(rows):
        band = _band(run, image, scale, row, columns)
        if rest is not None:
            band[:, : rest.shape[1]] += rest
        last = index + 1 == len(rows)
        finished = band.shape[1] if last else scale * (rows[index + 1].start - row.start)
        yield scale * row.start, band[:, :finished]
        rest = band[:, finished:].clone()


def _band(run: Callable[[Tensor], Tensor], image: Tensor, scale: int, row: Span, columns: list[Span]) -> Tensor:
    """Weighted sum of the tiles of one row, (C', scale * tile, scale * W) float32."""
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
