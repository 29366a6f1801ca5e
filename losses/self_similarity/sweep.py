"""Log-similarities of windows for all search offsets, and their gradient, without unfolding a window.

The tiles of a unit lie behind each other in one vector per channel, so that a search offset is a shift of that vector
and every operation runs over contiguous memory. Values that wrap around a row's end are garbage that is never read.

Paper: SSL, eq. 1.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from prismsr.losses.self_similarity.box_sum import Operation, box_by_additions
from prismsr.losses.self_similarity.plan import Block, SearchPlan

import torch
from torch import Tensor

EPS = 1e-10
"""Added to the sum of a row of the graph, and the least value that a logarithm sees."""


@dataclass(frozen=True)
class Limits:
    """How much is held at a time, whatever the batch: the loss's memory is bounded by these.

    A unit's tiles have `area` pixels, halo included, and `pixels` mask pixels; its tables hold K times as many entries.
    One operation takes `work` elements; several offsets share an operation where they fit.
    """

    area: int
    pixels: int
    work: int


class Setting(NamedTuple):
    """Limits, and arguments of `self_similarity_loss`; the mask holds no pixel that `mask_stride` leaves out."""

    plan: SearchPlan
    limits: Limits
    h: float
    alpha: float = 1.0
    kl_weight: float = 1.0
    mask_stride: int = 1


class Layout:
    """Where things lie in the vectors of a unit: `count` tiles of `height` x `width` pixels, halo included."""

    def __init__(self, plan: SearchPlan, count: int, height: int, width: int) -> None:
        diagonal = width + 1
        self.plan = plan
        self.count = count
        self.height = height
        self.width = width
        self.size = count * height * width
        self.first = plan.halo * diagonal  # first position that the mask can hold
        self.span = self.size - 2 * self.first  # number of positions from there to the last one
        self.length = self.size - (plan.halo - plan.rim) * diagonal  # of a map of squared differences
        self.room = -(-(self.length + 2 * plan.rim * diagonal) // width) * width  # of a map in the making
        self.stored = max(self.size, self.length + plan.radius * diagonal)  # of a channel: the largest shift fits in

    def flat(self, dy: int, dx: int) -> int:
        """Return the shift of an offset."""
        return dy * self.width + dx

    def samples(self, plane: Tensor) -> list[Tensor]:
        """Return a plane seen from each sample of the window, w^2 views of `span` positions."""
        reach = range(-self.plan.rim, self.plan.rim + 1)
        return [plane.narrow(0, self.first + self.flat(dy, dx), self.span) for dy in reach for dx in reach]


class Planes:
    """A unit's image as the sweep wants it: flat, scaled, centred, and seen from each block's offsets.

    With J = sqrt(2 / (C w^2 h)) (I - mean), the logarithm of a similarity is the sum over the window of
    -|J[i] - J[i + k]|^2 / 2 = norm[i] + norm[i + k] + J[i] . J[i + k], where norm = -|J|^2 / 2. Centring keeps the
    three terms small, so that little is lost where they cancel.
    """

    def __init__(self, layout: Layout, blocks: list[Block], channels: int, like: Tensor) -> None:
        self.layout = layout
        self.raw = like.new_zeros(channels, layout.stored)
        self.all = like.new_empty(channels + 1, layout.stored)  # centred channels, then norm
        self.channels = self.all[:-1]
        self.energy = like.new_empty(layout.stored)
        self.base = self.all[:, : layout.length].unbind(0)
        self.moved = [self._shift(block) for block in blocks]
        self.samples = layout.samples(self.energy)

    def load(self, tiles: Tensor, h: float) -> None:
        """Take in tiles (T, C, height, width) with values in [0, 1]; `h` is the filter's bandwidth."""
        self.scale = math.sqrt(2 / (tiles.shape[1] * self.layout.plan.window**2 * h))
        norm = self.all[-1].zero_()
        self.energy.zero_()
        for values, raw, centred in zip(tiles.unbind(1), self.raw, self.channels, strict=True):
            torch.mul(values.flatten(), self.scale, out=raw[: self.layout.size])
            torch.sub(raw, raw.mean(), out=centred)
            norm.addcmul_(centred, centred, value=-0.5)
            self.energy.addcmul_(raw, raw, value=0.5)

    def _shift(self, block: Block) -> tuple[Tensor, ...]:
        layout, stride = self.layout, self.layout.plan.stride
        start = layout.flat(block.dy, block.dx)
        if block.count == 1:
            return self.all.narrow(1, start, layout.length).unbind(0)
        size = (len(self.all), *block.shape, layout.length)
        return self.all.as_strided(size, (layout.stored, stride * layout.width, stride, 1), start).unbind(0)


class Box(NamedTuple):
    """Where maps are laid, the operations that sum them over a box, and where each one's sums appear."""

    source: Tensor
    operations: list[Operation]
    sums: Tensor
    parts: tuple[Tensor, ...]


class Step(NamedTuple):
    """A block of offsets with its box; `seen` is the box's map from the mask, for the offsets and their opposites."""

    block: Block
    box: Box
    seen: tuple[Tensor, Tensor]


class Ends(NamedTuple):
    """Where an offset starts or ends: there the image and its gradient, by channel."""

    image: tuple[Tensor, ...]
    grad: tuple[Tensor, ...]


class Sweep:
    """Goes over all search offsets of a unit; keeps its buffers and their views for the next unit of the same layout.

    It works in the device and type of `like`.
    """

    def __init__(self, layout: Layout, channels: int, limits: Limits, like: Tensor) -> None:
        self.layout, self.plan, self.work = layout, layout.plan, limits.work
        self.blocks = self.plan.blocks(max(1, limits.work // layout.room))
        most = max((block.count for block in self.blocks), default=1)
        self.buffers = [like.new_empty(most * layout.room) for _ in range(3)]
        self.boxes: dict[tuple[int, ...], Box] = {}
        self.sr = Planes(layout, self.blocks, channels, like)
        self.gt = Planes(layout, self.blocks, channels, like)

    @cached_property
    def forward_steps(self) -> list[Step]:
        """Return steps that lay squared differences into a map and read the sums at the mask pixels."""
        return [self._step(block, reading=True) for block in self.blocks]

    @cached_property
    def backward_steps(self) -> list[Step]:
        """Return steps that lay values of the mask pixels into a map and read the sums everywhere."""
        return [self._step(block, reading=False) for block in self.blocks]

    @cached_property
    def spread(self) -> tuple[Tensor, Ends, list[list[Ends]]]:
        """Return a gradient (C, stored), it and `sr` where an offset starts, and by block where its offsets end."""
        grad = torch.empty_like(self.sr.raw)

        def at(shift: int) -> Ends:
            planes = (self.sr.channels, grad)
            return Ends(*(plane.narrow(1, shift, self.layout.length).unbind(0) for plane in planes))

        ends = [[at(self.layout.flat(*offset)) for offset in block.offsets(self.plan.stride)] for block in self.blocks]
        return grad, at(0), ends

    def log_similarity(self, pixels: Tensor, image: Planes, table: Tensor) -> None:
        """Write the logarithm of exp(-D / (C w^2 h)), eq. 1 before its rows are normalised, of `sr` or `gt`, loaded.

        Mask pixels (N,) int64 are positions counted from `layout.first`. The table (K, N) has the plan's order; the
        centre's row is 0.
        """
        table[-1] = 0
        outside = torch.cat([self._outside(image, part) for part in self._split(pixels)], dim=1).unbind(0)
        *channels, norm = image.base
        for step, moved, lines in zip(self.forward_steps, image.moved, self._lines(table), strict=True):
            source = step.box.source
            torch.add(norm, moved[-1], out=source)
            for here, there in zip(channels, moved, strict=False):
                source.addcmul_(here, there)
            for operation in step.box.operations:
                operation()
            for line, view, clip in zip(lines, step.seen, step.block.clips, strict=True):
                torch.index_select(view, -1, pixels, out=line)
                if clip:
                    line.sub_(outside[clip])

    def gradient(self, pixels: Tensor, grad_table: Tensor) -> Tensor:
        """Return gradient of the tiles loaded in `sr`, from that of their table (K, N).

        It is (T, C, height, width), a view of memory that the next call overwrites.
        """
        grad_outside = grad_table.new_zeros(self.plan.window**2, len(pixels))
        clipped = grad_outside.unbind(0)
        grad, start, ends = self.spread
        for line in grad:
            line.zero_()
        difference = torch.empty_like(start.image[0])
        for step, block_ends, lines in zip(self.backward_steps, ends, self._lines(grad_table), strict=True):
            step.box.source.zero_()
            for line, view, clip in zip(lines, step.seen, step.block.clips, strict=True):
                view.index_add_(-1, pixels, line)
                if clip:
                    clipped[clip].add_(line if step.block.count == 1 else line.flatten(0, 1).sum(0))
            for operation in step.box.operations:
                operation()
            for end, weight in zip(block_ends, step.box.parts, strict=True):  # of weight[i] * -|J[i] - J[i + k]|^2 / 2
                for here, grad_here, there, grad_there in zip(*start, *end, strict=True):
                    torch.sub(there, here, out=difference)
                    grad_here.addcmul_(weight, difference)
                    grad_there.addcmul_(weight, difference, value=-1)
        energy = torch.zeros_like(self.sr.energy)
        for part, grad_part in zip(self._split(pixels), self._split(grad_outside), strict=True):
            self._outside_gradient(energy, part, grad_part)
        for line, raw in zip(grad, self.sr.raw, strict=True):
            line.addcmul_(energy, raw, value=-1).mul_(self.sr.scale)
        tiles = grad[:, : self.layout.size].unflatten(1, (self.layout.count, self.layout.height, self.layout.width))
        return tiles.transpose(0, 1)

    def _lines(self, table: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return for each block the table's rows of its offsets and of their opposites, (*block.shape, N) each."""
        counts = [block.count for block in self.blocks]
        if max(counts, default=1) == 1:
            lines = list(table.unbind(0))
        else:
            parts = table.split([*counts, *counts, 1])
            lines = [part.view(*block.shape, -1) for block, part in zip(self.blocks * 2, parts, strict=False)]
        return list(zip(lines[: len(counts)], lines[len(counts) :], strict=False))

    def _outside(self, image: Planes, pixels: Tensor) -> Tensor:
        """Return (w^2, N) energy of the samples of the centre's window that each clip leaves out."""
        window, clips = self.plan.window, self.plan.clips
        samples = torch.stack([line.index_select(0, pixels) for line in image.samples]).view(window, window, -1)
        columns = torch.stack([samples[kept].sum(0) for kept, _ in clips])  # (row clips, w, N), over the rows kept
        rows = torch.stack([samples[out].sum((0, 1)) for _, out in clips])  # (row clips, N), over those left out
        return torch.stack([rows + columns[:, out].sum(1) for _, out in clips], dim=1).flatten(0, 1)

    def _outside_gradient(self, energy: Tensor, pixels: Tensor, grad_outside: Tensor) -> None:
        """Add the gradient of the energy (stored,) from that of `_outside`."""
        window, clips = self.plan.window, self.plan.clips
        table = grad_outside.reshape(window, window, -1)
        columns, samples = torch.zeros_like(table), torch.zeros_like(table)
        for number, (_, out) in enumerate(clips):
            columns[:, out] += table[:, number, None]
        for (kept, out), line, column in zip(clips, table.sum(1), columns, strict=True):
            samples[kept] += column
            samples[out] += line
        for line, values in zip(self.layout.samples(energy), samples.flatten(0, 1), strict=True):
            line.index_add_(0, pixels, values)

    def _split(self, table: Tensor) -> tuple[Tensor, ...]:
        """Return pieces of (..., N) for which tables of w^2 lines stay within one operation."""
        return table.split(max(1, self.work // self.plan.window**2), dim=-1)

    def _step(self, block: Block, reading: bool) -> Step:
        # What is laid at the mask pixels is spread backwards by the sum; the margin makes room for it.
        margin = 0 if reading else self.layout.flat(block.size[0] - 1, block.size[1] - 1)
        box = self._box(block, self.layout.length + margin)
        maps = box.sums if reading else box.source
        return Step(
            block, box, (self._view_maps(maps, block, margin, False), self._view_maps(maps, block, margin, True))
        )

    def _box(self, block: Block, length: int) -> Box:
        key = (*block.shape, *block.size, length)
        if key not in self.boxes:
            count, width = block.count, self.layout.width
            buffers = [buffer[: count * self.layout.room] for buffer in self.buffers]
            source = buffers[0].view(*block.shape, -1)[..., :length]
            operations, sums = box_by_additions(buffers, count, length, block.size, width)
            parts = sums[:, : self.layout.length].unbind(0)
            self.boxes[key] = Box(source, operations, sums.view(*block.shape, -1), parts)
        return self.boxes[key]

    def _view_maps(self, maps: Tensor, block: Block, margin: int, opposite: bool) -> Tensor:
        """Return maps at the positions that the mask can hold, for the block's offsets or for their opposites."""
        layout = self.layout
        start = layout.first + margin + layout.flat(*(block.start_opposite if opposite else block.start))
        if opposite:
            start -= layout.flat(block.dy, block.dx)
        if block.count == 1:
            return maps.narrow(0, start, layout.span)
        step = self.plan.stride if opposite else 0
        strides = (maps.stride(0) - step * layout.width, maps.stride(1) - step, 1)
        return maps.as_strided((*block.shape, layout.span), strides, start)
