"""Sums over boxes of flat maps, as a list of operations on fixed buffers that is made once and run many times.

Paper: SSL, eq. 1.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

Operation = Callable[[], object]


def box_by_additions(
    buffers: list[Tensor], count: int, length: int, size: tuple[int, int], width: int
) -> tuple[list[Operation], Tensor]:
    """Sum `count` maps over a box: out[i] = sum of in[i + y * width + x], y < size[0], x < size[1]; by whole-map sums.

    Nine values take four additions: of pairs, of pairs of pairs, of fours, and of the one that is left. Three flat
    buffers have room for `count` maps or more; the first holds the maps, one behind the other at equal distances, and
    may be overwritten like the others. Of the `length` values of a map the sums are valid for `(size[0] - 1) * width +
    size[1] - 1` fewer; `width` is that of an image row.

    Return the operations, and the map of sums they leave in one of the buffers, (count, length or more).
    """
    maps = [buffer.view(count, -1) for buffer in buffers]
    operations: list[Operation] = []
    current = 0
    for values, step in zip(size, (width, 1), strict=True):
        source, summed = current, 1
        for bit in bin(values)[3:]:
            for other, more in [(current, summed), (source, 1)][: 1 + int(bit)]:
                target = next(number for number in range(3) if number not in (source, current))
                valid = length - (summed + more - 1) * step
                moved = maps[other][:, summed * step : summed * step + valid]
                left, out = maps[current][:, :valid], maps[target][:, :valid]
                operations.append(partial(torch.add, *_flat(count, left, moved), out=_flat(count, out)[0]))
                current, summed = target, summed + more
        length -= (values - 1) * step
    return operations, maps[current]


def _flat(count: int, *maps: Tensor) -> tuple[Tensor, ...]:
    """Return a single map without its first dimension, which costs time."""
    return tuple(values[0] for values in maps) if count == 1 else maps
