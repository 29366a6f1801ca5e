"""Cuts a batch into units of work of bounded size: equal tiles with a halo, and the mask pixels inside them.

Paper: SSL, eq. 1.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from prismsr.losses.self_similarity.plan import SearchPlan
from prismsr.losses.self_similarity.sweep import Layout, Limits

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_SIDE = 16
"""Images are not cut into tiles smaller than this, halo aside."""


LIMITS = {
    # In a core's cache, and below 32768 elements, from which on torch splits an operation among threads: a loss of
    # thousands of short operations would wait for the slowest thread in each (see docs/papers/ssl.md).
    "cpu": Limits(area=32767, pixels=8192, work=32767),
    # Large enough to keep a GPU busy: maps of 32 MB, tables of 80 MB.
    "cuda": Limits(area=1 << 19, pixels=1 << 15, work=1 << 23),
}
"""By device type; other devices are taken for CUDA's like."""

Place = tuple[int, int, int]
"""Image of the batch, row and column of a tile."""


@dataclass(frozen=True)
class Unit:
    """Tiles to handle together, and their mask pixels.

    These are (N,) int64, positions in the layout's vectors counted from its first mask position. `members` says which
    of the batch's they are, in the order of `Tiling.pixels`.
    """

    tiles: list[Place]
    pixels: Tensor
    members: slice
    layout: Layout

    def take(self, tiles: Tensor) -> Tensor:
        """Return the unit's tiles (T, C, height, width) out of all (see `Tiling.tiles`)."""
        return torch.stack([tiles[place] for place in self.tiles])


class Tiling:
    """Equal tiles that cover images of `height` x `width`; a tile with its halo has at most `area` pixels."""

    def __init__(self, plan: SearchPlan, height: int, width: int, area: int) -> None:
        self.plan = plan
        _, self.rows, self.columns = min(_splits(height, width, 2 * plan.halo, area))
        self.height, self.width = -(-height // self.rows), -(-width // self.columns)
        self.outer = self.height + 2 * plan.halo, self.width + 2 * plan.halo
        self.spare = self.rows * self.height - height, self.columns * self.width - width

    def canvas(self, images: Tensor) -> Tensor:
        """Return images (B, C, H, W) with a mirrored halo, and zeros at right and bottom where tiles reach further."""
        padded = F.pad(images, (self.plan.halo,) * 4, mode="reflect")
        return F.pad(padded, (0, self.spare[1], 0, self.spare[0]))

    def images(self, canvas: Tensor) -> Tensor:
        """Return gradient of the images from that of their canvas."""
        height, width = (size - spare for size, spare in zip(canvas.shape[2:], self.spare, strict=True))
        folded = _fold(canvas[:, :, :height, :width], self.plan.halo)
        return _fold(folded.transpose(2, 3), self.plan.halo).transpose(2, 3)

    def tiles(self, canvas: Tensor) -> Tensor:
        """Return a canvas as overlapping tiles, (B, rows, columns, C, *outer); a view."""
        tiles = canvas.unfold(2, self.outer[0], self.height).unfold(3, self.outer[1], self.width)
        return tiles.permute(0, 2, 3, 1, 4, 5)

    def pixels(self, mask: Tensor) -> tuple[Tensor, ...]:
        """Mask pixels of (B, 1, H, W) tile by tile: image, tile row, tile column, y and x in the tile; (N,) each."""
        padded = F.pad(mask[:, 0], (0, self.spare[1], 0, self.spare[0]))
        tiles = padded.view(len(mask), self.rows, self.height, self.columns, self.width).transpose(2, 3)
        return tiles.nonzero(as_tuple=True)

    def units(self, pixels: tuple[Tensor, ...], images: int, limits: Limits) -> Iterator[Unit]:
        """Group the tiles that hold mask pixels into units within the limits."""
        image, row, column, y, x = pixels
        counts = torch.bincount((image * self.rows + row) * self.columns + column, minlength=1).tolist()
        places = [(b, r, c) for b in range(images) for r in range(self.rows) for c in range(self.columns)]
        flat, tile_size = y * self.outer[1] + x, math.prod(self.outer)
        for group in _groups(counts, max(1, limits.area // tile_size), limits.pixels):
            parts = [flat[start:stop] + number * tile_size for number, (_, start, stop) in enumerate(group)]
            yield Unit(
                tiles=[places[tile] for tile, _, _ in group],
                pixels=torch.cat(parts),
                members=slice(group[0][1], group[-1][2]),
                layout=Layout(self.plan, len(group), *self.outer),
            )


def _splits(height: int, width: int, frame: int, area: int) -> Iterator[tuple[int, int, int]]:
    """Yield total area, rows and columns of the tilings with tiles up to `area`, and of the finest one anyway."""
    most_rows, most_columns = -(-height // SMALLEST_SIDE), -(-width // SMALLEST_SIDE)
    for rows in range(1, most_rows + 1):
        tall = -(-height // rows) + frame
        columns = min(most_columns, -(-width // max(1, area // tall - frame)))
        wide = -(-width // columns) + frame
        if tall * wide <= area or rows == most_rows:
            yield rows * columns * tall * wide, rows, columns


def _groups(counts: list[int], room: int, pixels: int) -> Iterator[list[tuple[int, int, int]]]:
    """Yield groups of (tile, start, stop), up to `room` tiles and `pixels` mask pixels, without empty tiles."""
    group: list[tuple[int, int, int]] = []
    end = 0
    for tile, count in enumerate(counts):
        start, end = end, end + count
        for first in range(start, end, pixels):
            last = min(first + pixels, end)
            if group and (len(group) == room or last - group[0][1] > pixels):
                yield group
                group = []
            group.append((tile, first, last))
    if group:
        yield group


def _fold(canvas: Tensor, halo: int) -> Tensor:
    """Return gradient of dimension 2 from that of its mirrored extension by `halo` at both ends (edge not repeated)."""
    if halo == 0:
        return canvas
    inner = canvas[:, :, halo:-halo].clone()
    inner[:, :, 1 : halo + 1] += canvas[:, :, :halo].flip(2)
    inner[:, :, -halo - 1 : -1] += canvas[:, :, -halo:].flip(2)
    return inner
