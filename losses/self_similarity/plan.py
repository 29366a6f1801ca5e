"""Geometry of the self-similarity sweep: which offsets are searched, and how much of each window is compared.

Paper: SSL, eq. 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby


@dataclass(frozen=True)
class Block:
    """Neighbouring search offsets whose windows are clipped alike, so that one box size serves them all.

    The offsets are (dy + i * stride, dx + j * stride) for i < rows, j < columns. The part of the window that is
    compared starts at `start` (rows, columns, from the window's centre) and measures `size`; for the opposite offsets
    it starts at `start_opposite`. `clips` number the parts that are left out, for the offsets and for their opposites;
    0 is nothing.
    """

    dy: int
    dx: int
    rows: int
    columns: int
    start: tuple[int, int]
    start_opposite: tuple[int, int]
    size: tuple[int, int]
    clips: tuple[int, int]

    @property
    def count(self) -> int:
        """Number of offsets in the block."""
        return self.rows * self.columns

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (rows, columns), or () for a single offset."""
        return () if self.count == 1 else (self.rows, self.columns)

    def offsets(self, stride: int) -> list[tuple[int, int]]:
        """Return the block's offsets (dy, dx), row by row."""
        return [(self.dy + i * stride, self.dx + j * stride) for i in range(self.rows) for j in range(self.columns)]


@dataclass(frozen=True)
class SearchPlan:
    """A search area of side `search`, compared by windows of side `window`, sampled every `stride` pixels.

    Only one of each pair of opposite offsets is listed: the squared differences of o serve -o as well.
    Tables are ordered as the listed offsets, block by block, then their opposites in the same order, then the centre.
    """

    search: int
    window: int
    stride: int
    zero_border: bool

    @property
    def radius(self) -> int:
        """Return largest distance of a search offset."""
        return self.search // 2

    @property
    def rim(self) -> int:
        """Return largest distance of a window sample from the window's centre."""
        return self.window // 2

    @property
    def halo(self) -> int:
        """Return pixels of context needed on each side of the image."""
        return self.radius + (0 if self.zero_border else self.rim)

    @cached_property
    def steps(self) -> list[int]:
        """Return offsets along one axis: the multiples of `stride` within the radius, in ascending order."""
        reach = self.radius // self.stride * self.stride
        return list(range(-reach, reach + 1, self.stride))

    @property
    def neighbours(self) -> int:
        """Return k, the number of entries in a pixel's row of the graph, the centre included."""
        return len(self.steps) ** 2

    @cached_property
    def clips(self) -> list[tuple[slice, slice]]:
        """Return which samples along a window's axis a clip keeps and leaves out: by c at c, by -c at window - c."""
        far = [(slice(0, self.window - c), slice(self.window - c, self.window)) for c in range(self.rim + 1)]
        near = [(slice(c, self.window), slice(0, c)) for c in range(self.rim, 0, -1)]
        return far + near

    def blocks(self, most: int) -> list[Block]:
        """Return the listed offsets in blocks of at most `most`."""
        below = [step for step in self.steps if step > 0]
        return [
            self._block(ys, xs)
            for lines, columns in (([0], below), (below, self.steps))
            for xs in self._runs(columns, most)
            for ys in self._runs(lines, max(1, most // len(xs)))
        ]

    def row_major(self, blocks: list[Block]) -> list[int]:
        """Return table row of each of the K offsets in row-major order of the search area."""
        listed = [offset for block in blocks for offset in block.offsets(self.stride)]
        order = [*listed, *((-dy, -dx) for dy, dx in listed), (0, 0)]
        rows = {offset: row for row, offset in enumerate(order)}
        return [rows[dy, dx] for dy in self.steps for dx in self.steps]

    def _clip(self, offset: int) -> int:
        """Return how many rows (or columns) of the window leave the search area; the sign tells on which side."""
        inner = self.radius - self.rim
        return offset - max(-inner, min(inner, offset)) if self.zero_border else 0

    def _runs(self, offsets: list[int], most: int) -> Iterator[list[int]]:
        """Split ascending offsets where the clip changes, and into pieces of at most `most`."""
        for _, group in groupby(offsets, self._clip):
            run = list(group)
            yield from (run[i : i + most] for i in range(0, len(run), most))

    def _block(self, ys: list[int], xs: list[int]) -> Block:
        clip_y, clip_x = self._clip(ys[0]), self._clip(xs[0])
        start = -self.rim - min(clip_y, 0), -self.rim - min(clip_x, 0)
        size = self.window - abs(clip_y), self.window - abs(clip_x)
        opposite = 1 - start[0] - size[0], 1 - start[1] - size[1]
        clips = self._clip_number(clip_y, clip_x), self._clip_number(-clip_y, -clip_x)
        return Block(ys[0], xs[0], len(ys), len(xs), start, opposite, size, clips)

    def _clip_number(self, clip_y: int, clip_x: int) -> int:
        return clip_y % self.window * self.window + clip_x % self.window
